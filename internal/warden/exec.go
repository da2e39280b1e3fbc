package warden

import (
	"errors"
	"fmt"
	"os"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/path"
	"github.com/brig-engine/brig/internal/kernel/pidfd"
	"github.com/brig-engine/brig/internal/warden/plan"
	"github.com/brig-engine/brig/internal/wire"
)

// maxExecs bounds the executions of one container: each costs descriptors here and at the keeper.
const maxExecs, maxExecName = 128, 64

// execStart executes a process in a running container, capped at the confinement of its process 1.
func (w *Warden) execStart(c *container, q wire.ExecStart) (wire.Reply, error) {
	if !validName(q.Exec, maxExecName) {
		return wire.Reply{}, fmt.Errorf("%q is no id of an execution: %w", q.Exec, errdefs.ErrInvalidArgument)
	}
	if w.parent.Open(q.ID).Frozen() { // the child would stand still before it says that it lives
		return wire.Reply{}, fmt.Errorf("container %s is paused: %w", short(q.ID), errdefs.ErrConflict)
	}
	if len(c.note.Execs) >= maxExecs {
		return wire.Reply{}, fmt.Errorf("container %s has %d executions already: %w", short(q.ID), maxExecs, errdefs.ErrResourceExhausted)
	}
	if c.note.Execs[q.Exec] != nil {
		return wire.Reply{}, fmt.Errorf("execution %s was started already: %w", short(q.Exec), errdefs.ErrConflict)
	}
	if err := capProcess(&q.Process, &c.note.Ceiling); err != nil {
		return wire.Reply{}, err
	}
	made := &process{key: key(q.ID, q.Exec)}
	made.Started.Range, made.Started.MountLabel = c.note.Started.Range, c.note.Started.MountLabel
	p := newProgram(w, c, c.note.Caller, &q.Process, made)
	p.host.ProcessLabel = c.note.Started.ProcessLabel
	if c.note.Runtime != nil {
		if err := p.through(c.note.Runtime, q.Description, "exec", "--process", plan.ProcessFile, q.ID); err != nil {
			return wire.Reply{}, err
		}
	}
	record := func() error {
		c.note.Execs[q.Exec] = made
		return w.notes.write(c.note)
	}
	return p.run(func() { w.forgetExec(c, q.Exec, made) }, p.joinGroup, p.stdio, p.listen, p.join, record)
}

// forgetExec gives up what an execution had.
func (w *Warden) forgetExec(c *container, exec string, p *process) {
	delete(c.note.Execs, exec)
	w.dropStreams(p)
	if err := errors.Join(w.notes.write(c.note), os.RemoveAll(w.streamDir(p.key))); err != nil {
		w.log("execution %s: %v", short(exec), err) // a later warden finds it and forgets it
	}
}

// capProcess holds a process against the floor and against the container's own process 1, which was held against it
// with the caller known: no execution is less confined than the container.
func capProcess(p, ceiling *wire.Process) error {
	p.Filter, p.NoLandlock, p.ABI32 = ceiling.Filter, ceiling.NoLandlock, ceiling.ABI32
	p.AllowNewPrivileges = p.AllowNewPrivileges && ceiling.AllowNewPrivileges
	p.OOMScoreAdj, p.AppArmor = ceiling.OOMScoreAdj, ceiling.AppArmor
	p.Rlimits = ceiling.Rlimits
	p.Capabilities.Bounding &= ceiling.Capabilities.Bounding
	p.Capabilities.Permitted &= ceiling.Capabilities.Bounding
	var r refusal
	err := plan.CheckProcess(p)
	r.when(err != nil, "%v", err)
	checkProcess(&r, p) // what is relaxed now, is so in the container, whose caller was asked about
	return r.err()
}

// joinGroup opens the container's control group, its root and, for a terminal, its devpts, without following anything that
// the container could have put in its place.
func (p *program) joinGroup() (err error) {
	if err := p.processOne(); err != nil {
		return err
	}
	if p.entry, err = enter(p.w.parent.Open(p.c.id)); err == nil && p.want.Terminal {
		var pts int
		pts, err = path.Open(p.fds["root"], "dev/pts", unix.O_PATH|unix.O_DIRECTORY, 0, path.NoLinks)
		p.give("pts", pts)
	}
	return err
}

