package policy

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/network"

	brignet "github.com/brig-engine/brig/internal/daemon/network"
)

// NetworkRequest is the body of a request for a network.
type NetworkRequest struct {
	network.CreateRequest
	CheckDuplicate bool `json:",omitempty"` // of older clients: two networks of one name are refused in any case
}

// DecodeNetwork reads the body of a request for a network. Fields that Brig does not know are refused by name.
func DecodeNetwork(b []byte) (*NetworkRequest, error) {
	r := &NetworkRequest{}
	return r, strict(b, r)
}

// What a network could be asked for and this engine does in one way only.
const (
	whySubnet = "every network of this engine has the addresses of its one subnet, %s: there is no segment that could have its own"
	whyIPv6   = "containers have IPv4 alone"
	maxLabels = 1024
)

// MakeNetwork decides about a request for a network: the error holds all Refusals.
func MakeNetwork(r *NetworkRequest, f brignet.Facts) (brignet.Network, error) {
	c := &collector{}
	if r.Driver != "" && r.Driver != "bridge" && r.Driver != network.NetworkDefault {
		c.otherwise("--driver", r.Driver, "the one driver is bridge: endpoints of containers, routed and without a shared segment")
	}
	if r.Scope != "" && r.Scope != "local" {
		c.missing(true, "--scope", r.Scope)
	}
	c.missing(r.Ingress, "--ingress", "")
	c.missing(r.ConfigOnly, "--config-only", "")
	c.missing(r.ConfigFrom != nil && r.ConfigFrom.Network != "", "--config-from", "")
	if r.EnableIPv6 != nil && *r.EnableIPv6 {
		c.otherwise("--ipv6", "", whyIPv6)
	}
	if r.EnableIPv4 != nil && !*r.EnableIPv4 {
		c.otherwise("--ipv4=false", "", whyIPv6)
	}
	c.ipam(r.IPAM, f)
	n := brignet.Network{Name: r.Name, Internal: r.Internal, Attachable: r.Attachable, Options: r.Options, Labels: r.Labels}
	c.networkOptions(r.Options, &n, f.MTU)
	if len(r.Labels) > maxLabels {
		c.invalid("--label", "", "%d labels are more than the %d that a network may have", len(r.Labels), maxLabels)
	}
	return n, c.err()
}

// ipam passes what asks for the addresses that there are.
func (c *collector) ipam(i *network.IPAM, f brignet.Facts) {
	if i == nil {
		return
	}
	if i.Driver != "" && i.Driver != network.NetworkDefault {
		c.missing(true, "--ipam-driver", i.Driver)
	}
	c.missing(len(i.Options) > 0, "--ipam-opt", "")
	why := strings.Replace(whySubnet, "%s", f.Subnet.String(), 1)
	for _, x := range i.Config {
		if x.Subnet.IsValid() && x.Subnet != f.Subnet {
			c.otherwise("--subnet", x.Subnet.String(), why)
		}
		if x.Gateway.IsValid() && x.Gateway != f.Gateway {
			c.otherwise("--gateway", x.Gateway.String(), why)
		}
		if x.IPRange.IsValid() {
			c.otherwise("--ip-range", x.IPRange.String(), why)
		}
		for _, name := range sortedKeys(x.AuxAddress) {
			c.otherwise("--aux-address", name+"="+x.AuxAddress[name].String(), why)
		}
	}
}

// networkOptions are those of Docker's driver bridge. Each is heeded, or says what is so, or is refused.
func (c *collector) networkOptions(options map[string]string, n *brignet.Network, mtu int) {
	for _, name := range sortedKeys(options) {
		value := options[name]
		on, err := strconv.ParseBool(value)
		option := "--opt " + name
		switch {
		case name == brignet.OptionICC && err == nil:
			n.NoICC = !on
		case name == brignet.OptionMasquerade && err == nil && on:
		case name == brignet.OptionBinding && value == netip.IPv4Unspecified().String():
		case name == brignet.OptionMTU && value == strconv.Itoa(mtu):
		case name == brignet.OptionMTU:
			c.otherwise(option, value, "the MTU of every network is that of the host's smallest uplink")
		case name == brignet.OptionICC:
			c.invalid(option, value, "is true or false")
		case name == brignet.OptionMasquerade:
			c.otherwise(option, value, "what containers send outside has the host's address")
		case name == brignet.OptionBinding:
			c.otherwise(option, value, "-p address:port:port says it for each port")
		case slices.Contains([]string{"com.docker.network.bridge.name", "com.docker.network.container_iface_prefix"}, name):
			c.otherwise(option, value, "there is no bridge, and the interface of every container is eth0")
		default:
			c.missing(true, option, value)
		}
	}
}

// otherwise refuses what this engine does in another way, with the reason. Package compat is about containers alone.
func (c *collector) otherwise(option, value, reason string) {
	c.refusals = append(c.refusals, Refusal{option, clip(value), reason, "leave it out", errdefs.ErrNotImplemented})
}

// missing refuses, when used is set, what this version of Brig does not have.
func (c *collector) missing(used bool, option, value string) {
	if used {
		c.otherwise(option, value, "this version of Brig does not have this option")
	}
}
