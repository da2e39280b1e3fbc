package warden

import (
	"fmt"
	"os"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/path"
	"github.com/brig-engine/brig/internal/kernel/pidfd"
	"github.com/brig-engine/brig/internal/warden/plan"
	"github.com/brig-engine/brig/internal/wire"
)

// maxExecs bounds the executions of one container: each costs descriptors here and at the keeper.
const maxExecs = 128

var execName = nameRule{64}

// execStart executes a process in a running container, capped at the confinement of its process 1.
func (w *Warden) execStart(r *wire.Request) (wire.Reply, error) {
	var q wire.ExecStart
	if err := r.Decode(&q); err != nil {
		return wire.Reply{}, err
	}
	if !execName.ok(q.Exec) {
		return wire.Reply{}, fmt.Errorf("%q is no id of an execution: %w", q.Exec, errdefs.ErrInvalidArgument)
	}
	c, err := w.running(q.ID)
	if err != nil {
		return wire.Reply{}, err
	}
	defer c.mu.Unlock()
	if len(c.execs) >= maxExecs {
		return wire.Reply{}, fmt.Errorf("container %s has %d executions already: %w", short(q.ID), maxExecs, errdefs.ErrResourceExhausted)
	}
	if c.note.Execs[q.Exec] != nil {
		return wire.Reply{}, fmt.Errorf("execution %s was started already: %w", short(q.Exec), errdefs.ErrConflict)
	}
	if err := capProcess(&q.Process, &c.note.Ceiling); err != nil {
		return wire.Reply{}, err
	}
	e := &entry{birth: birth{w: w, c: c, pty: -1, pidfd: -1, fds: map[string]int{}}, id: q.Exec, process: &q.Process}
	defer func() { go wire.CloseAll(e.own) }()
	fds, err := e.run()
	if err != nil {
		e.undoExec()
		return wire.Reply{}, err
	}
	return wire.Reply{Body: e.reply, FDs: fds}, nil
}

// capProcess holds a process against the floor and against the container's own process 1, which was held against it
// with the caller known: no execution is less confined than the container.
func capProcess(p, ceiling *wire.Process) error {
	p.Filter, p.NoLandlock = ceiling.Filter, ceiling.NoLandlock
	p.AllowNewPrivileges = p.AllowNewPrivileges && ceiling.AllowNewPrivileges
	p.OOMScoreAdj = ceiling.OOMScoreAdj
	p.Rlimits = ceiling.Rlimits
	bound := ceiling.Capabilities.Bounding
	c := &p.Capabilities
	c.Bounding &= bound
	c.Permitted &= bound
	c.Effective &= bound
	c.Inheritable &= bound
	c.Ambient &= bound
	var r refusal
	plain := *p
	plain.AllowNewPrivileges, plain.NoLandlock, plain.Filter = false, false, ""
	checkProcess(&r, &plain, nil)
	return r.err()
}

// entry is one execution under way.
type entry struct {
	birth
	id      string
	process *wire.Process
	base    uint32
}

