package warden

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/pidfd"
	"github.com/brig-engine/brig/internal/wire"
	"github.com/brig-engine/brig/internal/wire/client"
)

// routerPatience is how long brig-router may take for one request. One that is silent is killed.
const routerPatience = 20 * time.Second

// router is brig-router as the warden knows it: the process of the moment, and what its successor has to be told.
//
//	start ──▶ serving ──ends by itself──▶ the next one: adopts the namespace, then every endpoint of book ──▶ serving …
//	             └──close──▶ (nothing)                 └──cannot──▶ down: no network until the engine is started again
//
// Requests under way fail when the process ends; later ones wait for the next process.
type router struct {
	w     *Warden
	open  wire.RouterOpen
	reply wire.RouterReply
	kept  [3]int // what the keeper holds: the namespace, and the forwarder's UDP and TCP socket

	process  sync.RWMutex // held for writing between two processes
	client   *client.Client
	pidfd    int
	down     error
	patience time.Duration

	mu      sync.Mutex
	book    map[netip.Addr]wire.EndpointUse // the endpoints there are
	closing bool
}

// during runs f while one process serves.
func (r *router) during(f func() error) error {
	r.process.RLock()
	defer r.process.RUnlock()
	if r.down != nil {
		return r.down
	}
	return f()
}

// ask sends a request to the process, which the caller holds.
func (r *router) ask(op wire.Op, q, reply any, fds ...int) ([]int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), r.patience)
	defer cancel()
	got, err := r.client.Call(ctx, op, q, reply, fds...)
	if errors.Is(err, context.DeadlineExceeded) {
		pidfd.Signal(r.pidfd, unix.SIGKILL)
		return nil, fmt.Errorf("brig-router has not answered %s: %w: %w", op, errdefs.ErrUnavailable, err)
	}
	return got, err
}

// tell is ask for what brings no descriptors back.
func (r *router) tell(op wire.Op, q any) error {
	got, err := r.ask(op, q, nil)
	wire.CloseAll(got)
	return err
}

// newEndpoint gives a network namespace, in which route is a socket, an endpoint, mute until it is activated.
func (r *router) newEndpoint(ns, route int) (e *wire.Endpoint, err error) {
	err = r.during(func() error {
		e = new(wire.Endpoint)
		got, err := r.ask(wire.OpEndpointNew, nil, e, route, ns)
		wire.CloseAll(got)
		if err != nil {
			return err
		}
		if !r.reply.State.Subnet.Contains(e.Addr) || e.Gateway != r.reply.Gateway || e.Ifindex <= 0 {
			return fmt.Errorf("brig-router made an endpoint that cannot be: %+v", e)
		}
		return r.note(wire.EndpointUse{Endpoint: *e})
	})
	return e, err
}

// note remembers an endpoint for the next process.
func (r *router) note(use wire.EndpointUse) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	a := use.Endpoint.Addr
	if have, ok := r.book[a]; ok && have.Endpoint != use.Endpoint {
		return fmt.Errorf("brig-router gave the address %s twice", a)
	}
	r.book[a] = use
	return nil
}

// use has an endpoint adopted or activated, so that it may talk, and publishes its ports.
func (r *router) use(op wire.Op, e *wire.Endpoint, ports []wire.Port) error {
	return r.during(func() error {
		use := wire.EndpointUse{Endpoint: *e, Live: true, Ports: ports}
		if err := r.tell(op, use); err != nil {
			return err
		}
		return r.note(use)
	})
}

// release revokes an endpoint. Without a process there is nothing to revoke, and the next one never hears of it.
func (r *router) release(e *wire.Endpoint) error {
	err := r.during(func() error {
		r.forget(e)
		return r.tell(wire.OpEndpointRelease, wire.EndpointUse{Endpoint: *e})
	})
	if errdefs.IsUnavailable(err) {
		return nil
	}
	return err
}

func (r *router) forget(e *wire.Endpoint) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.book[e.Addr].Endpoint == *e {
		delete(r.book, e.Addr)
	}
}

// reserve binds a published port: one socket, or one for each family.
func (r *router) reserve(p wire.Port) (reply wire.PortReply, fds []int, err error) {
	err = r.during(func() (err error) {
		fds, err = r.ask(wire.OpPortReserve, p, &reply)
		return err
	})
	if err != nil {
		return reply, nil, err
	}
	if err := checkSockets(&p, reply.Sockets, fds); err != nil {
		wire.CloseAll(fds)
		return reply, nil, fmt.Errorf("brig-router reserved a port that cannot be: %w", err)
	}
	return reply, fds, nil
}

// checkSockets holds what came for a published port against what was asked for: brigd will serve strangers on it.
func checkSockets(p *wire.Port, said []wire.BoundSocket, fds []int) error {
	if len(fds) == 0 || len(fds) > 2 || len(said) != len(fds) {
		return fmt.Errorf("%d sockets, %d descriptors", len(said), len(fds))
	}
	kind := map[string]int{"tcp": unix.SOCK_STREAM, "udp": unix.SOCK_DGRAM}[p.Proto]
	for i, s := range said {
		sa, err := unix.Getsockname(fds[i])
		if err != nil {
			return err
		}
		var at netip.AddrPort
		switch sa := sa.(type) {
		case *unix.SockaddrInet4:
			at = netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
		case *unix.SockaddrInet6:
			at = netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port))
		}
		is, err := unix.GetsockoptInt(fds[i], unix.SOL_SOCKET, unix.SO_TYPE)
		if err != nil || is != kind || at != netip.AddrPortFrom(s.HostIP, s.HostPort) || p.HostPort != 0 && s.HostPort != p.HostPort {
			return fmt.Errorf("a socket of type %d at %s in place of %s %s:%d", is, at, p.Proto, s.HostIP, s.HostPort)
		}
	}
	return nil
}

// dns gives copies of the forwarder's sockets.
func (r *router) dns() (fds []int, err error) {
	for _, own := range r.kept[1:] {
		fd, err := dup(own)
		if err != nil {
			wire.CloseAll(fds)
			return nil, err
		}
		fds = append(fds, fd)
	}
	return fds, nil
}
