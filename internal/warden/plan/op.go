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
	init   bool   // the program is a child of init
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

// numbers are the system calls that a plan may make. All of them exist on every architecture that Go and Linux 6.1
// share. let and fail make none.
func numbers() map[string]uintptr {
	return map[string]uintptr{
		"let": 0, "fail": 0,
		"capset": unix.SYS_CAPSET, "chdir": unix.SYS_CHDIR, "clone3": unix.SYS_CLONE3,
		"close_range": unix.SYS_CLOSE_RANGE, "dup3": unix.SYS_DUP3, "execve": unix.SYS_EXECVE,
		"execveat": unix.SYS_EXECVEAT, "faccessat2": unix.SYS_FACCESSAT2, "fchdir": unix.SYS_FCHDIR,
		"fcntl": unix.SYS_FCNTL, "fsconfig": unix.SYS_FSCONFIG, "fsmount": unix.SYS_FSMOUNT,
		"fsopen": unix.SYS_FSOPEN, "ioctl": unix.SYS_IOCTL, "ioprio_set": unix.SYS_IOPRIO_SET,
		"keyctl": unix.SYS_KEYCTL, "landlock_restrict_self": unix.SYS_LANDLOCK_RESTRICT_SELF,
		"mkdirat": unix.SYS_MKDIRAT, "mount_setattr": unix.SYS_MOUNT_SETATTR, "move_mount": unix.SYS_MOVE_MOUNT,
		"open_tree": unix.SYS_OPEN_TREE, "openat2": unix.SYS_OPENAT2, "personality": unix.SYS_PERSONALITY,
		"pivot_root": unix.SYS_PIVOT_ROOT, "prctl": unix.SYS_PRCTL, "read": unix.SYS_READ,
		"rt_sigaction": unix.SYS_RT_SIGACTION, "rt_sigprocmask": unix.SYS_RT_SIGPROCMASK,
		"sched_setaffinity": unix.SYS_SCHED_SETAFFINITY, "sched_setscheduler": unix.SYS_SCHED_SETSCHEDULER,
		"seccomp": unix.SYS_SECCOMP, "sendto": unix.SYS_SENDTO, "set_mempolicy": unix.SYS_SET_MEMPOLICY,
		"setdomainname": unix.SYS_SETDOMAINNAME, "setgroups": unix.SYS_SETGROUPS,
		"sethostname": unix.SYS_SETHOSTNAME, "setns": unix.SYS_SETNS, "setpriority": unix.SYS_SETPRIORITY,
		"setresgid": unix.SYS_SETRESGID, "setresuid": unix.SYS_SETRESUID, "setsid": unix.SYS_SETSID,
		"socket": unix.SYS_SOCKET, "umask": unix.SYS_UMASK, "umount2": unix.SYS_UMOUNT2,
		"unlinkat": unix.SYS_UNLINKAT, "unshare": unix.SYS_UNSHARE, "write": unix.SYS_WRITE,
	}
}
