package warden

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/landlock"
	"github.com/brig-engine/brig/internal/kernel/pidfd"
	"github.com/brig-engine/brig/internal/warden/plan"
	"github.com/brig-engine/brig/internal/wire"
	"github.com/brig-engine/brig/internal/wire/client"
)

// What brig-router has for good, and what it needs beside until the network is open: the right to enter its namespace
// and to load programs.
var (
	routerSteady = mask(unix.CAP_NET_ADMIN, unix.CAP_NET_BIND_SERVICE)
	routerStart  = routerSteady | mask(unix.CAP_SYS_ADMIN)
)

// routerKeys name at the keeper what outlives both processes; without the namespace, the first, nothing counts.
var routerKeys = [3]string{"router", "router.udp", "router.tcp"}

// openRouter starts the process that makes or adopts the network. An engine without one still runs containers that ask
// for none.
func (w *Warden) openRouter(have map[string]int) {
	r := &router{w: w, pidfd: -1, patience: routerPatience, kept: [3]int{-1, -1, -1}, book: map[netip.Addr]wire.EndpointUse{}}
	whole := true
	for i, key := range routerKeys {
		r.kept[i] = take(have, key)
		whole = whole && r.kept[i] >= 0
	}
	if !whole {
		wire.CloseAll(r.kept[:])
		r.kept[0] = -1
	}
	r.open.Instance = w.instance
	if s, err := w.readRouterState(); err == nil {
		r.open.State = s
	}
	if err := r.start(); err != nil {
		r.kill()
		w.routerDown(err)
		return
	}
	w.router = r
	w.facts.Subnet, w.facts.Gateway = r.reply.State.Subnet.String(), r.reply.Gateway.String()
	w.facts.HostAddress = r.reply.Host.String()
}

// routerDown notes why there is no network.
func (w *Warden) routerDown(err error) {
	w.log("no network: %v", err)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.routerError = err
	w.facts.NetworkError, w.facts.Subnet, w.facts.Gateway, w.facts.HostAddress = err.Error(), "", "", ""
}

// start gives birth to a process and has it make the network, or adopt what the one before it left.
func (r *router) start() error {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socket pair: %w", err)
	}
	conn, err := wire.FileConn(pair[0], "brig-router")
	if err != nil {
		unix.Close(pair[1])
		return err
	}
	r.client = client.New(conn, "brig-router")
	fd, err := r.w.startRouter(pair[1])
	unix.Close(pair[1])
	if err != nil {
		return fmt.Errorf("start brig-router: %w", err)
	}
	r.pidfd = fd
	adopt := r.kept[:0]
	if r.kept[0] >= 0 {
		adopt = r.kept[:1]
	}
	var reply wire.RouterReply
	fds, err := r.ask(wire.OpRouterOpen, r.open, &reply, adopt...)
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
	case s.Instance != r.w.instance || !s.Subnet.IsValid() || !s.Subnet.Contains(reply.Gateway) || !s.Subnet.Contains(reply.Host):
		return fmt.Errorf("brig-router opened a network that cannot be: %+v", reply)
	case adopted:
		r.reply = *reply
		return nil
	}
	r.reply, r.open.State = *reply, &s
	copy(r.kept[:], fds)
	err := r.w.writeRouterState(s)
	if err != nil {
		return err
	}
	return r.w.keep.hold(routerKeys[:], r.kept[:]...)
}

// startRouter gives birth to brig-router: an id of its own, two capabilities and a third to begin with, Landlock, a filter.
func (w *Warden) startRouter(conn int) (int, error) {
	// The router holds the directory open, so that its Landlock rule goes on meaning it: the kernel forgets what nobody
	// uses of /proc, and makes it anew.
	settings, err := unix.Open("/proc/sys/net", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open /proc/sys/net: %w", err)
	}
	defer unix.Close(settings)
	in := plan.ServiceInput{Args: []string{"brig-router"}, FDs: 2, UID: routerID, GID: routerID, Host: w.host,
		Capabilities: routerStart, Steady: routerSteady}
	in.Filters = w.filters.service("router")
	fds := map[string]int{"fd0": conn, "fd1": settings}
	if w.abi > 0 {
		rules, err := w.routerLandlock(settings)
		if err != nil {
			return -1, err
		}
		defer unix.Close(rules)
		fds["landlock"] = rules
	}
	group, err := w.ownGroup("brig-router", wire.Resources{Memory: max(w.facts.MemoryTotal/8, 512<<20), Pids: 256, CPUShares: 2048})
	if err != nil {
		return -1, err
	}
	return w.startService(in, group, w.programs.router, fds, nil)
}

