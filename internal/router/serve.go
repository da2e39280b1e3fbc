package router

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/containerd/errdefs"

	"github.com/brig-engine/brig/internal/router/firewall"
	"github.com/brig-engine/brig/internal/router/link"
	"github.com/brig-engine/brig/internal/router/rtnl"
	"github.com/brig-engine/brig/internal/wire"
)

// Ops is the closed list of what brig-router can be asked.
var Ops = wire.List{wire.OpRouterOpen: {Most: 1}, wire.OpRouterSync: {}, wire.OpRouterClose: {}, wire.OpEndpointNew: {Least: 2, Most: 2},
	wire.OpEndpointAdopt: {}, wire.OpEndpointActivate: {}, wire.OpEndpointJoin: {}, wire.OpEndpointRelease: {}, wire.OpPortReserve: {}}

// carryOut does one operation of an open network.
func (s *server) carryOut(router *link.Router, r *wire.Request) (wire.Reply, error) {
	switch r.Op {
	case wire.OpRouterSync:
		err := router.Sync()
		if err == nil {
			s.follow(router)
		}
		return wire.Reply{}, err
	case wire.OpRouterClose:
		return wire.Reply{}, router.Close()
	case wire.OpEndpointNew:
		return newEndpoint(router, r)
	case wire.OpPortReserve:
		return reserve(router, r)
	}
	use, ports, err := decodeUse(r)
	if err != nil {
		return wire.Reply{}, err
	}
	switch r.Op {
	case wire.OpEndpointAdopt:
		err = router.Adopt(&use.Endpoint, ports)
	case wire.OpEndpointActivate:
		err = router.Activate(&use.Endpoint, ports)
	case wire.OpEndpointJoin:
		err = router.Join(&use.Endpoint)
	case wire.OpEndpointRelease:
		err = router.Release(&use.Endpoint)
	default:
		err = fmt.Errorf("operation %s has no handler: %w", r.Op, errdefs.ErrNotImplemented)
	}
	return wire.Reply{}, err
}

func newEndpoint(router *link.Router, r *wire.Request) (wire.Reply, error) {
	route := r.FDs[0]
	r.FDs[0] = -1
	in, err := rtnl.Take(route)
	if err != nil {
		return wire.Reply{}, err
	}
	defer in.Close()
	e, err := router.NewEndpoint(r.FDs[1], in)
	return wire.Reply{Body: e}, err
}

// decodeUse reads an endpoint with its ports.
func decodeUse(r *wire.Request) (*wire.EndpointUse, []link.Port, error) {
	var use wire.EndpointUse
	if err := r.Decode(&use); err != nil {
		return nil, nil, err
	}
	if e := &use.Endpoint; !e.Addr.Is4() || e.Ifindex <= 0 || e.Name == "" {
		return nil, nil, fmt.Errorf("%s: this is no endpoint: %w", r.Op, errdefs.ErrInvalidArgument)
	}
	var ports []link.Port
	for _, p := range use.Ports {
		host, err := netip.ParseAddr(p.HostIP)
		proto := firewall.ProtoNumber(p.Proto)
		if err != nil || proto == 0 || p.HostPort == 0 || p.ContainerPort == 0 {
			return nil, nil, fmt.Errorf("%s: %s port %q:%d to %d: %w", r.Op, p.Proto, p.HostIP, p.HostPort, p.ContainerPort,
				errors.Join(errdefs.ErrInvalidArgument, err))
		}
		ports = append(ports, link.Port{Proto: proto, HostIP: host, HostPort: p.HostPort, ContainerPort: p.ContainerPort})
	}
	return &use, ports, nil
}

// reserve binds a published port.
func reserve(router *link.Router, r *wire.Request) (wire.Reply, error) {
	var p wire.Port
	if err := r.Decode(&p); err != nil {
		return wire.Reply{}, err
	}
	sockets, err := router.ReservePort(p.Proto, p.HostIP, p.HostPort)
	if errors.Is(err, link.ErrInUse) {
		return wire.Reply{}, fmt.Errorf("%w: %w", err, errdefs.ErrConflict)
	}
	if err != nil {
		return wire.Reply{}, fmt.Errorf("%w: %w", err, errdefs.ErrInvalidArgument)
	}
	var fds []int
	for _, s := range sockets {
		fds = append(fds, s.FD)
	}
	return wire.Reply{Body: router.Warnings(), FDs: fds}, nil
}
