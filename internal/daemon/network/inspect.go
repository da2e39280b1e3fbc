package network

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
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

// IsBuiltin tells whether a network of this name is always there, or is never.
func IsBuiltin(name string) bool { return name == Bridge || name == None }

// Options of the driver "bridge" that mean something here; see policy for what may be asked for.
const (
	OptionICC        = "com.docker.network.bridge.enable_icc"
	OptionMasquerade = "com.docker.network.bridge.enable_ip_masquerade"
	OptionBinding    = "com.docker.network.bridge.host_binding_ipv4"
	optionDefault    = "com.docker.network.bridge.default_bridge"
	OptionMTU        = "com.docker.network.driver.mtu"
)

// Facts is what brigd knows of the routed network that all endpoints are in.
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

// Show gives a network as the API does.
func (f Facts) Show(n Network) network.Network {
	out := network.Network{
		Name: n.Name, ID: n.ID, Created: n.Created, Scope: "local", Driver: "bridge", EnableIPv4: true,
		IPAM: network.IPAM{Driver: "default"}, Internal: n.Internal, Attachable: n.Attachable,
		Labels: clone(n.Labels), Options: clone(n.Options),
	}
	if n.Builtin && n.Name == None {
		out.Driver = Driver(None)
		return out
	}
	if n.Builtin {
		maps.Copy(out.Options, f.bridgeOptions())
	}
	// Every network has the addresses of the one subnet that there is.
	if f.Subnet.IsValid() {
		out.IPAM.Config = []network.IPAMConfig{{Subnet: f.Subnet, Gateway: f.Gateway}}
	}
	return out
}

// Inspect gives a network with those who are in it.
func (f Facts) Inspect(n Network, members []Member) network.Inspect {
	out := network.Inspect{Network: f.Show(n), Containers: map[string]network.EndpointResource{}}
	for _, m := range members {
		r := network.EndpointResource{Name: m.Name, EndpointID: EndpointID(m.ID, n.ID),
			IPv4Address: netip.PrefixFrom(m.Addr, f.Subnet.Bits())}
		if hw, err := net.ParseMAC(m.MAC); err == nil {
			r.MacAddress = network.HardwareAddr(hw)
		}
		out.Containers[m.ID] = r
	}
	return out
}

// ID gives the id of one of the instance's built-in networks: it does not change as long as the instance exists.
func ID(instance, name string) string { return hexID("network", instance, name) }

// EndpointID gives the id of a container's endpoint in a network.
func EndpointID(container, network string) string { return hexID("endpoint", container, network) }

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

// builtin are the networks that are always there.
func (f Facts) builtin() []Network {
	return []Network{
		{Name: Bridge, ID: ID(f.Instance, Bridge), Created: f.Created, Builtin: true},
		{Name: None, ID: ID(f.Instance, None), Created: f.Created, Builtin: true},
	}
}

// bridgeOptions are the options that Docker's clients read. There is no bridge behind the network, and it says so: driver
// "routed" would be the truth, but Compose and others look for "bridge".
func (f Facts) bridgeOptions() map[string]string {
	o := map[string]string{optionDefault: "true", OptionICC: "false", OptionMasquerade: "true", OptionBinding: "0.0.0.0"}
	if f.MTU > 0 {
		o[OptionMTU] = strconv.Itoa(f.MTU)
	}
	return o
}
