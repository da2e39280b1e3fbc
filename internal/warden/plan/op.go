package plan

import (
	"encoding/json"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/clone"
	"github.com/brig-engine/brig/internal/kernel/path"
)

// Plan is an ordered list of operations. It is made by Birth, Join or Service; internal/daemon/explain prints it.
type Plan struct {
	Title string
	Ops   []*Op
}

// Op is one system call, or (with Label alone) a place to jump to, or (with Stage alone) a heading.
type Op struct {
	Stage string
	Label string

	Kind clone.Kind
	Nr   uintptr // of the system call; clone.Set and clone.Fail make none
	// Args are numbers (int), results of other operations (Ref), and memory that the plan carries: string, []string (a
	// vector of C strings), []byte, []uint32, []uint64, Filter and ForkArgs.
	Args []any
	// Out is the name that later operations use for the result.
	Out Ref
	// On lists errors that do not end the plan; Then is where success jumps to, if not to the next operation.
	On   []On
	Then string
	// What is said when the operation fails, as in "mount proc on /proc: operation not permitted". By it internal/daemon/explain knows
	// why the operation is there.
	What string

	// sort is the class of the error when this operation ends the plan.
	sort Sort
}

// Ref is the result of the operation with that name, or a descriptor that the warden prepared (<name>).
type Ref string

// MarshalJSON tells it from a string.
func (r Ref) MarshalJSON() ([]byte, error) { return json.Marshal(map[string]string{"ref": string(r)}) }

// ForkArgs are the flags of clone3, without CLONE_PARENT.
type ForkArgs uint64

// On tolerates one error: the plan goes on at label To, or at the next operation.
type On struct {
	Errno    unix.Errno
	To       string
	Remember bool // Errno is what a later fail reports
}

// Sort classes a failure by what a person is told and by the exit status that Docker uses.
type Sort uint8

// The classes. NotFound is exit status 127, NotExecutable is 126.
const (
	Engine Sort = iota
	NotFound
	NotExecutable
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

// to names the result.
func (o *Op) to(name Ref) *Op {
	o.Out = name
	return o
}

// or tolerates errors and goes on at the next operation.
func (o *Op) or(errnos ...unix.Errno) *Op { return o.jump("", errnos...) }

// jump tolerates errors and goes on at label.
func (o *Op) jump(label string, errnos ...unix.Errno) *Op {
	for _, e := range errnos {
		o.On = append(o.On, On{Errno: e, To: label})
	}
	return o
}

// remember tolerates an error like jump and makes it what a later fail reports.
func (o *Op) remember(label string, errno unix.Errno) *Op {
	o.On = append(o.On, On{Errno: errno, To: label, Remember: true})
	return o
}

// then goes on at label after success.
func (o *Op) then(label string) *Op {
	o.Then = label
	return o
}
