package warden

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/cred"
	"github.com/brig-engine/brig/internal/kernel/path"
	"github.com/brig-engine/brig/internal/warden/cgroup"
	"github.com/brig-engine/brig/internal/warden/plan"
	"github.com/brig-engine/brig/internal/warden/rootfs"
	"github.com/brig-engine/brig/internal/wire"
)

// birth is the start of a container under way.
type birth struct {
	program
	spec *wire.Spec

	note       *note
	first      bool // the container has no directory yet
	box        *sandbox
	allowed    []cgroup.Device
	fileMounts []int // see plan.Input
}

// containerStart is the operation of that name.
func (w *Warden) containerStart(r *wire.Request, q wire.ContainerStart) (wire.Reply, error) {
	by, err := w.admit(r.FDs, &q)
	var runtime []string
	if err == nil {
		runtime, err = w.checkNeeds(&q.Spec, by)
	}
	if err != nil {
		return wire.Reply{}, err
	}
	owner, err := w.joined(q.Spec.Join.Container)
	defer func() { wire.CloseAll(owner.own) }()
	if err != nil {
		return wire.Reply{}, err
	}
	c := w.locked(q.ID)
	defer c.mu.Unlock()
	if c.note != nil && c.note.Exit == nil {
		return wire.Reply{}, fmt.Errorf("container %s is running: %w", short(q.ID), errdefs.ErrConflict)
	}
	if err := w.dismiss(c); err != nil {
		return wire.Reply{}, err
	}
	w.reap(c.note)
	w.starts <- struct{}{} // beyond about two starts per core only latency grows
	defer func() { <-w.starts }()
	n := &note{ID: q.ID, Ceiling: q.Spec.Process, Execs: map[string]*process{}, process: process{key: q.ID}, Caller: by}
	n.Ceiling.Args, n.Ceiling.Env, n.Ceiling.Cwd = nil, nil, ""
	b := &birth{program: newProgram(w, c, by, &q.Spec.Process, &n.process), spec: &q.Spec, note: n}
	b.fds = owner.fds
	if n.Runtime = runtime; runtime != nil {
		if err := b.through(runtime, q.Description, "run", "--bundle", plan.BundleDir, q.ID); err != nil {
			return wire.Reply{}, err
		}
	}
	grouped := beside(func() error {
		g, err := w.parent.Create(q.ID, q.Spec.Resources)
		if err == nil {
			b.entry, err = enter(g)
		}
		return err
	})
	allow := func() error { return w.parent.Open(q.ID).Allow(b.allowed) }
	undo := func() { grouped(); b.entry.leave(); b.undo() } // a group with a child in it stays
	return b.run(undo, b.sandbox, b.devices, b.rootfs, b.mounts, b.files, b.stdio, b.reserve, grouped, allow, b.listen, b.born, b.record)
}

// admit holds a request against the floor, and gives its caller, who is behind fds.
func (w *Warden) admit(fds []int, q *wire.ContainerStart) (*caller, error) {
	by, err := w.callerOf(fds)
	if err == nil && !containerID(q.ID) {
		err = fmt.Errorf("%q is no id of a container: %w", q.ID, errdefs.ErrInvalidArgument)
	}
	if err == nil {
		err = checkSpec(&q.Spec, by, w.facts.Memory)
	}
	hide(&q.Spec)
	w.profile(&q.Spec.Process)
	return by, err
}

// beside begins f while the caller goes on, and returns how to wait for it, which may be done more than once.
func beside(f func() error) (wait func() error) {
	done := make(chan error, 1)
	go func() { done <- f() }()
	return sync.OnceValue(func() error { return <-done })
}

// sandbox takes a range with its namespaces: for a container that ran before, the range of its directory.
func (b *birth) sandbox() error {
	endpoint, level := b.spec.Network.Mode == wire.NetworkEndpoint, b.want.Level
	base, err := b.w.rangeOf(b.c.id)
	if b.first = errors.Is(err, os.ErrNotExist); b.first {
		os.Remove(b.w.directory(b.c.id) + "/work") // what a crash left of a first start
	}
	switch {
	case err == nil && b.fds["userns"] == 0:
		b.box, err = b.w.sandboxAt(base, 0, endpoint, level)
	case b.spec.Join.Container != "":
		b.box, err = b.inherit(base, endpoint, level)
	case !b.first:
	case endpoint && level == "":
		b.box, err = b.w.pooled()
	default:
		b.box, err = b.w.newSandbox(endpoint, level)
	}
	if err != nil {
		return err
	}
	if e := b.box.endpoint; e != nil {
		e.Membership = b.spec.Network.Membership
	}
	b.labels(cmp.Or(level, ownLevel(b.box.base)))
	b.made.Started.Range, b.made.Started.Endpoint = b.box.base, b.box.endpoint
	for name, fd := range b.box.fds {
		b.give(name, fd)
	}
	return nil
}

