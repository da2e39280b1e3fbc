package plan

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/clone"
)

// StepError says which operation of a plan failed. errors.Is sees the errno.
type StepError struct {
	// Index is the number that the printed plan has at the operation.
	Index int
	Op    *Op
	Sort  Sort
	clone.StepError
}

func (e *StepError) Error() string {
	return e.Op.What + ": " + e.Reason()
}

// Start has child, which waits for its list, become the process of a plan, and returns when the program has been executed.
// The caller reaps it by the pidfd. given are the descriptors that the plan names, without the angle brackets; they stay the
// caller's. atGate, if there is one, is waited for before the child may go through its gate; its error ends the child. So
// does any other.
func Start(p *Plan, given map[string]int, child *clone.Child, atGate func(pid int) error) (pid, pidfd int, err error) {
	l, err := p.Link()
	if err == nil {
		err = l.carryOut(given, child, atGate)
	}
	if err != nil {
		child.Kill()
		return 0, -1, l.Explain(err)
	}
	return child.PID, child.Release(), nil
}

func (l *Linked) carryOut(given map[string]int, child *clone.Child, atGate func(pid int) error) error {
	fds := make([]int, len(l.Inputs))
	for i, name := range l.Inputs {
		fd, ok := given[name]
		if !ok {
			return fmt.Errorf("plan: descriptor <%s> was not prepared", name)
		}
		fds[i] = fd
	}
	err := child.Start(l.Program, fds)
	if err == nil && atGate != nil {
		err = atGate(child.PID)
	}
	if err == nil && slices.ContainsFunc(l.ops, func(op *Op) bool { return op.Kind == clone.Gate }) {
		err = child.Pass()
	}
	if err == nil {
		err = child.Done()
	}
	return err
}

// Explain names the operation behind a failed step.
func (l *Linked) Explain(err error) error {
	var step *clone.StepError
	if !errors.As(err, &step) || step.Step >= len(l.ops) {
		return err
	}
	e := &StepError{Index: step.Step + 1, Op: l.ops[step.Step], StepError: *step}
	if step.Cause != clone.Refused {
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

// Linked is a plan as a program.
type Linked struct {
	Program *clone.Program
	// Inputs are the descriptors that Start wants, in its order, without the angle brackets.
	Inputs []string
	// ops[i] is the operation of step i.
	ops []*Op

	slots  map[Ref]clone.Slot
	labels map[string]int
}

// Link makes the program of a plan and tells which descriptors it wants, in the order that clone.Start expects.
func (p *Plan) Link() (*Linked, error) {
	l := &Linked{Program: clone.New(), slots: map[Ref]clone.Slot{"<sync>": clone.Sync}, labels: map[string]int{}}
	at := 0
	for _, op := range p.Ops {
		if op.Label != "" {
			if _, twice := l.labels[op.Label]; twice {
				return nil, fmt.Errorf("plan: label %s is there twice", op.Label)
			}
			l.labels[op.Label] = at
		} else if op.Stage == "" {
			at++
		}
	}
	for _, op := range p.Ops {
		if op.Label != "" || op.Stage != "" {
			continue
		}
		step, err := l.step(op)
		if err != nil {
			return nil, fmt.Errorf("plan: %s: %w", op.What, err)
		}
		l.Program.Add(step)
		l.ops = append(l.ops, op)
	}
	return l, nil
}

func (l *Linked) step(op *Op) (step clone.Step, err error) {
	step.Nr, step.Kind = op.Nr, op.Kind
	if len(op.Args) > len(step.Args) || len(op.On) > len(step.On) {
		return step, fmt.Errorf("too many arguments or tolerated errors: %w", unix.E2BIG)
	}
	for i, a := range op.Args {
		if ref, ok := a.(Ref); ok {
			step.From[i], err = l.slot(ref, true)
		} else {
			step.Args[i], err = l.argument(a)
		}
		if err != nil {
			return step, err
		}
	}
	if op.Out != "" {
		if step.Out, err = l.slot(op.Out, false); err != nil {
			return step, err
		}
	}
	if step.Skip, err = l.skip(op.Then); err != nil {
		return step, err
	}
	for i, t := range op.On {
		step.On[i] = clone.Tolerance{Errno: t.Errno, Remember: t.Remember}
		if step.On[i].Skip, err = l.skip(t.To); err != nil {
			return step, err
		}
	}
	return step, nil
}

// argument is a number, or the address of memory that it makes in the program.
func (l *Linked) argument(a any) (uintptr, error) {
	p := l.Program
	switch a := a.(type) {
	case int:
		return uintptr(a), nil
	case string:
		return p.String(a), nil
	case []string:
		return p.Strings(a), nil
	case []byte:
		return p.Bytes(a), nil
	case []uint32, []uint64:
		b, err := binary.Append(nil, binary.NativeEndian, a)
		return p.Bytes(b), err
	case ForkArgs:
		return p.ForkArgs(uint64(a)), nil
	case Filter:
		return l.filter(a.Code), nil
	}
	return 0, fmt.Errorf("a %T is no argument of a system call", a)
}

// filter is a struct sock_fprog: a count, padding, a pointer to the instructions.
func (l *Linked) filter(code []byte) uintptr {
	head := make([]byte, 8)
	binary.NativeEndian.PutUint16(head, uint16(len(code)/8))
	return l.Program.Words([]uintptr{uintptr(binary.NativeEndian.Uint64(head)), l.Program.Bytes(code)})
}

// slot finds or makes the slot of a name. A use of a name that nothing has made is an input if it is in angle brackets.
func (l *Linked) slot(name Ref, use bool) (clone.Slot, error) {
	if s, ok := l.slots[name]; ok {
		return s, nil
	}
	input := strings.HasPrefix(string(name), "<")
	if use != input {
		return 0, fmt.Errorf("%s is used before it is made", name)
	}
	s, ok := l.Program.NewSlot()
	if !ok {
		return 0, fmt.Errorf("too many results and descriptors: %w", unix.E2BIG)
	}
	l.slots[name] = s
	if input {
		l.Program.Input(s)
		l.Inputs = append(l.Inputs, strings.Trim(string(name), "<>"))
	}
	return s, nil
}

// skip is how many steps lie between the step that is being made and label.
func (l *Linked) skip(label string) (uint16, error) {
	if label == "" {
		return 0, nil
	}
	to, ok := l.labels[label]
	if n := to - l.Program.Len() - 1; ok && n >= 0 && n < 1<<16 {
		return uint16(n), nil
	}
	return 0, fmt.Errorf("no later place %s", label)
}
