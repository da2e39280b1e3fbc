package warden

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/pidfd"
	"github.com/brig-engine/brig/internal/warden/cgroup"
	"github.com/brig-engine/brig/internal/warden/plan"
	"github.com/brig-engine/brig/internal/wire"
)

// birth is one start under way: what was prepared so far, so that a failure takes back exactly that.
type birth struct {
	w      *Warden
	c      *container
	spec   *wire.Spec
	caller *caller

	first   bool // the container has no directory yet
	box     *sandbox
	group   *cgroup.Group
	own     []int          // descriptors that only the birth needs
	fds     map[string]int // what the plan names
	input   plan.Input
	cgroup2 int
	streams *stdio
	pty     int
	sockets []int // of the published ports, in the order of reply.Ports
	pidfd   int
	theirs  []int // descriptors for the reply, beside pidfd
	reply   wire.Started
}

// containerStart is the operation of that name.
func (w *Warden) containerStart(r *wire.Request) (wire.Reply, error) {
	var q wire.ContainerStart
	if err := r.Decode(&q); err != nil {
		return wire.Reply{}, err
	}
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
	b := &birth{w: w, c: c, spec: &q.Spec, caller: by, pty: -1, pidfd: -1, fds: map[string]int{}}
	fds, err := b.run()
	if err != nil {
		b.undo()
		return wire.Reply{}, err
	}
	return wire.Reply{Body: b.reply, FDs: fds}, nil
}

// run takes the steps of a start in order; each notes in b what it made.
func (b *birth) run() ([]int, error) {
	defer func() { go wire.CloseAll(b.own) }() // the last reference to a mount waits for every processor: not on this path
	steps := []func() error{b.sandbox, b.cgroup, b.rootfs, b.mounts, b.files, b.stdio, b.reserve, b.born, b.record}
	for _, step := range steps {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return b.handOver()
}

// give notes a descriptor that the plan names and that nobody needs after the birth.
func (b *birth) give(name string, fd int) int {
	b.fds[name] = fd
	b.own = append(b.own, fd)
	return fd
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
	b.give("userns", b.box.user)
	b.give("netns", b.box.net)
	return nil
}

func (b *birth) cgroup() (err error) {
	if b.group, err = b.w.parent.Create(b.c.id, b.spec.Resources); err != nil {
		return err
	}
	a, err := b.group.Attach()
	if err != nil {
		return err
	}
	b.cgroup2, b.input.Tasks = b.attach(a), len(a.Tasks)
	return nil
}

// attach takes over the descriptors through which a child enters its control group.
func (b *birth) attach(a *cgroup.Attach) (dir int) {
	for i, fd := range a.Tasks {
		b.give(fmt.Sprintf("tasks%d", i), fd)
	}
	b.own = append(b.own, a.Dir)
	return a.Dir
}

// stdio makes the standard streams, or a terminal of the container's own.
func (b *birth) stdio() error {
	p := &b.spec.Process
	b.reply.Terminal, b.reply.Stdin = p.Terminal, p.Stdin
	if p.Terminal {
		master, slave, err := openTerminal(b.fds["pts"], b.box.base, p)
		if err != nil {
			return err
		}
		b.pty = master
		b.give("tty", slave)
		return nil
	}
	uid, gid := int(b.box.base+p.User.UID), int(b.box.base+p.User.GID)
	var err error
	b.streams, err = newStdio(b.w.streamDir(b.c.id, ""), uid, gid, p.Stdin)
	if err != nil {
		return err
	}
	for i, name := range []string{"stdin", "stdout", "stderr"} {
		b.give(name, b.streams.inner[i])
	}
	return nil
}

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
	w, p := b.w, &b.spec.Process
	b.input.Spec, b.input.Host = b.spec, w.host
	var err error
	if b.input.Filters, err = w.filters.programs(p); err != nil {
		return err
	}
	if b.input.Landlock = w.abi > 0 && !p.NoLandlock; b.input.Landlock {
		set, err := w.domain(b.fds["root"])
		if err != nil {
			return err
		}
		b.give("landlock", set)
	}
	if b.spec.Init {
		b.fds["init"] = int(w.programs.init.Fd())
	}
	list, err := plan.Birth(b.input)
	if err != nil {
		return planError(p.Args, err)
	}
	b.reply.PID, b.pidfd, err = plan.Start(list, plan.Options{FDs: b.fds, Cgroup: b.cgroup2, AtGate: b.atGate})
	return programError(p.Args[0], err)
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
	stat, err := wire.ReadStat(b.reply.PID)
	if err != nil {
		return err
	}
	b.reply.StartTime, b.reply.StartedAt, b.reply.Range = stat.StartTime, time.Now().UnixNano(), b.box.base
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
func (b *birth) handOver() ([]int, error) {
	c, w := b.c, b.w
	mine, err := dup(b.pidfd)
	if err != nil {
		return nil, err
	}
	c.pidfd = mine
	c.pty = b.pty
	b.theirs, err = w.keepStreams(c.id, b.pty, b.streams)
	if err != nil {
		return nil, err
	}
	for i, s := range b.sockets {
		if err := w.keep.hold(portKey(c.id, i), s); err != nil {
			return nil, err
		}
		c.ports = append(c.ports, s)
		theirs, err := dup(s)
		if err != nil {
			return nil, err
		}
		b.theirs = append(b.theirs, theirs)
	}
	return append([]int{b.pidfd}, b.theirs...), nil
}

// undo takes back what a failed start made. The descriptors of the birth are closed already.
func (b *birth) undo() {
	w := b.w
	if b.pidfd >= 0 {
		pidfd.Signal(b.pidfd, unix.SIGKILL)
		pidfd.Wait(b.pidfd, false)
		unix.Close(b.pidfd)
	}
	if b.c.pidfd >= 0 {
		unix.Close(b.c.pidfd)
		b.c.pidfd = -1
	}
	if b.streams != nil {
		b.streams.closeOuter()
		os.RemoveAll(b.streams.dir)
	}
	w.dropStreams(b.c.id, b.pty)
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
	wire.CloseAll(b.theirs)
}
