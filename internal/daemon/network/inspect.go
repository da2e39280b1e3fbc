package network

import (
	"crypto/sha256"
	"encoding/hex"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/moby/moby/api/types/network"
)

// The networks that are always there.
const (
	Bridge = "bridge"
	None   = "none"
)

// Facts is what brigd knows of the network called bridge.
type Facts struct {
	Instance string
	Created  time.Time    // of the engine's root
	Subnet   netip.Prefix // invalid where the machine cannot have the network
	Gateway  netip.Addr
	MTU      int
}

// Member is one running container on a network.
type Member struct {
	ID, Name string
	Addr     netip.Addr
	MAC      string
}

// List gives the networks of `network ls`, without members.
func (f Facts) List() []network.Summary {
	return []network.Summary{{Network: f.bridge()}, {Network: f.none()}}
}

// Inspect gives one network by its name, id, or the beginning of an id; ok is false if there is none, or more than one.
func (f Facts) Inspect(ref string, members []Member) (_ network.Inspect, ok bool) {
	n, ok := f.find(ref)
	if !ok {
		return network.Inspect{}, false
	}
	out := network.Inspect{Network: n, Containers: map[string]network.EndpointResource{}}
	if n.Name != Bridge {
		return out, true
	}
	for _, m := range members {
		r := network.EndpointResource{Name: m.Name, EndpointID: EndpointID(m.ID),
			IPv4Address: netip.PrefixFrom(m.Addr, f.Subnet.Bits())}
		if hw, err := net.ParseMAC(m.MAC); err == nil {
			r.MacAddress = network.HardwareAddr(hw)
		}
		out.Containers[m.ID] = r
	}
	return out, true
}

func (f Facts) find(ref string) (network.Network, bool) {
	all := []network.Network{f.bridge(), f.none()}
	var hits []network.Network
	for _, n := range all {
		if n.Name == ref || n.ID == ref {
			return n, true
		}
		if ref != "" && len(ref) <= len(n.ID) && n.ID[:len(ref)] == ref {
			hits = append(hits, n)
		}
	}
	if len(hits) != 1 {
		return network.Network{}, false
	}
	return hits[0], true
}

// ID gives the id of one of the instance's built-in networks: it does not change as long as the instance exists.
func ID(instance, name string) string { return hexID("network", instance, name) }

// EndpointID gives the id of a container's endpoint.
func EndpointID(container string) string { return hexID("endpoint", container, Bridge) }

// Driver gives the driver of one of the built-in networks.
func Driver(name string) string {
	if name == None {
		return "null"
	}
	return "bridge"
}

func hexID(kind, a, b string) string {
	sum := sha256.Sum256([]byte(kind + "\x00" + a + "\x00" + b))
	return hex.EncodeToString(sum[:])
}

// bridge carries the options that Docker's clients read. It has no bridge behind it and says so: driver "routed" would
// be the truth, but Compose and others look for "bridge".
func (f Facts) bridge() network.Network {
	n := network.Network{
		Name: Bridge, ID: ID(f.Instance, Bridge), Created: f.Created, Scope: "local", Driver: Driver(Bridge), EnableIPv4: true,
		IPAM:   network.IPAM{Driver: "default"},
		Labels: map[string]string{},
		Options: map[string]string{
			"com.docker.network.bridge.default_bridge":       "true",
			"com.docker.network.bridge.enable_icc":           "false",
			"com.docker.network.bridge.enable_ip_masquerade": "true",
			"com.docker.network.bridge.host_binding_ipv4":    "0.0.0.0",
		},
	}
	if f.Subnet.IsValid() {
		n.IPAM.Config = []network.IPAMConfig{{Subnet: f.Subnet, Gateway: f.Gateway}}
	}
	if f.MTU > 0 {
		n.Options["com.docker.network.driver.mtu"] = strconv.Itoa(f.MTU)
	}
	return n
}

func (f Facts) none() network.Network {
	return network.Network{
		Name: None, ID: ID(f.Instance, None), Created: f.Created, Scope: "local", Driver: Driver(None), EnableIPv4: true,
		IPAM:   network.IPAM{Driver: "default"},
		Labels: map[string]string{}, Options: map[string]string{},
	}
}
