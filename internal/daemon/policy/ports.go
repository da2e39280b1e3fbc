package policy

import (
	"slices"
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/network"

	"github.com/brig-engine/brig/internal/wire"
)

// maxPorts bounds the published ports of one container: each is a listening socket. The warden's floor has the same.
const maxPorts = 48

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
