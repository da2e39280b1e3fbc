package policy

import (
	"slices"
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/network"

	"github.com/brig-engine/brig/internal/wire"
)

// maxPorts bounds the published ports of one container: each is a listening socket.
const maxPorts = 256

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
