package policy

import (
	"slices"
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"

	"github.com/brig-engine/brig/internal/wire"
)

// maxPorts bounds the published ports of one container: each is a listening socket.
const maxPorts = 256

// network reads --network, -p, -P and the endpoint settings.
func (c *collector) network(r *Request, imagePorts map[string]struct{}, host Host) wire.Network {
	mode := string(r.Host.NetworkMode)
	if r.Config.NetworkDisabled {
		mode = network.NetworkNone
	}
	for _, name := range sortedKeys(r.Networking.EndpointsConfig) {
		c.endpoint(name, mode, r.Networking.EndpointsConfig[name])
	}
	switch {
	case mode == "" || mode == network.NetworkDefault || mode == network.NetworkBridge:
		if host.NetworkError != "" {
			c.invalid("--network", "bridge", "this machine cannot have it: %s; --network none works", host.NetworkError)
		}
		return wire.Network{Mode: wire.NetworkEndpoint, Name: network.NetworkBridge, Ports: c.ports(r, imagePorts)}
	case mode == network.NetworkNone:
		if len(r.Host.PortBindings) > 0 {
			c.invalid("-p", "", "a container without a network cannot publish ports")
		}
	case mode == network.NetworkHost:
		c.forbid("--network", mode, "the container would see and use the host's network", "use bridge or none")
	case r.Host.NetworkMode.IsContainer():
		c.missing(true, "--network", mode)
	default:
		c.invalid("--network", mode, "there is no network of this name; the networks are bridge and none")
	}
	return wire.Network{}
}

func (c *collector) endpoint(name, mode string, e *network.EndpointSettings) {
	if mode == "" {
		mode = network.NetworkDefault
	}
	same := name == mode || name == network.NetworkBridge && mode == network.NetworkDefault ||
		name == network.NetworkDefault && mode == network.NetworkBridge
	c.missing(!same, "--network", name+" (a second network)")
	if e == nil {
		return
	}
	if i := e.IPAMConfig; i != nil {
		c.missing(i.IPv4Address.IsValid(), "--ip", i.IPv4Address.String())
		c.missing(i.IPv6Address.IsValid(), "--ip6", i.IPv6Address.String())
		c.missing(len(i.LinkLocalIPs) > 0, "--link-local-ip", "")
	}
	c.missing(len(e.Links) > 0, "--link", strings.Join(e.Links, ","))
	c.missing(len(e.Aliases) > 0, "--network-alias", strings.Join(e.Aliases, ","))
	c.missing(len(e.DriverOpts) > 0, "--network driver-opt", "")
	c.missing(e.GwPriority != 0, "--network gw-priority", strconv.Itoa(e.GwPriority))
	c.missing(len(e.MacAddress) > 0, "--mac-address", e.MacAddress.String())
	// What the engine fills in after start cannot be asked for.
	for _, f := range []struct {
		set  bool
		name string
	}{
		{e.NetworkID != "", "NetworkID"}, {e.EndpointID != "", "EndpointID"}, {e.Gateway.IsValid(), "Gateway"},
		{e.IPAddress.IsValid(), "IPAddress"}, {e.IPPrefixLen != 0, "IPPrefixLen"}, {e.IPv6Gateway.IsValid(), "IPv6Gateway"},
		{e.GlobalIPv6Address.IsValid(), "GlobalIPv6Address"}, {e.GlobalIPv6PrefixLen != 0, "GlobalIPv6PrefixLen"},
		{len(e.DNSNames) > 0, "DNSNames"},
	} {
		c.missing(f.set, "EndpointSettings."+f.name, "")
	}
}

// ports gives the published ports in a stable order. With -P every exposed port gets a free port of the host.
func (c *collector) ports(r *Request, image map[string]struct{}) []wire.Port {
	var out []wire.Port
	for p, bindings := range r.Host.PortBindings {
		if !c.checkPort("-p", p) {
			continue
		}
		if len(bindings) == 0 {
			bindings = []network.PortBinding{{}}
		}
		for _, b := range bindings {
			out = c.binding(out, p, b)
		}
	}
	if r.Host.PublishAllPorts {
		for p := range c.exposed(r.Config.ExposedPorts, image) {
			if _, bound := r.Host.PortBindings[p]; !bound && c.checkPort("--expose", p) {
				out = append(out, wire.Port{Proto: string(p.Proto()), ContainerPort: p.Num()})
			}
		}
	}
	if len(out) > maxPorts {
		c.invalid("-p", "", "%d ports are more than the %d that a container may publish", len(out), maxPorts)
	}
	slices.SortFunc(out, comparePorts)
	return out
}

func comparePorts(a, b wire.Port) int {
	if n := int(a.ContainerPort) - int(b.ContainerPort); n != 0 {
		return n
	}
	if n := strings.Compare(a.Proto+a.HostIP, b.Proto+b.HostIP); n != 0 {
		return n
	}
	return int(a.HostPort) - int(b.HostPort)
}

func (c *collector) checkPort(option string, p network.Port) bool {
	switch {
	case p.Num() == 0:
		c.invalid(option, p.String(), "port 0 does not exist")
	case p.Proto() == network.SCTP:
		c.missing(true, option, p.String())
	case p.Proto() != network.TCP && p.Proto() != network.UDP:
		c.invalid(option, p.String(), "the protocol is tcp or udp")
	default:
		return true
	}
	return false
}

func (c *collector) binding(out []wire.Port, p network.Port, b network.PortBinding) []wire.Port {
	w := wire.Port{Proto: string(p.Proto()), ContainerPort: p.Num()}
	if b.HostIP.IsValid() {
		if b.HostIP.Zone() != "" {
			c.invalid("-p", b.HostIP.String(), "an address with a zone cannot be published on")
		}
		w.HostIP = b.HostIP.String()
	}
	if b.HostPort != "" {
		n, err := strconv.ParseUint(b.HostPort, 10, 16)
		if err != nil {
			// A range ("8000-8010") asks for any free port of it.
			c.missing(true, "-p", clip(b.HostPort)+":"+p.String())
			return out
		}
		w.HostPort = uint16(n)
	}
	if slices.Contains(out, w) && w.HostPort != 0 {
		c.invalid("-p", p.String(), "is published twice on %s:%d", w.HostIP, w.HostPort)
		return out
	}
	return append(out, w)
}

// exposed joins the ports of request and image.
func (c *collector) exposed(request network.PortSet, image map[string]struct{}) network.PortSet {
	out := network.PortSet{}
	for p := range request {
		out[p] = struct{}{}
	}
	for s := range image {
		p, err := network.ParsePort(s)
		if err == nil && p.Num() != 0 {
			out[p] = struct{}{}
		}
	}
	return out
}

// hostname checks --hostname and --domainname: they are written to files and shown by programs.
func (c *collector) hostname(option, s string) string {
	if len(s) > 63 {
		c.invalid(option, s, "must have at most 63 characters")
		return ""
	}
	for _, r := range s {
		ok := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '.' || r == '_'
		if !ok {
			c.invalid(option, s, "must have letters, digits, dots and hyphens only")
			return ""
		}
	}
	return s
}

// dnsValues are the options that go to resolv.conf and hosts.
func (c *collector) dnsValues(h *container.HostConfig) {
	for _, o := range []struct {
		option string
		values []string
	}{{"--dns-search", h.DNSSearch}, {"--dns-option", h.DNSOptions}, {"--add-host", h.ExtraHosts}} {
		for _, v := range o.values {
			if v == "" || strings.ContainsAny(v, " \t\n\r\x00#") {
				c.invalid(o.option, v, "must be one word")
			}
		}
	}
}