func (e *entry) run() ([]int, error) {
	e.base = e.c.note.Started.Range
	steps := []func() error{e.enterCgroup, e.openStreams, e.join, e.recordExec}
	for _, step := range steps {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return e.handOverExec()
}

func (e *entry) enterCgroup() error {
	g, err := e.w.group(e.c.id)
	if err != nil {
		return err
	}
	a, err := g.Attach()
	if err != nil {
		return err
	}
	e.input.Tasks = len(a.Tasks)
	e.cgroup2 = e.attach(a)
	return nil
}

func (e *entry) openStreams() error {
	p := e.process
	e.reply.Terminal, e.reply.Stdin = p.Terminal, p.Stdin
	if p.Terminal {
		pts, err := terminals(e.c.note.Started.PID)
		if err != nil {
			return fmt.Errorf("the container's terminals: %w", err)
		}
		defer unix.Close(pts)
		if done, err := pidfd.Ended(e.c.pidfd, 0); done || err != nil { // the number was process 1's when it was used
			return fmt.Errorf("container %s is ending: %w", short(e.c.id), errdefs.ErrConflict)
		}
		master, slave, err := openTerminal(pts, e.base, p)
		if err != nil {
			return err
		}
		e.pty = master
		e.give("tty", slave)
		return nil
	}
	uid, gid := int(e.base+p.User.UID), int(e.base+p.User.GID)
	var err error
	if e.streams, err = newStdio(e.w.streamDir(e.c.id, e.id), uid, gid, p.Stdin); err != nil {
		return err
	}
	for i, name := range []string{"stdin", "stdout", "stderr"} {
		e.give(name, e.streams.inner[i])
	}
	return nil
}

// rootOf opens the root directory of a process.
func rootOf(pid int) (int, error) {
	fd, err := unix.Open(fmt.Sprintf("/proc/%d/root", pid), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("the container's root: %w", err)
	}
	return fd, nil
}

// terminals opens the container's devpts without following anything that the container could have put in its place.
func terminals(pid int) (int, error) {
	root, err := rootOf(pid)
	if err != nil {
		return -1, err
	}
	defer unix.Close(root)
	return path.Open(root, "dev/pts", unix.O_PATH|unix.O_DIRECTORY, 0, path.NoLinks)
}

func (e *entry) join() error {
	w := e.w
	e.fds["pid1"] = e.c.pidfd
	in := plan.JoinInput{Process: e.process, Tasks: e.input.Tasks, Host: w.host}
	var err error
	if in.Filters, err = w.filters.programs(e.process); err != nil {
		return err
	}
	if in.Landlock = w.abi > 0 && !e.process.NoLandlock; in.Landlock {
		root, err := rootOf(e.c.note.Started.PID)
		if err != nil {
			return err
		}
		set, err := w.domain(root)
		unix.Close(root)
		if err != nil {
			return err
		}
		e.give("landlock", set)
	}
	list, err := plan.Join(in)
	if err != nil {
		return planError(e.process.Args, err)
	}
	atGate := func(pid int) error {
		_, err := w.setLimits(pid, e.process)
		return err
	}
	e.reply.PID, e.pidfd, err = plan.Start(list, plan.Options{FDs: e.fds, Cgroup: e.cgroup2, AtGate: atGate})
	return programError(e.process.Args[0], err)
}

func (e *entry) recordExec() error {
	stat, err := wire.ReadStat(e.reply.PID)
	if err != nil {
		return err
	}
	e.reply.StartTime, e.reply.StartedAt, e.reply.Range = stat.StartTime, time.Now().UnixNano(), e.base
	e.c.note.Execs[e.id] = &process{Started: e.reply}
	return e.w.notes.write(e.c.note)
}

func (e *entry) handOverExec() ([]int, error) {
	mine, err := dup(e.pidfd)
	if err != nil {
		return nil, err
	}
	e.c.execs[e.id] = &executed{pidfd: mine, pty: e.pty}
	e.theirs, err = e.w.keepStreams(e.c.id+"."+e.id, e.pty, e.streams)
	if err != nil {
		return nil, err
	}
	return append([]int{e.pidfd}, e.theirs...), nil
}

func (e *entry) undoExec() {
	if e.pidfd >= 0 {
		pidfd.Signal(e.pidfd, unix.SIGKILL)
		pidfd.Wait(e.pidfd, false)
		unix.Close(e.pidfd)
	}
	if x := e.c.execs[e.id]; x != nil {
		unix.Close(x.pidfd)
		delete(e.c.execs, e.id)
	}
	if e.streams != nil {
		e.streams.closeOuter()
		os.RemoveAll(e.streams.dir)
	}
	e.w.dropStreams(e.c.id+"."+e.id, e.pty)
	delete(e.c.note.Execs, e.id)
	if err := e.w.notes.write(e.c.note); err != nil {
		e.w.log("%v", err)
	}
	wire.CloseAll(e.theirs)
}

// execution finds and locks the container of an executed process.
func (w *Warden) execution(id, exec string) (*container, *process, *executed, error) {
	c, err := w.known(id)
	if err != nil {
		return nil, nil, nil, err
	}
	p, x := c.note.Execs[exec], c.execs[exec]
	if p == nil || x == nil {
		c.mu.Unlock()
		return nil, nil, nil, fmt.Errorf("no execution %s in container %s: %w", short(exec), short(id), errdefs.ErrNotFound)
	}
	return c, p, x, nil
}

// execFinish tells how an executed process ended, and forgets it.
func (w *Warden) execFinish(q wire.ExecRef) (any, error) {
	c, p, x, err := w.execution(q.ID, q.Exec)
	if err != nil {
		return nil, err
	}
	defer c.mu.Unlock()
	exit, err := w.ended(p, x.pidfd)
	if err != nil {
		return nil, err
	}
	delete(c.note.Execs, q.Exec)
	delete(c.execs, q.Exec)
	if err := w.notes.write(c.note); err != nil {
		return nil, err
	}
	w.reaped(p, x.pidfd)
	w.dropStreams(q.ID+"."+q.Exec, x.pty)
	os.RemoveAll(w.streamDir(q.ID, q.Exec))
	return exit, nil
}

func (w *Warden) execSignal(q wire.ExecSignal) (any, error) {
	c, _, x, err := w.execution(q.ID, q.Exec)
	if err != nil {
		return nil, err
	}
	defer c.mu.Unlock()
	if q.Signal < 1 || q.Signal > 64 {
		return nil, fmt.Errorf("there is no signal %d: %w", q.Signal, errdefs.ErrInvalidArgument)
	}
	return nil, pidfd.Signal(x.pidfd, unix.Signal(q.Signal))
}

func (w *Warden) execCloseStdin(q wire.ExecRef) (any, error) {
	c, p, _, err := w.execution(q.ID, q.Exec)
	if err != nil {
		return nil, err
	}
	defer c.mu.Unlock()
	p.Started.Stdin = false
	return nil, w.keep.drop(key(q.ID+"."+q.Exec, "stdin"))
}
