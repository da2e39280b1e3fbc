package warden

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/pidfd"
	"github.com/brig-engine/brig/internal/wire"
	"github.com/brig-engine/brig/internal/wire/client"
)

const (
	// routerPatience is how long brig-router may take for one request. One that is silent is killed.
	routerPatience = 20 * time.Second
	// With so many deaths of wardens in the minute before it began, and not a minute later, a router that ends takes none with it any
	// more. Below what the keeper bears: an engine without a network is better than none.
	routerDeaths = 3
	// portLinger is how long the last copy of a published port's socket may outlive its container.
	portLinger = time.Second
)

// router is brig-router as the warden knows it. There is one for the life of a warden: when it ends by itself, the
// warden ends as well, and the next one adopts the namespace with a new router as it adopts everything else.
//
//	start ──▶ serving ──close──▶ (nothing)
//	  │          └──ends by itself──▶ the next warden
//	  └──cannot, or ended too often──▶ no network until the engine is started again
type router struct {
	w        *Warden
	reply    wire.RouterReply
	kept     [3]int // what the keeper holds: the namespace, and the forwarder's UDP and TCP socket
	client   *client.Client
	pidfd    int
	patience time.Duration
	freed    atomic.Int64 // when a container with published ports last ended, in nanoseconds since the epoch
}

// routerKeys name at the keeper what outlives both processes; without the namespace, the first, nothing counts.
var routerKeys = [3]string{"router", "router.udp", "router.tcp"}

// openRouter starts the process that makes or adopts the network. An engine without one still runs containers that ask
// for none.
func (w *Warden) openRouter(have map[string]int) {
	r := &router{w: w, pidfd: -1, patience: routerPatience}
	w.router = r
	for i, key := range routerKeys {
		r.kept[i] = take(have, key)
	}
	if slices.Contains(r.kept[:], -1) {
		wire.CloseAll(r.kept[:])
		r.kept[0] = -1
	}
	if err := r.start(); err != nil {
		r.failed(err)
		return
	}
	w.facts.Subnet, w.facts.Gateway = r.reply.State.Subnet.String(), r.reply.Gateway.String()
}

// failed ends this warden for the next one if the process has ended, and otherwise, or if that happens all the time,
// goes on without a network.
func (r *router) failed(err error) {
	w := r.w
	w.log("network: %v", err)
	silent := errors.Is(err, context.DeadlineExceeded) // the next one would be as well
	if errdefs.IsUnavailable(err) && !silent && (w.cfg.Deaths < routerDeaths || time.Since(w.began) > time.Minute) {
		os.Exit(1)
	}
	if r.pidfd >= 0 {
		pidfd.Signal(r.pidfd, unix.SIGKILL)
		pidfd.Wait(r.pidfd, false)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.facts.NetworkError, w.facts.Subnet, w.facts.Gateway = err.Error(), "", ""
}

// noRouter says why there is no network, if there is none.
func (w *Warden) noRouter() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.facts.NetworkError == "" {
		return nil
	}
	return fmt.Errorf("this machine cannot have the network called bridge: %s: %w. Next: --network none",
		w.facts.NetworkError, errdefs.ErrFailedPrecondition)
}

// start gives birth to a process and has it make the network, or adopt what the one before it left.
func (r *router) start() error {
	conn, fd, err := connected("brig-router", r.w.startRouter)
	if err != nil {
		return err
	}
	r.client, r.pidfd = client.New(conn, "brig-router"), fd
	open := wire.RouterOpen{Instance: r.w.facts.Instance}
	_ = readJSON(r.w.routerStatePath(), &open.State) // without one the router looks for itself
	adopt := r.kept[:0]
	if r.kept[0] >= 0 {
		adopt = r.kept[:1]
	}
	var reply wire.RouterReply
	fds, err := r.call(wire.OpRouterOpen, open, &reply, adopt...)
	if err != nil {
		return err
	}
	if err := r.take(&reply, fds, len(adopt) == 1); err != nil {
		wire.CloseAll(fds)
		return err
	}
	return nil
}

// take notes what a process that opened the network said and gave.
func (r *router) take(reply *wire.RouterReply, fds []int, adopted bool) error {
	s := reply.State
	switch {
	case adopted && len(fds) != 0 || !adopted && len(fds) != len(r.kept):
		return fmt.Errorf("brig-router opened the network with %d descriptors", len(fds))
	case s.Instance != r.w.facts.Instance || !s.Subnet.IsValid() || !s.Subnet.Contains(reply.Gateway):
		return fmt.Errorf("brig-router opened a network that cannot be: %+v", reply)
	}
	r.reply = *reply
	if adopted {
		return nil
	}
	// The next router enters it, and has to be sure that it is a network namespace and nothing else.
	if kind, err := unix.IoctlRetInt(fds[0], unix.NS_GET_NSTYPE); err != nil || kind != unix.CLONE_NEWNET {
		return fmt.Errorf("brig-router opened what is no network namespace: %w", errors.Join(err, unix.EINVAL))
	}
	copy(r.kept[:], fds)
	if err := wire.WriteJSON(r.w.routerStatePath(), s); err != nil {
		return err
	}
	return r.w.keep.hold(routerKeys[:], r.kept[:]...)
}