// routerLandlock makes the ruleset of brig-router: settings of the network, which the kernel lets it change in the
// namespaces that its capability is good for, and no other file. It binds ports for containers and connects nowhere.
func (w *Warden) routerLandlock(settings int) (int, error) {
	rules := landlock.Everything(w.abi)
	rules.Net &^= unix.LANDLOCK_ACCESS_NET_BIND_TCP
	set, err := landlock.Create(w.abi, rules)
	if err != nil {
		return -1, err
	}
	const access = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_TRUNCATE
	if err := landlock.Allow(set, access&rules.FS, settings); err != nil {
		unix.Close(set)
		return -1, fmt.Errorf("rule for /proc/sys/net: %w", err)
	}
	return set, nil
}

// supervise keeps a process running until close.
func (r *router) supervise() {
	for r.down == nil {
		err := await(r.pidfd)
		r.process.Lock()
		ended := r.reap(err)
		if r.isClosing() {
			r.down = fmt.Errorf("the engine stops: %w", errdefs.ErrUnavailable)
		} else {
			r.w.log("brig-router ended (%v); starting another one", ended)
			if err := r.replace(); err != nil {
				r.w.routerDown(err)
				r.down = fmt.Errorf("%w: %w", r.w.noRouter(), errdefs.ErrUnavailable)
			}
		}
		r.process.Unlock()
	}
}

func (r *router) isClosing() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.closing
}

// One that dies while it starts gets another try; the pause keeps it from taking all of the machine.
const (
	routerTries = 3
	routerPause = 100 * time.Millisecond
)

// replace starts the next process and hands it what lives.
func (r *router) replace() (err error) {
	for range routerTries {
		time.Sleep(routerPause)
		if err = r.start(); err == nil {
			err = r.handOver()
		}
		if err == nil {
			return nil
		}
		r.w.log("brig-router: %v", err)
		r.kill()
	}
	return err
}

// handOver names to a new process what lives. An endpoint that it does not find has died with its namespace.
func (r *router) handOver() error {
	r.mu.Lock()
	book := slices.Collect(maps.Values(r.book))
	r.mu.Unlock()
	for _, use := range book {
		err := r.tell(wire.OpEndpointAdopt, use)
		if errdefs.IsUnavailable(err) {
			return err
		}
		if err != nil {
			r.w.log("network: %v", err)
			r.forget(&use.Endpoint)
		}
	}
	return r.tell(wire.OpRouterSync, nil)
}

// reap ends what is left of a process.
func (r *router) reap(err error) any {
	r.client.Close()
	s, werr := pidfd.Wait(r.pidfd, false)
	unix.Close(r.pidfd)
	r.pidfd = -1
	if err = errors.Join(err, werr); err != nil {
		return err
	}
	return s
}

// kill ends a process that does not serve.
func (r *router) kill() {
	if r.client != nil {
		r.client.Close()
	}
	if r.pidfd >= 0 {
		pidfd.Signal(r.pidfd, unix.SIGKILL)
		r.reap(nil)
	}
}

// close undoes every change on the host and ends the process.
func (r *router) close() error {
	r.mu.Lock()
	r.closing = true
	r.mu.Unlock()
	err := r.during(func() error {
		defer r.client.Close()
		return r.tell(wire.OpRouterClose, nil)
	})
	if g, gerr := r.w.group("brig-router"); gerr == nil {
		r.w.removeGroup(g)
	}
	return err
}
