package policy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"

	"github.com/brig-engine/brig/internal/wire"
)

// maxPorts bounds the published ports of one container: each is a listening socket. The warden's floor has the same.
const maxPorts = 48

// network reads --network, -p, -P and the endpoint settings.
func (c *collector) network(r *Request, imagePorts map[string]struct{}, host Host, to *[]uint16) wire.Network {
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
		n := wire.Network{Mode: wire.NetworkEndpoint, Name: network.NetworkBridge}
		n.Ports, *to = split(c.ports(r, imagePorts))
		return n
	case mode == network.NetworkNone:
		if len(r.Host.PortBindings) > 0 {
			c.invalid("-p", "", "a container without a network cannot publish ports")
		}
	case mode == network.NetworkHost:
		c.refuse(true, "HostConfig.NetworkMode=host", mode)
	case r.Host.NetworkMode.IsContainer():
		c.refuse(true, "HostConfig.NetworkMode=container:NAME", mode)
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
	c.refuse(!same, "NetworkingConfig.EndpointsConfig=SECOND", name)
	if e == nil {
		return
	}
	const at = "NetworkingConfig.EndpointsConfig[]."
	if i := e.IPAMConfig; i != nil {
		c.refuse(i.IPv4Address.IsValid(), at+"IPAMConfig.IPv4Address", i.IPv4Address.String())
		c.refuse(i.IPv6Address.IsValid(), at+"IPAMConfig.IPv6Address", i.IPv6Address.String())
		c.refuse(len(i.LinkLocalIPs) > 0, at+"IPAMConfig.LinkLocalIPs", strings.Trim(fmt.Sprint(i.LinkLocalIPs), "[]"))
	}
	c.refuse(len(e.Links) > 0, at+"Links", strings.Join(e.Links, ","))
	c.refuse(len(e.Aliases) > 0, at+"Aliases", strings.Join(e.Aliases, ","))
	c.refuse(len(e.DriverOpts) > 0, at+"DriverOpts", pairs(e.DriverOpts))
	c.refuse(e.GwPriority != 0, at+"GwPriority", strconv.Itoa(e.GwPriority))
	c.refuse(len(e.MacAddress) > 0, at+"MacAddress", e.MacAddress.String())
	// What the engine fills in after start cannot be asked for.
	for _, f := range []struct {
		name  string
		set   bool
		value any
	}{
		{"NetworkID", e.NetworkID != "", e.NetworkID}, {"EndpointID", e.EndpointID != "", e.EndpointID},
		{"Gateway", e.Gateway.IsValid(), e.Gateway}, {"IPAddress", e.IPAddress.IsValid(), e.IPAddress},
		{"IPPrefixLen", e.IPPrefixLen != 0, e.IPPrefixLen}, {"IPv6Gateway", e.IPv6Gateway.IsValid(), e.IPv6Gateway},
		{"GlobalIPv6Address", e.GlobalIPv6Address.IsValid(), e.GlobalIPv6Address},
		{"GlobalIPv6PrefixLen", e.GlobalIPv6PrefixLen != 0, e.GlobalIPv6PrefixLen},
		{"DNSNames", len(e.DNSNames) > 0, e.DNSNames},
	} {
		c.refuse(f.set, at+f.name, fmt.Sprint(f.value))
	}
}

// published is a port, and the last one of the host that it may get if it is to be a free one of a range.
type published struct {
	wire.Port
	to uint16
}

// split gives the ports and the ends of their ranges; no list of ends if there is no range.
func split(all []published) (ports []wire.Port, to []uint16) {
	ranges := slices.ContainsFunc(all, func(p published) bool { return p.to != 0 })
	for _, p := range all {
		ports = append(ports, p.Port)
		if ranges {
			to = append(to, p.to)
		}
	}
	return ports, to
}

// ports gives the published ports in a stable order. With -P every exposed port gets a free port of the host.
func (c *collector) ports(r *Request, image map[string]struct{}) []published {
	var out []published
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
				out = append(out, published{Port: wire.Port{Proto: string(p.Proto()), ContainerPort: p.Num()}})
			}
		}
	}
	if len(out) > maxPorts {
		c.invalid("-p", "", "%d ports are more than the %d that a container may publish", len(out), maxPorts)
	}
	slices.SortFunc(out, comparePorts)
	return out
}

func comparePorts(a, b published) int {
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
		c.refuse(true, "HostConfig.PortBindings=sctp", p.String())
	case p.Proto() != network.TCP && p.Proto() != network.UDP:
		c.invalid(option, p.String(), "the protocol is tcp or udp")
	default:
		return true
	}
	return false
}

func (c *collector) binding(out []published, p network.Port, b network.PortBinding) []published {
	w := published{Port: wire.Port{Proto: string(p.Proto()), ContainerPort: p.Num()}}
	if b.HostIP.IsValid() {
		if b.HostIP.Zone() != "" {
			c.invalid("-p", b.HostIP.String(), "an address with a zone cannot be published on")
		}
		w.HostIP = b.HostIP.String()
	}
	if b.HostPort != "" {
		// A range ("8000-8010") asks for any free port of it.
		from, to, isRange := strings.Cut(b.HostPort, "-")
		low, err := strconv.ParseUint(from, 10, 16)
		high := low
		if err == nil && isRange {
			high, err = strconv.ParseUint(to, 10, 16)
		}
		if err != nil || high < low || isRange && low == 0 {
			c.invalid("-p", b.HostPort+":"+p.String(), "a port of the host is a number to 65535, or a range")
			return out
		}
		w.HostPort = uint16(low)
		if high > low {
			w.to = uint16(high)
		}
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