// supervise waits for the end of the process.
func (r *router) supervise() {
	c, fd := r.client, r.pidfd // close may start another one
	err := await(fd)
	c.Close()
	status, werr := pidfd.Wait(fd, false)
	if !r.w.stopping.Load() {
		r.failed(fmt.Errorf("brig-router ended (%v): %w", status, errors.Join(errdefs.ErrUnavailable, err, werr)))
	}
}

// close undoes every change on the host and ends the process. One that ended before is followed by another one for that.
func (r *router) close() error {
	defer r.w.removeGroup("brig-router")
	if r.w.noRouter() != nil {
		return nil
	}
	err := r.tell(wire.OpRouterClose, nil, nil)
	if errdefs.IsUnavailable(err) {
		if err = r.start(); err == nil {
			err = r.tell(wire.OpRouterClose, nil, nil)
		}
	}
	r.client.Close()
	return err
}

// ask sends a request to the process.
func (r *router) ask(op wire.Op, q, reply any, fds ...int) ([]int, error) {
	if err := r.w.noRouter(); err != nil {
		return nil, err
	}
	return r.call(op, q, reply, fds...)
}

func (r *router) call(op wire.Op, q, reply any, fds ...int) ([]int, error) {
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
func (r *router) tell(op wire.Op, q, reply any, fds ...int) error {
	got, err := r.ask(op, q, reply, fds...)
	wire.CloseAll(got)
	return err
}

// newEndpoint gives a network namespace, in which route is a socket, an endpoint, mute until it is activated.
func (r *router) newEndpoint(ns, route int) (*wire.Endpoint, error) {
	e := new(wire.Endpoint)
	if err := r.tell(wire.OpEndpointNew, nil, e, route, ns); err != nil {
		return nil, err
	}
	if !r.reply.State.Subnet.Contains(e.Addr) || e.Gateway != r.reply.Gateway || e.Ifindex <= 0 {
		return nil, fmt.Errorf("brig-router made an endpoint that cannot be: %+v", e)
	}
	return e, nil
}

// use has an endpoint adopted or activated, so that it may talk, with its published ports, or released, or joined to networks.
func (r *router) use(op wire.Op, e *wire.Endpoint, bound []wire.Port) error {
	return r.tell(op, wire.EndpointUse{Endpoint: *e, Ports: bound}, nil)
}

// release revokes an endpoint, if there is one. Without a process there is nothing to revoke, and the next one never
// hears of it.
func (r *router) release(e *wire.Endpoint) {
	if e == nil || r.w.noRouter() != nil {
		return
	}
	if err := r.use(wire.OpEndpointRelease, e, nil); err != nil && !errdefs.IsUnavailable(err) {
		r.w.log("release %s: %v", e.Addr, err)
	}
}

// reserve binds a published port: one socket, or one for each family. The keeper and brigd let go of the sockets of a
// container a moment after its end, so for that moment a port in use is tried again.
func (r *router) reserve(p wire.Port) (bound []wire.Port, fds []int, warnings []string, err error) {
	fds, err = r.ask(wire.OpPortReserve, p, &warnings)
	for until := time.Unix(0, r.freed.Load()).Add(portLinger); errdefs.IsConflict(err) && time.Now().Before(until); {
		time.Sleep(portLinger / 50)
		fds, err = r.ask(wire.OpPortReserve, p, &warnings)
	}
	if err != nil {
		return nil, nil, nil, err
	}
	if bound, err = checkSockets(p, fds); err != nil {
		wire.CloseAll(fds)
		return nil, nil, nil, fmt.Errorf("brig-router reserved a port that cannot be: %w", err)
	}
	return bound, fds, warnings, nil
}

// checkSockets holds what came for a published port against what was asked for, as brigd will serve strangers on it, and
// tells what each socket is bound to.
func checkSockets(p wire.Port, fds []int) (bound []wire.Port, err error) {
	if len(fds) == 0 || len(fds) > 2 {
		return nil, fmt.Errorf("%d descriptors", len(fds))
	}
	kind := map[string]int{"tcp": unix.SOCK_STREAM, "udp": unix.SOCK_DGRAM}[p.Proto]
	asked, _ := netip.ParseAddr(p.HostIP) // none is every address
	for _, fd := range fds {
		sa, err := unix.Getsockname(fd)
		if err != nil {
			return nil, err
		}
		var at netip.AddrPort
		switch sa := sa.(type) {
		case *unix.SockaddrInet4:
			at = netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
		case *unix.SockaddrInet6:
			at = netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port))
		}
		is, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
		if err != nil || is != kind || p.HostPort != 0 && at.Port() != p.HostPort ||
			asked.IsValid() && at.Addr() != asked.Unmap() || !asked.IsValid() && !at.Addr().IsUnspecified() {
			return nil, fmt.Errorf("a socket of type %d at %s in place of %s %s:%d", is, at, p.Proto, p.HostIP, p.HostPort)
		}
		bound = append(bound, wire.Port{Proto: p.Proto, HostIP: at.Addr().String(), HostPort: at.Port(), ContainerPort: p.ContainerPort})
	}
	return bound, nil
}
