package warden

import (
	"errors"
	"fmt"
	"os"

	"github.com/containerd/errdefs"

	"github.com/brig-engine/brig/internal/warden/plan"
	"github.com/brig-engine/brig/internal/wire"
)

// birth is the start of a container under way.
type birth struct {
	program
	spec   *wire.Spec
	caller *caller

	note  *note
	first bool // the container has no directory yet
	box   *sandbox
	input plan.Input
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
	n := &note{ID: q.ID, Ceiling: q.Spec.Process, Execs: map[string]*process{}, process: process{key: q.ID}}
	n.Ceiling.Args, n.Ceiling.Env, n.Ceiling.Cwd = nil, nil, ""
	b := &birth{program: newProgram(w, c, &q.Spec.Process, &n.process), spec: &q.Spec, caller: by, note: n}
	return b.run(b.undo, b.sandbox, b.cgroup, b.rootfs, b.mounts, b.files, b.stdio, b.reserve, b.born, b.record)
}

// sandbox takes a range with its namespaces: for a container that ran before, the range of its directory.
func (b *birth) sandbox() error {
	endpoint := b.spec.Network.Mode == wire.NetworkEndpoint
	base, err := b.w.rangeOf(b.c.id)
	b.first = errors.Is(err, os.ErrNotExist)
	switch {
	case err == nil:
		b.box, err = b.w.sandboxAt(base, endpoint)
	case !b.first:
	case endpoint:
		b.box, err = b.w.pool.take()
	default:
		b.box, err = b.w.newSandbox(false)
	}
	if err != nil {
		return err
	}
	s := &b.made.Started
	s.Range, b.note.Endpoint = b.box.base, b.box.endpoint
	if e := b.box.endpoint; e != nil {
		s.Address, s.PrefixLen, s.Gateway, s.MAC = e.Addr.String(), e.PrefixLen, e.Gateway.String(), e.MAC
	}
	for name, fd := range b.box.fds {
		b.give(name, fd)
	}
	return nil
}

func (b *birth) cgroup() error {
	g, err := b.w.parent.Create(b.c.id, b.spec.Resources)
	if err != nil {
		return err
	}
	return b.enter(g)
}

// reserve binds the published ports before anything runs, so that a port in use is an error of the start.
func (b *birth) reserve() error {
	s := &b.made.Started
	for _, p := range b.spec.Network.Ports {
		got, fds, err := b.w.router.reserve(p)
		if err != nil {
			return err
		}
		for i, at := range got.Sockets {
			b.ends = append(b.ends, end{portName(len(s.Ports)), fds[i]})
			p.HostIP, p.HostPort = at.HostIP.String(), at.HostPort
			s.Ports = append(s.Ports, wire.BoundPort{Port: p, Listener: true})
		}
		b.note.ports = append(b.note.ports, fds...)
		s.Warnings = got.Warnings // the same for every port
	}
	return nil
}

// born computes the plan and carries it out.
func (b *birth) born() error {
	var err error
	b.input.Spec, b.input.Tasks = b.spec, b.tasks
	if b.input.Host, err = b.confined(); err != nil {
		return err
	}
	if b.spec.Init {
		b.fds["init"] = int(b.w.init.Fd())
	}
	list, err := plan.Birth(b.input)
	if err != nil {
		return planError(b.want.Args, err)
	}
	return b.carryOut(list, b.atGate)
}

// atGate gives the waiting child what only the warden can give: limits above the host's soft ones, an OOM score, and an
// endpoint that is live.
func (b *birth) atGate(pid int) error {
	if err := b.setLimits(pid); err != nil || b.box.endpoint == nil {
		return err
	}
	return b.w.router.use(wire.OpEndpointActivate, b.box.endpoint, b.made.Started.Ports)
}

// record notes the container for a later warden.
func (b *birth) record() error {
	b.c.note = b.note
	return b.w.notes.write(b.note)
}

// undo takes back what a failed start made.
func (b *birth) undo() {
	w := b.w
	b.c.note = nil
	w.takeDown(b.note)
	err := errors.Join(w.notes.remove(b.c.id), os.RemoveAll(w.streamDir(b.c.id)))
	if b.first && b.box != nil {
		erase, derr := w.discard(b.c.id, b.box.base)
		if derr == nil {
			derr = erase()
		}
		err = errors.Join(err, derr)
	}
	if err != nil {
		w.log("%v", err)
	}
}
