package plan

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/clone"
)

// Plan is an ordered list of operations. It is made by Birth, Join or Service.
type Plan struct {
	Title string
	Ops   []*Op
}

// Op is one system call, or (with Label alone) a place to jump to, or (with Stage alone) a heading.
type Op struct {
	Stage string
	Label string

	Call string
	Args []Arg
	// Out is the name that later operations use for the result.
	Out string
	// On lists errors that do not end the plan; Then is where success jumps to, if not to the next operation.
	On   []On
	Then string
	// What is said when the operation fails, as in "mount proc on /proc: operation not permitted".
	What string
	// Why is the sentence of `brig explain`.
	Why string

	kind clone.Kind
	// sort is the class of the error when this operation ends the plan.
	sort Sort
}

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
	parked int    // mounts between the old root and the new one
	sync   string // names the socket of the gate, if it was moved
	root   string // names the descriptor of the root directory
}

// stage begins a section.
func (b *builder) stage(title string) { b.ops = append(b.ops, &Op{Stage: title}) }

// do appends a system call.
func (b *builder) do(what, why, call string, args ...Arg) *Op {
	op := &Op{Call: call, Args: args, What: what, Why: why}
	b.ops = append(b.ops, op)
	return op
}

// label returns a new name for a place, which place puts into the list.
func (b *builder) label(about string) string {
	b.labels++
	return fmt.Sprintf("%s.%d", about, b.labels)
}

func (b *builder) place(label string) { b.ops = append(b.ops, &Op{Label: label}) }

// to names the result.
func (o *Op) to(name string) *Op {
	o.Out = name
	return o
}

// or tolerates errors and goes on at the next operation.
func (o *Op) or(errnos ...unix.Errno) *Op {
	for _, e := range errnos {
		o.On = append(o.On, On{Errno: e})
	}
	return o
}

// jump tolerates errors and goes on at label.
func (o *Op) jump(label string, errnos ...unix.Errno) *Op {
	for _, e := range errnos {
		o.On = append(o.On, On{Errno: e, To: label})
	}
	return o
}

// then goes on at label after success.
func (o *Op) then(label string) *Op {
	o.Then = label
	return o
}

// number is the system call behind a name. All of them exist on every architecture that Go and Linux 6.1 share.
func number(call string) (uintptr, bool) {
	switch call {
	case "capset":
		return unix.SYS_CAPSET, true
	case "chdir":
		return unix.SYS_CHDIR, true
	case "clone3":
		return unix.SYS_CLONE3, true
	case "close_range":
		return unix.SYS_CLOSE_RANGE, true
	case "dup3":
		return unix.SYS_DUP3, true
	case "execve":
		return unix.SYS_EXECVE, true
	case "execveat":
		return unix.SYS_EXECVEAT, true
	case "faccessat2":
		return unix.SYS_FACCESSAT2, true
	case "fchdir":
		return unix.SYS_FCHDIR, true
	case "fcntl":
		return unix.SYS_FCNTL, true
	case "fsconfig":
		return unix.SYS_FSCONFIG, true
	case "fsmount":
		return unix.SYS_FSMOUNT, true
	case "fsopen":
		return unix.SYS_FSOPEN, true
	case "ioctl":
		return unix.SYS_IOCTL, true
	case "ioprio_set":
		return unix.SYS_IOPRIO_SET, true
	case "keyctl":
		return unix.SYS_KEYCTL, true
	case "landlock_restrict_self":
		return unix.SYS_LANDLOCK_RESTRICT_SELF, true
	case "mkdirat":
		return unix.SYS_MKDIRAT, true
	case "mount_setattr":
		return unix.SYS_MOUNT_SETATTR, true
	case "move_mount":
		return unix.SYS_MOVE_MOUNT, true
	case "open_tree":
		return unix.SYS_OPEN_TREE, true
	case "openat2":
		return unix.SYS_OPENAT2, true
	case "personality":
		return unix.SYS_PERSONALITY, true
	case "pivot_root":
		return unix.SYS_PIVOT_ROOT, true
	case "prctl":
		return unix.SYS_PRCTL, true
	case "read":
		return unix.SYS_READ, true
	case "rt_sigaction":
		return unix.SYS_RT_SIGACTION, true
	case "rt_sigprocmask":
		return unix.SYS_RT_SIGPROCMASK, true
	case "sched_setaffinity":
		return unix.SYS_SCHED_SETAFFINITY, true
	case "sched_setscheduler":
		return unix.SYS_SCHED_SETSCHEDULER, true
	case "seccomp":
		return unix.SYS_SECCOMP, true
	case "sendto":
		return unix.SYS_SENDTO, true
	case "set_mempolicy":
		return unix.SYS_SET_MEMPOLICY, true
	case "setdomainname":
		return unix.SYS_SETDOMAINNAME, true
	case "setgroups":
		return unix.SYS_SETGROUPS, true
	case "sethostname":
		return unix.SYS_SETHOSTNAME, true
	case "setns":
		return unix.SYS_SETNS, true
	case "setpriority":
		return unix.SYS_SETPRIORITY, true
	case "setresgid":
		return unix.SYS_SETRESGID, true
	case "setresuid":
		return unix.SYS_SETRESUID, true
	case "setsid":
		return unix.SYS_SETSID, true
	case "socket":
		return unix.SYS_SOCKET, true
	case "umask":
		return unix.SYS_UMASK, true
	case "umount2":
		return unix.SYS_UMOUNT2, true
	case "unlinkat":
		return unix.SYS_UNLINKAT, true
	case "unshare":
		return unix.SYS_UNSHARE, true
	case "write":
		return unix.SYS_WRITE, true
	case "clock_gettime":
		return unix.SYS_CLOCK_GETTIME, true
	case "let", "fail": // no system call
		return 0, true
	}
	return 0, false
}
