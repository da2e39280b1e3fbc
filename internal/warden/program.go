package warden

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/pidfd"
	"github.com/brig-engine/brig/internal/warden/cgroup"
	"github.com/brig-engine/brig/internal/warden/plan"
	"github.com/brig-engine/brig/internal/wire"
)

// program is one start of a process under way, of a container's own or of one that is executed in it: what was prepared
// so far, so that a failure takes back exactly that.
type program struct {
	w       *Warden
	c       *container
	exec    string // id of the execution; "" for the container's own
	process *wire.Process
	base    uint32 // first host id of the sandbox

	own     []int          // descriptors that only the start needs
	fds     map[string]int // what the plan names
	tasks   int
	cgroup2 int
	streams *stdio
	pty     int
	pidfd   int
	theirs  []int // descriptors for the reply, beside pidfd
	reply   wire.Started
}

func newProgram(w *Warden, c *container, exec string, p *wire.Process) program {
	return program{w: w, c: c, exec: exec, process: p, pty: -1, pidfd: -1, fds: map[string]int{}}
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

// give notes a descriptor that the plan names and that nobody needs after the start.
func (p *program) give(name string, fd int) int {
	p.fds[name] = fd
	p.own = append(p.own, fd)
	return fd
}

// enter opens what the child enters its control group with.
func (p *program) enter(g *cgroup.Group) error {
	dir, tasks, err := g.Attach()
	if err != nil {
		return err
	}
	for i, fd := range tasks {
		p.give(fmt.Sprintf("tasks%d", i), fd)
	}
	p.own = append(p.own, dir)
	p.tasks, p.cgroup2 = len(tasks), dir
	return nil
}

// openStreams makes the standard streams, or a terminal of the container's own devpts.
func (p *program) openStreams(pts int) (err error) {
	p.reply.Terminal, p.reply.Stdin = p.process.Terminal, p.process.Stdin
	if p.process.Terminal {
		master, slave, err := openTerminal(pts, p.base, p.process)
		if err != nil {
			return err
		}
		p.pty = master
		p.give("tty", slave)
		return nil
	}
	u := p.process.User
	p.streams, err = newStdio(p.w.streamDir(p.c.id, p.exec), int(p.base+u.UID), int(p.base+u.GID), p.process.Stdin)
	if err != nil {
		return err
	}
	for i, name := range []string{"stdin", "stdout", "stderr"} {
		p.give(name, p.streams.inner[i])
	}
	return nil
}

// confined is the host with the filters of this process, and a Landlock domain of its own below root if there is to be
// one.
func (p *program) confined(root int) (h plan.Host, err error) {
	h = p.w.host
	if h.Filters, err = p.w.filters.programs(p.process); err != nil {
		return h, err
	}
	if h.Landlock = p.w.abi > 0 && !p.process.NoLandlock; h.Landlock {
		set, err := p.w.domain(root)
		if err != nil {
			return h, err
		}
		p.give("landlock", set)
	}
	return h, nil
}

// carryOut makes the process and notes when it began.
func (p *program) carryOut(list *plan.Plan, atGate func(pid int) error) (err error) {
	p.reply.PID, p.pidfd, err = plan.Start(list, plan.Options{FDs: p.fds, Cgroup: p.cgroup2, AtGate: atGate})
	if err != nil {
		return programError(p.process.Args[0], err)
	}
	p.reply.StartedAt, p.reply.Range = time.Now().UnixNano(), p.base
	p.reply.StartTime, err = wire.StartTime(p.reply.PID)
	return err
}

// key is what the keeper and the warden call the streams of a process.
func (p *program) key() string { return streamKey(p.c.id, p.exec) }

func streamKey(id, exec string) string {
	if exec == "" {
		return id
	}
	return key(id, exec)
}

// keepEnds gives the keeper copies of the outer ends of the streams, readies those for the reply, and returns a pidfd for
// the container's entry, also with an error.
func (p *program) keepEnds() (mine int, err error) {
	if mine, err = dup(p.pidfd); err != nil {
		return -1, err
	}
	p.theirs, err = p.w.keepStreams(p.key(), p.pty, p.streams)
	return mine, err
}

// answer hands the process over to brigd.
func (p *program) answer() wire.Reply {
	return wire.Reply{Body: p.reply, FDs: append([]int{p.pidfd}, p.theirs...)}
}

// undo takes back what a failed start made.
func (p *program) undo() {
	if p.pidfd >= 0 {
		pidfd.Signal(p.pidfd, unix.SIGKILL)
		pidfd.Wait(p.pidfd, false)
		unix.Close(p.pidfd)
	}
	if p.streams != nil {
		p.streams.closeOuter()
		os.RemoveAll(p.streams.dir)
	}
	p.w.dropStreams(p.key(), p.pty)
	wire.CloseAll(p.theirs)
}
