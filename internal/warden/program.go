package warden

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/pidfd"
	"github.com/brig-engine/brig/internal/warden/cgroup"
	"github.com/brig-engine/brig/internal/warden/plan"
	"github.com/brig-engine/brig/internal/wire"
)

// program is one start of a process under way, of a container's own or of one that is executed in it.
type program struct {
	w    *Warden
	c    *container
	want *wire.Process
	made *process // its record

	own    []int          // descriptors that only the start needs
	fds    map[string]int // what the plan names
	cgroup int            // descriptor of version 2's group
	tasks  int            // number of those of version 1
	ends   []end          // that the keeper and brigd get copies of
	theirs []int          // descriptors for the reply
}

// end is one that this side has of a stream, a terminal or a port, with its name at the keeper.
type end struct {
	name string
	fd   int
}

func newProgram(w *Warden, c *container, want *wire.Process, made *process) program {
	made.Started.Terminal, made.Started.Stdin = want.Terminal, want.Stdin
	made.pidfd, made.pty = -1, -1
	return program{w: w, c: c, want: want, made: made, fds: map[string]int{}}
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
	go wire.CloseAll(p.own) // the last reference to a mount waits for every processor: not on this path
	if err != nil {
		if p.made.pidfd >= 0 {
			pidfd.Signal(p.made.pidfd, unix.SIGKILL)
			pidfd.Wait(p.made.pidfd, false)
			unix.Close(p.made.pidfd)
		}
		wire.CloseAll(p.theirs)
		undo()
		return wire.Reply{}, err
	}
	return wire.Reply{Body: p.made.Started, FDs: p.theirs}, nil
}

// give notes a descriptor that the plan names and that nobody needs after the start.
func (p *program) give(name string, fd int) {
	p.fds[name] = fd
	p.own = append(p.own, fd)
}

// enter opens what the child enters its control group with.
func (p *program) enter(g *cgroup.Group) error {
	dir, tasks, err := attach(g, p.fds)
	if err != nil {
		return err
	}
	p.own = append(append(p.own, tasks...), dir)
	p.cgroup, p.tasks = dir, len(tasks)
	return nil
}

// attach opens a group and names to a plan what is its.
func attach(g *cgroup.Group, fds map[string]int) (dir int, tasks []int, err error) {
	dir, tasks, err = g.Attach()
	for i, fd := range tasks {
		fds[fmt.Sprintf("tasks%d", i)] = fd
	}
	return dir, tasks, err
}

// confined is the host with the filters of this process, and a Landlock domain of its own below its root if there is to
// be one.
func (p *program) confined() (h plan.Host, err error) {
	h = p.w.host
	h.Filters = p.w.filters.programs(p.want)
	if h.Landlock = p.w.abi > 0 && !p.want.NoLandlock; h.Landlock {
		set, err := p.w.domain(p.fds["root"])
		if err != nil {
			return h, err
		}
		p.give("landlock", set)
	}
	return h, nil
}

// carryOut makes the process and notes when it began.
func (p *program) carryOut(list *plan.Plan, atGate func(pid int) error) (err error) {
	s := &p.made.Started
	s.PID, p.made.pidfd, err = plan.Start(list, plan.Options{FDs: p.fds, Cgroup: p.cgroup, AtGate: atGate})
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
	if p.Started.Terminal {
		wire.CloseAll([]int{p.pty})
		p.pty = -1
		w.keep.drop(key(p.key, "pty"))
		return
	}
	w.keep.drop(key(p.key, streamNames[0]), key(p.key, streamNames[1]), key(p.key, streamNames[2]))
}
