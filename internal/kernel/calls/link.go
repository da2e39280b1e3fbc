package calls

import (
	"cmp"
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
			return fmt.Errorf("calls: descriptor <%s> was not prepared", name)
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
	if err == nil && child.Offered != nil {
		err = child.Take()
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
	if step.Cause == clone.Refused && e.Op.Sort != Engine {
		e.Sort = NotExecutable
		if step.Errno == unix.ENOENT || step.Errno == unix.ENOTDIR {
			e.Sort = NotFound
		}
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
	err    error
}

// Link makes the program of a plan and tells which descriptors it wants, in the order that clone.Start expects.
func (p *Plan) Link() (*Linked, error) {
	l := &Linked{Program: clone.New(), slots: map[Ref]clone.Slot{"<sync>": clone.Sync}, labels: map[string]int{}}
	at := 0
	for _, op := range p.Ops {
		if op.Label != "" {
			if _, twice := l.labels[op.Label]; twice {
				return nil, fmt.Errorf("calls: label %s is there twice", op.Label)
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
		l.Program.Add(l.step(op))
		if l.err != nil {
			return nil, fmt.Errorf("calls: %s: %w", op.What, l.err)
		}
		l.ops = append(l.ops, op)
	}
	return l, nil
}

func (l *Linked) step(op *Op) (step clone.Step) {
	step.Nr, step.Kind = op.Nr, op.Kind
	if len(op.Args) > len(step.Args) || len(op.On) > len(step.On) {
		l.failed("too many arguments or tolerated errors", unix.E2BIG)
		return step
	}
	for i, a := range op.Args {
		if ref, ok := a.(Ref); ok {
			step.From[i] = l.slot(ref, true)
		} else {
			step.Args[i] = l.argument(a)
		}
	}
	if op.Out != "" {
		step.Out = l.slot(op.Out, false)
	}
	step.Skip = l.skip(op.Then)
	for i, t := range op.On {
		step.On[i] = clone.Tolerance{Errno: t.Errno, Remember: t.Remember, Skip: l.skip(t.To)}
	}
	return step
}

// failed keeps what is wrong with an operation, the first that is.
func (l *Linked) failed(what string, err error) {
	l.err = cmp.Or(l.err, fmt.Errorf("%s: %w", what, err))
}

// argument is a number, or the address of memory that it makes in the program.
func (l *Linked) argument(a any) uintptr {
	p := l.Program
	switch a := a.(type) {
	case int:
		return uintptr(a)
	case string:
		return p.String(a)
	case []string:
		return p.Strings(a)
	case []byte:
		return p.Bytes(a)
	case []uint32, []uint64:
		b, _ := binary.Append(nil, binary.NativeEndian, a) // numbers can be written
		return p.Bytes(b)
	case ForkArgs:
		return p.ForkArgs(uint64(a))
	case Filter:
		return l.filter(a.Code)
	}
	l.failed(fmt.Sprintf("a %T is no argument of a system call", a), unix.EINVAL)
	return 0
}

// filter is a struct sock_fprog: a count, padding, a pointer to the instructions.
func (l *Linked) filter(code []byte) uintptr {
	head := make([]byte, 8)
	binary.NativeEndian.PutUint16(head, uint16(len(code)/8))
	return l.Program.Words([]uintptr{uintptr(binary.NativeEndian.Uint64(head)), l.Program.Bytes(code)})
}

// slot finds or makes the slot of a name. A use of a name that nothing has made is an input if it is in angle brackets.
func (l *Linked) slot(name Ref, use bool) clone.Slot {
	if s, ok := l.slots[name]; ok {
		return s
	}
	input := strings.HasPrefix(string(name), "<")
	s, ok := l.Program.NewSlot()
	if use != input {
		l.failed(string(name)+" is used before it is made", unix.EINVAL)
	} else if !ok {
		l.failed("too many results and descriptors", unix.E2BIG)
	}
	l.slots[name] = s
	if input {
		l.Program.Input(s)
		l.Inputs = append(l.Inputs, strings.Trim(string(name), "<>"))
	}
	return s
}

// skip is how many steps lie between the step that is being made and label.
func (l *Linked) skip(label string) uint16 {
	to, ok := l.labels[label]
	n := to - l.Program.Len() - 1
	if label != "" && (!ok || n < 0 || n >= 1<<16) {
		l.failed("no later place "+label, unix.EINVAL)
	}
	return uint16(max(n, 0))
}
