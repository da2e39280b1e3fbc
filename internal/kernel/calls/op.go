package calls

import (
	"encoding/json"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/clone"
)

// Plan is an ordered list of operations. Package plan makes those of the warden, and internal/daemon/explain prints them.
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

	// Sort is the class of the error when this operation ends the plan.
	Sort Sort
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

// Filter is a seccomp program in the order of loading.
type Filter struct {
	Name  string
	Code  []byte  // struct sock_filter, one after the other
	Flags uintptr // for seccomp(2), beside SPEC_ALLOW
}

// To names the result.
func (o *Op) To(name Ref) *Op {
	o.Out = name
	return o
}

// Or tolerates errors and goes on at the next operation.
func (o *Op) Or(errnos ...unix.Errno) *Op { return o.Jump("", errnos...) }

// Jump tolerates errors and goes on at label.
func (o *Op) Jump(label string, errnos ...unix.Errno) *Op {
	for _, e := range errnos {
		o.On = append(o.On, On{Errno: e, To: label})
	}
	return o
}

// Remember tolerates an error like Jump and makes it what a later fail reports.
func (o *Op) Remember(label string, errno unix.Errno) *Op {
	o.On = append(o.On, On{Errno: errno, To: label, Remember: true})
	return o
}

// Next goes on at label after success.
func (o *Op) Next(label string) *Op {
	o.Then = label
	return o
}
