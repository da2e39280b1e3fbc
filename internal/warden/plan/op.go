package plan

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/calls"
	"github.com/brig-engine/brig/internal/kernel/path"
)

// The words that plans are made of.
type (
	Plan      = calls.Plan
	Op        = calls.Op
	Ref       = calls.Ref
	ForkArgs  = calls.ForkArgs
	Filter    = calls.Filter
	StepError = calls.StepError
)

// builder collects operations.
type builder struct {
	ops    []*Op
	labels int
	root   Ref      // the descriptor of the root directory
	init   bool     // the program is a child of init
	shared []string // paths of the container whose namespaces this one joins
}

// stage begins a section.
func (b *builder) stage(title string) { b.ops = append(b.ops, &Op{Stage: title}) }

// do appends a system call; what is said when it fails.
func (b *builder) do(what string, nr uintptr, args ...any) *Op {
	op := &Op{Nr: nr, Args: args, What: what}
	b.ops = append(b.ops, op)
	return op
}

// open opens a name below a directory, in a way to resolve it. O_CLOEXEC is always added.
func (b *builder) open(what string, dir any, name string, flags, resolve uint64) *Op {
	mode := uint32(0)
	if flags&unix.O_CREAT != 0 {
		mode = 0o644
	}
	how := path.How(flags, mode, resolve)
	return b.do(what, unix.SYS_OPENAT2, dir, name, []uint64{how.Flags, how.Mode, how.Resolve}, unix.SizeofOpenHow)
}

// label returns a new name for a place, which place puts into the list.
func (b *builder) label(about string) string {
	b.labels++
	return fmt.Sprintf("%s.%d", about, b.labels)
}

func (b *builder) place(label string) { b.ops = append(b.ops, &Op{Label: label}) }
