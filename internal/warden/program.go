package warden

import (
	"errors"
	"fmt"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/calls"
	"github.com/brig-engine/brig/internal/kernel/clone"
	"github.com/brig-engine/brig/internal/kernel/landlock"
	"github.com/brig-engine/brig/internal/kernel/path"
	"github.com/brig-engine/brig/internal/kernel/pidfd"
	"github.com/brig-engine/brig/internal/warden/cgroup"
	"github.com/brig-engine/brig/internal/warden/plan"
	"github.com/brig-engine/brig/internal/wire"
)

// program is one start of a process under way, of a container's own or of one that is executed in it.
type program struct {
	w    *Warden
	c    *container
	by   *caller // nil: nobody who matters
	want *wire.Process
	made *process // its record

	parts
	ends   []end // that the keeper and brigd get copies of
	theirs []int // descriptors for the reply
}

// parts are what any process is born with.
type parts struct {
	own    []int          // descriptors that only the start needs
	fds    map[string]int // what the plan names
	entry  entry
	host   plan.Host
	atGate func(pid int) error
}

// end is one that this side has of a stream, a terminal or a port, with its name at the keeper.
type end struct {
	name string
	fd   int
}

func newProgram(w *Warden, c *container, by *caller, want *wire.Process, made *process) program {
	made.Started.Terminal, made.Started.Stdin = want.Terminal, want.Stdin
	made.pidfd, made.pty = -1, -1
	return program{w: w, c: c, by: by, want: want, made: made, parts: parts{fds: map[string]int{}, host: w.host}}
}

// inOrder takes steps until one fails.
func inOrder(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// run takes the steps of a start in order, each of which notes what it made, and hands the process over; after one that
// failed undo takes everything back.
func (p *program) run(undo func(), steps ...func() error) (wire.Reply, error) {
	err := inOrder(append(steps, p.handOver)...)
	if err != nil {
		if p.made.pidfd >= 0 {
			pidfd.Signal(p.made.pidfd, unix.SIGKILL)
			pidfd.Wait(p.made.pidfd, false)
			unix.Close(p.made.pidfd)
		}
		wire.CloseAll(append(p.theirs, p.own...))
		undo()
		p.entry.leave()
		return wire.Reply{}, err
	}
	go func() { // the last reference to a mount waits for every processor: not on this path
		wire.CloseAll(p.own)
		p.entry.leave()
	}()
	return wire.Reply{Body: p.made.Started, FDs: p.theirs}, nil
}

// give notes a descriptor that the plan names and that nobody needs after the start.
func (p *parts) give(name string, fd int) {
	p.fds[name] = fd
	p.own = append(p.own, fd)
}

// entry is what a process enters its control group with: descriptors, and the child itself, which is born in version 2's
// while the caller goes on, and waits for what it is to do.
type entry struct {
	fds   []int // the group's directory, and tasks files of version 1
	child *clone.Child
}

func enter(g *cgroup.Group) (e entry, err error) {
	dir, tasks, err := g.Attach()
	if err == nil {
		e = entry{append([]int{dir}, tasks...), clone.NewChild(dir)}
	}
	return e, err
}

// leave gives up what has not become a process.
func (e *entry) leave() {
	if e.child != nil {
		e.child.Kill()
	}
	wire.CloseAll(e.fds)
	*e = entry{}
}

// confine takes what the process enters its group with, its filters, and its Landlock domain if there is to be one.
func (p *parts) confine(abi landlock.ABI, filters []plan.Filter, d *domain) (err error) {
	p.host.Filters, p.host.Tasks = filters, len(p.entry.fds)-1
	for i, fd := range p.entry.fds[1:] {
		p.fds[fmt.Sprintf("tasks%d", i)] = fd
	}
	if p.host.Landlock = abi > 0 && d != nil; p.host.Landlock {
		var set int
		set, err = d.ruleset(abi)
		p.give("landlock", set)
	}
	return err
}

// confine also takes a domain of its own below the root of the process. No device node is ever made, whatever else fails;
// and one that was executed later cannot look into process 1 (traps 17). A domain that handles any access to files refuses
// renames and links between directories (EXDEV) unless a rule allows them, so one rule does, for all that lies below the
// root, mounts included.
func (p *program) confine() (err error) {
	if p.host.Limits, err = p.limits(); err != nil {
		return err
	}
	p.fds["proc"] = p.w.proc
	var d *domain
	if !p.want.NoLandlock {
		d = &domain{landlock.Ruleset{FS: deviceNodes | unix.LANDLOCK_ACCESS_FS_REFER},
			map[string]uint64{path.Proc(p.fds["root"]): unix.LANDLOCK_ACCESS_FS_REFER}}
	}
	filters := p.w.filters.programs(p.want)
	if p.host.Runtime != nil {
		filters = []plan.Filter{{Name: "runtime's floor", Code: p.w.filters["floor-runtime"]}}
	}
	return p.parts.confine(landlock.ABI(p.w.facts.Landlock), filters, d)
}

// carryOut makes the process of a plan, if there is one, and notes when it began.
func (p *program) carryOut(list *plan.Plan, err error) error {
	s := &p.made.Started
	var step *plan.StepError
	switch {
	case err == nil:
		s.PID, p.made.pidfd, err = calls.Start(list, p.fds, p.entry.child, p.atGate)
	case !errors.As(err, &step): // a request that no plan can be made of
		err = fmt.Errorf("%w: %w", err, errdefs.ErrInvalidArgument)
	}
	if err != nil {
		return programError(p.want.Args[0], err)
	}
	s.StartedAt = time.Now().UnixNano()
	s.StartTime, err = wire.StartTime(s.PID)
	return err
}

// handOver gives the keeper, for a later daemon, and the reply copies of the pidfd and the ends.
func (p *program) handOver() (err error) {
	mine := []int{p.made.pidfd}
	var keys []string
	for _, e := range p.ends {
		keys, mine = append(keys, key(p.made.key, e.name)), append(mine, e.fd)
	}
	if err := p.w.keep.hold(keys, mine[1:]...); err != nil {
		return err
	}
	p.theirs, err = dups(mine...)
	return err
}

// dropStreams gives up the streams of a process that has ended.
func (w *Warden) dropStreams(p *process) {
	wire.CloseAll([]int{p.pty})
	p.pty = -1
	w.keep.drop(key(p.key, "pty"), key(p.key, streamNames[0]), key(p.key, streamNames[1]), key(p.key, streamNames[2]))
}