// reserve binds the published ports before anything runs, so that a port in use is an error of the start.
func (b *birth) reserve() error {
	s := &b.made.Started
	for _, p := range b.spec.Network.Ports {
		bound, fds, warnings, err := b.w.router.reserve(p)
		if err != nil {
			return err
		}
		for i, fd := range fds {
			b.ends = append(b.ends, end{portName(len(s.Ports) + i), fd})
		}
		s.Ports = append(s.Ports, bound...)
		b.note.ports = append(b.note.ports, fds...)
		s.Warnings = warnings // the same for every port
	}
	return nil
}

// born computes the plan and carries it out. Meanwhile the endpoint becomes live: there is nobody yet who could use it.
func (b *birth) born() error {
	live := func() error { return nil }
	if e, ports := b.box.endpoint, b.made.Started.Ports; e != nil {
		live = beside(func() error { return b.w.router.use(wire.OpEndpointActivate, e, ports) })
	}
	defer live()
	if err := b.confine(); err != nil {
		return err
	}
	if b.spec.Init {
		b.fds["init"] = int(b.w.init.Fd())
	}
	b.atGate = func(int) error { return live() }
	return b.carryOut(plan.Birth(plan.Input{Spec: b.spec, Files: b.fileMounts, Host: b.host}))
}

// listen connects to the listener of the process's filter, if there is one. It is told the container process state of the OCI
// runtime specification, and gets the descriptor that the kernel makes with the filter.
func (p *program) listen() error {
	f, child := p.want.Filter, p.entry.child
	if f == nil || f.Listener == "" {
		return nil
	}
	socket, as := p.w.cfg.Run+"/daemon/"+f.Listener, cred.Peer{UID: brigdID, GID: brigdID}
	if f.Listener[0] == '/' {
		socket, as = f.Listener, cred.Peer(*p.by)
	}
	conn, err := rootfs.OpenHostPath(socket, as, true)
	if err != nil {
		return fmt.Errorf("the listener of the seccomp profile: %w: %w", err, errdefs.ErrInvalidArgument)
	}
	p.own = append(p.own, conn)
	child.Offered = func(fd int) error {
		status, first := "creating", child.PID
		if n := p.c.note; n != nil && n.pidfd >= 0 { // an execution
			status, first = "running", n.Started.PID
		}
		const text = `{"ociVersion":"1.2.0","fds":["seccompFd"],"pid":%d,"metadata":%s,"state":{"ociVersion":"1.2.0","id":%q,"status":%q,"pid":%d,"bundle":""}}`
		told := fmt.Appendf(nil, text, child.PID, f.Metadata, p.c.id, status, first)
		n, err := unix.SendmsgN(conn, told, unix.UnixRights(fd), nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT) // a listener need not read
		if err == nil && n < len(told) {
			err = unix.EAGAIN
		}
		return err
	}
	return nil
}

// record notes the container for a later warden.
func (b *birth) record() error {
	b.note.hold()
	b.c.note = b.note
	return b.w.notes.write(b.note)
}

// undo takes back what a failed start made.
func (b *birth) undo() {
	w := b.w
	b.c.note = nil
	w.takeDown(b.note)
	if err := errors.Join(w.notes.remove(b.c.id), os.RemoveAll(w.streamDir(b.c.id)), b.undoRoot()); err != nil {
		w.log("%v", err)
	}
}

// undoRoot deletes the directory of a container that has none but by this start.
func (b *birth) undoRoot() error {
	if !b.first || b.box == nil {
		return nil
	}
	erase, err := b.w.discard(b.c, b.box.base)
	if err != nil {
		return err
	}
	return erase()
}

// devices gives the container those of the host that its spec names; who asked has them by the policy, as checkNeeds has seen to.
func (b *birth) devices() error {
	for _, d := range b.spec.Devices {
		fd, err := rootfs.OpenHostPath(d.Source, cred.Peer(*b.by), false)
		if err == nil {
			err = b.device(fd, d.Target[1:], d.Access)
		}
		if err != nil {
			return fmt.Errorf("device %s: %w: %w", d.Source, err, errdefs.ErrInvalidArgument)
		}
	}
	return nil
}

// device gives the one behind fd, which it closes, or all that are below a directory, as Docker does.
func (b *birth) device(fd int, name string, access uint32) error {
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	d := cgroup.Device{Major: unix.Major(st.Rdev), Minor: unix.Minor(st.Rdev), Access: access}
	switch kind := st.Mode & unix.S_IFMT; {
	case kind == unix.S_IFDIR:
		entries, err := os.ReadDir(path.Proc(fd))
		for i := 0; i < len(entries) && err == nil; i++ {
			var next int
			if next, err = unix.Openat(fd, entries[i].Name(), unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0); err == nil {
				err = b.device(next, name+"/"+entries[i].Name(), access)
			}
		}
		return err
	case kind == unix.S_IFLNK: // in a directory: what it leads to is there by itself, or was not asked for
		return nil
	case kind != unix.S_IFCHR || len(b.allowed) == maxDevices:
		return fmt.Errorf("the floor policy gives /%s to no container: no disk, nothing but devices, no more than %d devices",
			name, maxDevices)
	}
	b.allowed = append(b.allowed, d)
	return rootfs.Device(b.fds["own"], name, b.box.base, &st)
}
