package warden

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/warden/cgroup"
	"github.com/brig-engine/brig/internal/warden/plan"
	"github.com/brig-engine/brig/internal/wire"
)

// birth is the start of a container under way.
type birth struct {
	program
	spec   *wire.Spec
	caller *caller

	first   bool // the container has no directory yet
	box     *sandbox
	group   *cgroup.Group
	input   plan.Input
	sockets []int // of the published ports, in the order of reply.Ports
}

// containerStart is the operation of that name.
func (w *Warden) containerStart(r *wire.Request, q wire.ContainerStart) (wire.Reply, error) {
	by, err := w.callerOf(r, q.Caller)
	if err != nil {
		return wire.Reply{}, err
	}
	if !containerID(q.ID) {
		return wire.Reply{}, fmt.Errorf("%q is no id of a container: %w", q.ID, errdefs.ErrInvalidArgument)
	}
	if err := checkSpec(&q.Spec, by, w.facts.MemoryTotal); err != nil {
		return wire.Reply{}, err
	}
	hide(&q.Spec)
	c := w.locked(q.ID)
	defer c.mu.Unlock()
	if c.note != nil && c.note.Exit == nil {
		return wire.Reply{}, fmt.Errorf("container %s is running: %w", short(q.ID), errdefs.ErrConflict)
	}
	c.cleaning.Wait()
	w.starts <- struct{}{} // beyond about two starts per core only latency grows
	defer func() { <-w.starts }()
	b := &birth{program: newProgram(w, c, "", &q.Spec.Process), spec: &q.Spec, caller: by}
	if err := b.run(); err != nil {
		b.undo()
		return wire.Reply{}, err
	}
	return b.answer(), nil
}

// run takes the steps of a start in order; each notes in b what it made.
func (b *birth) run() error {
	defer func() { go wire.CloseAll(b.own) }() // the last reference to a mount waits for every processor: not on this path
	return inOrder(b.sandbox, b.cgroup, b.rootfs, b.mounts, b.files, b.stdio, b.reserve, b.born, b.record, b.handOver)
}

// sandbox takes a range with its namespaces: for a container that ran before, the range of its directory.
func (b *birth) sandbox() error {
	endpoint := b.spec.Network.Mode == wire.NetworkEndpoint
	base, err := b.w.rangeOf(b.c.id)
	switch {
	case err == nil:
		if err = b.w.ranges.claim(base); err == nil {
			b.box, err = b.w.sandboxAt(base, endpoint)
		}
	case !errors.Is(err, os.ErrNotExist):
		return err
	case endpoint:
		b.first = true
		b.box, err = b.w.pool.take()
	default:
		b.first = true
		b.box, err = b.w.newSandbox(false)
	}
	if err != nil {
		return err
	}
	b.base = b.box.base
	b.give("userns", b.box.user)
	b.give("netns", b.box.net)
	return nil
}

func (b *birth) cgroup() (err error) {
	if b.group, err = b.w.parent.Create(b.c.id, b.spec.Resources); err != nil {
		return err
	}
	return b.enter(b.group)
}

func (b *birth) stdio() error { return b.openStreams(b.fds["pts"]) }

// reserve binds the published ports before anything runs, so that a port in use is an error of the start.
func (b *birth) reserve() error {
	var warnings []string
	for _, p := range b.spec.Network.Ports {
		if b.w.router == nil {
			return b.w.noRouter()
		}
		got, fds, err := b.w.router.reserve(p)
		if err != nil {
			return err
		}
		for _, s := range got.Sockets {
			bound := wire.BoundPort{Port: p, Listener: true}
			bound.HostIP, bound.HostPort = s.HostIP.String(), s.HostPort
			b.reply.Ports = append(b.reply.Ports, bound)
		}
		b.sockets = append(b.sockets, fds...)
		warnings = got.Warnings // the same for every port
	}
	b.reply.Warnings = append(b.reply.Warnings, warnings...)
	return nil
}

// born computes the plan and carries it out.
func (b *birth) born() error {
	var err error
	b.input.Spec, b.input.Tasks = b.spec, b.tasks
	if b.input.Host, err = b.confined(b.fds["root"]); err != nil {
		return err
	}
	if b.spec.Init {
		b.fds["init"] = int(b.w.programs.init.Fd())
	}
	list, err := plan.Birth(b.input)
	if err != nil {
		return planError(b.process.Args, err)
	}
	return b.carryOut(list, b.atGate)
}

// atGate gives the waiting child what only the warden can give: limits above the host's soft ones, an OOM score, and an
// endpoint that is live.
func (b *birth) atGate(pid int) error {
	warnings, err := b.w.setLimits(pid, &b.spec.Process)
	if err != nil {
		return err
	}
	b.reply.Warnings = append(b.reply.Warnings, warnings...)
	if b.box.endpoint == nil {
		return nil
	}
	return b.w.router.use(wire.OpEndpointActivate, b.box.endpoint, portsOf(b.reply.Ports))
}

// record notes the container for a later warden.
func (b *birth) record() error {
	if e := b.box.endpoint; e != nil {
		b.reply.Address, b.reply.PrefixLen = e.Addr.String(), e.PrefixLen
		b.reply.Gateway, b.reply.MAC = e.Gateway.String(), e.MAC
	}
	ceiling := b.spec.Process
	ceiling.Args, ceiling.Env, ceiling.Cwd = nil, nil, ""
	n := &note{ID: b.c.id, Ceiling: ceiling, Endpoint: b.box.endpoint, Execs: map[string]*process{}, process: process{Started: b.reply}}
	if err := b.w.notes.write(n); err != nil {
		return err
	}
	b.c.note = n
	return nil
}

// handOver gives the outer ends to the container's entry, the keeper and the reply.
func (b *birth) handOver() (err error) {
	c, w := b.c, b.w
	c.pty = b.pty
	if c.pidfd, err = b.keepEnds(); err != nil {
		return err
	}
	for i, s := range b.sockets {
		if err := w.keep.hold([]string{portKey(c.id, i)}, s); err != nil {
			return err
		}
		c.ports = append(c.ports, s)
		theirs, err := dup(s)
		if err != nil {
			return err
		}
		b.theirs = append(b.theirs, theirs)
	}
	return nil
}

// undo takes back what a failed start made. The descriptors of the birth are closed already.
func (b *birth) undo() {
	w := b.w
	b.program.undo()
	if b.c.pidfd >= 0 {
		unix.Close(b.c.pidfd)
		b.c.pidfd = -1
	}
	b.c.pty, b.c.ports = -1, nil
	for i, s := range b.sockets {
		unix.Close(s)
		w.keep.drop(portKey(b.c.id, i))
	}
	if b.box != nil {
		wire.CloseAll(slices.Collect(maps.Values(b.box.mounts)))
	}
	if b.box != nil && b.box.endpoint != nil {
		if err := w.router.release(b.box.endpoint); err != nil {
			w.log("%v", err)
		}
	}
	if b.group != nil {
		w.removeGroup(b.group)
	}
	if b.first {
		trash, err := w.discard(b.c.id)
		if err == nil {
			err = os.RemoveAll(trash)
		}
		if err != nil {
			w.log("%v", err) // its ids stay taken
		} else if b.box != nil {
			w.ranges.free(b.box.base)
		}
	}
	w.notes.remove(b.c.id)
	b.c.note = nil
}
