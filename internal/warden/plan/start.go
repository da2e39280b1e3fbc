package plan

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/clone"
)

// Options of a start.
type Options struct {
	// FDs are the descriptors that the plan names, without the angle brackets. They stay the caller's.
	FDs map[string]int
	// Cgroup is a descriptor of a cgroup v2 directory to be born in; 0 is none.
	Cgroup int
	// AtGate is called when the child waits at its gate; its error ends the child. It sets resource limits.
	AtGate func(pid int) error
	// Patience for each wait; 0 is clone.Patience.
	Patience time.Duration
}

// StepError says which operation of a plan failed. errors.Is sees the errno.
type StepError struct {
	// Index is the number that the printed plan has at the operation; 0 is the program's prologue.
	Index int
	Op    *Op
	Sort  Sort
	clone.StepError
}

func (e *StepError) Error() string {
	what := "prepare a child"
	if e.Op != nil {
		what = e.Op.What
	}
	return what + ": " + e.Reason()
}

// Start makes the process of a plan and returns when its program has been executed. The caller reaps it by the pidfd.
func Start(p *Plan, o Options) (pid, pidfd int, err error) {
	l, err := p.lower()
	if err != nil {
		return 0, -1, err
	}
	fds := make([]int, len(l.inputs))
	for i, name := range l.inputs {
		fd, ok := o.FDs[name]
		if !ok {
			return 0, -1, fmt.Errorf("plan: descriptor <%s> was not prepared", name)
		}
		fds[i] = fd
	}
	child, err := clone.Start(l.program, fds, clone.Options{Cgroup: o.Cgroup, Patience: o.Patience})
	if err != nil {
		return 0, -1, l.explain(err)
	}
	if err := l.gate(child, o.AtGate); err != nil {
		child.Kill()
		return 0, -1, l.explain(err)
	}
	if err := child.Done(); err != nil {
		return 0, -1, l.explain(err)
	}
	pid = child.PID
	return pid, child.Release(), nil
}

// gate leads the child through its gate, if the plan has one.
func (l *lowered) gate(child *clone.Child, atGate func(pid int) error) error {
	for _, op := range l.ops {
		if op == nil || op.Kind != clone.Gate {
			continue
		}
		if err := child.Await(); err != nil {
			return err
		}
		if atGate != nil {
			if err := atGate(child.PID); err != nil {
				return err
			}
		}
		return child.Pass()
	}
	return nil
}

// explain names the operation behind a failed step.
func (l *lowered) explain(err error) error {
	var step *clone.StepError
	if !errors.As(err, &step) || step.Step >= len(l.ops) {
		return err
	}
	e := &StepError{Index: max(step.Step-clone.Prologue+1, 0), Op: l.ops[step.Step], StepError: *step}
	if e.Op == nil || step.Cause != clone.Refused {
		return e
	}
	switch e.Sort = e.Op.sort; {
	case e.Sort == Engine:
	case step.Errno == unix.ENOENT || step.Errno == unix.ENOTDIR:
		e.Sort = NotFound
	default:
		e.Sort = NotExecutable
	}
	return e
}