// processOne opens what the process 1 of a container has. Its root it chose itself: nobody but the kernel looks at that.
func (p *program) processOne() error {
	n := p.c.note
	if len(n.Runtime) > 0 && p.host.Runtime == nil { // what entered would not be in the container, but beside its runtime
		return fmt.Errorf("container %s was made by %s, and only that enters it. Next: stop it first, or use exec: %w", short(n.ID), n.Runtime[0], errdefs.ErrFailedPrecondition)
	}
	ending := fmt.Errorf("container %s is ending: %w", short(n.ID), errdefs.ErrConflict)
	if n.pidfd < 0 { // it ended while nobody was there, and its number is anybody's
		return ending
	}
	proc := fmt.Sprintf("/proc/%d/", n.Started.PID)
	root, err := unix.Open(proc+"root", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	p.give("root", root)
	userns, errUser := unix.Open(proc+"ns/user", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	p.give("userns", userns)
	// The number was process 1's when it was used. One that goes has lost its root a little before it has ended.
	if done, errEnd := pidfd.Ended(n.pidfd, 0); done || errEnd != nil || err == unix.ENOENT || err == unix.ESRCH {
		return ending
	}
	p.fds["pid1"] = n.pidfd
	return errors.Join(err, errUser)
}

func (p *program) join() error {
	if err := p.confine(); err != nil {
		return err
	}
	return p.carryOut(plan.Join(p.want, &p.host))
}

// process locks a container and finds a process of it: an executed one, or its own.
func (w *Warden) process(q wire.ProcessRef) (*container, *process, error) {
	c, err := w.known(q.ID)
	if err != nil {
		return nil, nil, err
	}
	p := &c.note.process
	if q.Exec != "" {
		p = c.note.Execs[q.Exec]
	}
	if p == nil {
		c.mu.Unlock()
		return nil, nil, fmt.Errorf("no execution %s in container %s: %w", short(q.Exec), short(q.ID), errdefs.ErrNotFound)
	}
	return c, p, nil
}

// closeStdin has a process read the end of its input.
func (w *Warden) closeStdin(q wire.ProcessRef) (any, error) {
	c, p, err := w.process(q)
	if err != nil {
		return nil, err
	}
	defer c.mu.Unlock()
	p.Started.Stdin = false
	return nil, w.keep.drop(key(p.key, streamNames[0]))
}

// A container that joins namespaces of another one is in its sandbox: it has the same range of ids, and its processes are
// in the same user namespace, without which they could do nothing in the others. The range is free again when the last of
// them is removed. Who may join whom is for brigd to say, as who executes what in which container.

// joined opens what is needed of the container whose namespaces another one joins, if there is one. No lock is held: two
// that join each other would wait for ever.
func (w *Warden) joined(id string) (p program, err error) {
	p.fds = map[string]int{}
	if id == "" {
		return p, nil
	}
	if p.c, err = w.running(id); err != nil {
		return p, err
	}
	defer p.c.mu.Unlock()
	if err = p.processOne(); err != nil {
		return p, err
	}
	delete(p.fds, "root") // that one's, and no birth's
	fd, err := dup(p.fds["pid1"])
	p.give("pid1", fd)
	return p, err
}

// inherit makes the sandbox of a container that joins another one, with its range: within its user namespace, or for a look
// at the files of one that never ran in a new one. own is the range of the container's directory, if it has one.
func (b *birth) inherit(own uint32, endpoint bool, level string) (s *sandbox, err error) {
	owner := b.spec.Join.Container
	base, _ := b.w.rangeOf(owner)
	if b.first {
		own = base
		b.w.ranges.hold(base, 1)
	}
	// Its directory is still there: nobody else can have had the range before it was held.
	again, err := b.w.rangeOf(owner)
	if err != nil || again != base || own != base {
		err = fmt.Errorf("container %s was never started, or has other ids than %s: %w", short(owner), short(b.c.id), errors.Join(errdefs.ErrFailedPrecondition, err))
	} else {
		s, err = b.w.sandboxAt(base, b.fds["userns"], endpoint, level)
	}
	if err != nil && b.first {
		b.w.ranges.hold(base, -1)
	}
	return s, err
}
