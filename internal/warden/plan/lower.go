package plan

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/clone"
)

func errnoName(e unix.Errno) string { return unix.ErrnoName(e) }

// lowered is a plan as a program.
type lowered struct {
	program *clone.Program
	// inputs are the names of the descriptors that Start wants, in its order.
	inputs []string
	// ops[i] is the operation of step i, nil in the program's prologue.
	ops []*Op

	numbers map[string]uintptr
	slots   map[string]clone.Slot
	labels  map[string]int
}

// Lower makes the program of a plan and tells which descriptors it wants, in the order that clone.Start expects.
func (p *Plan) Lower() (*clone.Program, []string, error) {
	l, err := p.lower()
	if err != nil {
		return nil, nil, err
	}
	return l.program, l.inputs, nil
}

func (p *Plan) lower() (*lowered, error) {
	l := &lowered{program: clone.New(), numbers: numbers(), labels: map[string]int{},
		slots: map[string]clone.Slot{"<sync>": clone.Sync}}
	l.ops = make([]*Op, l.program.Len())
	at := l.program.Len()
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
		if op.Call == "" {
			continue
		}
		step, err := l.step(op)
		if err != nil {
			return nil, fmt.Errorf("plan: %s: %w", op.Call, err)
		}
		l.program.Add(step)
		l.ops = append(l.ops, op)
	}
	return l, nil
}

func (l *lowered) step(op *Op) (clone.Step, error) {
	nr, known := l.numbers[op.Call]
	step := clone.Step{Nr: nr, Kind: op.kind}
	if !known || len(op.Args) > len(step.Args) || len(op.On) > len(step.On) {
		return step, fmt.Errorf("not a system call that a plan may make")
	}
	for i, a := range op.Args {
		switch {
		case a.reg != "":
			slot, err := l.slot(a.reg, true)
			if err != nil {
				return step, err
			}
			step.From[i] = slot
		case a.memory != nil:
			step.Args[i] = a.memory(l.program)
		default:
			step.Args[i] = a.value
		}
	}
	if op.Out != "" {
		slot, err := l.slot(op.Out, false)
		if err != nil {
			return step, err
		}
		step.Out = slot
	}
	var err error
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

// slot finds or makes the slot of a name. A use of a name that nothing has made is an input if it is in angle brackets.
func (l *lowered) slot(name string, use bool) (clone.Slot, error) {
	if s, ok := l.slots[name]; ok {
		return s, nil
	}
	input := strings.HasPrefix(name, "<")
	if use != input {
		return 0, fmt.Errorf("%s is used before it is made", name)
	}
	s, ok := l.program.NewSlot()
	if !ok {
		return 0, fmt.Errorf("too many results and descriptors: %w", unix.E2BIG)
	}
	l.slots[name] = s
	if input {
		l.program.Input(s)
		l.inputs = append(l.inputs, name)
	}
	return s, nil
}

// skip is how many steps lie between the step that is being made and label.
func (l *lowered) skip(label string) (uint16, error) {
	if label == "" {
		return 0, nil
	}
	to, ok := l.labels[label]
	if n := to - l.program.Len() - 1; ok && n >= 0 && n < 1<<16 {
		return uint16(n), nil
	}
	return 0, fmt.Errorf("no later place %s", label)
}
