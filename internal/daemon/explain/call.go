package explain

import (
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// call is the name of a system call and how its arguments are written; nil is a number, a result or a string.
type call struct {
	name string
	args [6]func(any) string
}

// calls are the system calls that a plan, or a list of brig-oci, may make. All of them exist on every architecture that Go and Linux 6.1 share.
var calls = map[uintptr]call{
	unix.SYS_CAPSET:                 {"capset", at(0, always("{version 3}"), 1, capabilities)},
	unix.SYS_CHDIR:                  {name: "chdir"},
	unix.SYS_CHROOT:                 {name: "chroot"},
	unix.SYS_CLONE3:                 {"clone3", at(0, forkFlags)},
	unix.SYS_CLOSE_RANGE:            {name: "close_range"},
	unix.SYS_DUP3:                   {name: "dup3"},
	unix.SYS_EXECVE:                 {name: "execve"},
	unix.SYS_EXECVEAT:               {"execveat", at(4, spell(atFlags))},
	unix.SYS_FACCESSAT2:             {"faccessat2", at(2, always("X_OK"), 3, spell(atFlags))},
	unix.SYS_FCHDIR:                 {name: "fchdir"},
	unix.SYS_FCHOWN:                 {name: "fchown"},
	unix.SYS_FCHOWNAT:               {"fchownat", at(4, spell(atFlags))},
	unix.SYS_FCNTL:                  {"fcntl", at(1, is(unix.F_DUPFD_CLOEXEC, "F_DUPFD_CLOEXEC"))},
	unix.SYS_FSCONFIG:               {"fsconfig", at(1, either(fsconfigCommands))},
	unix.SYS_FSMOUNT:                {"fsmount", at(1, is(unix.FSMOUNT_CLOEXEC, "CLOEXEC"), 2, spell(mountFlags))},
	unix.SYS_FSOPEN:                 {"fsopen", at(1, is(unix.FSOPEN_CLOEXEC, "CLOEXEC"))},
	unix.SYS_IOCTL:                  {"ioctl", at(1, either(ioctls))},
	unix.SYS_KEYCTL:                 {"keyctl", at(0, is(unix.KEYCTL_JOIN_SESSION_KEYRING, "KEYCTL_JOIN_SESSION_KEYRING"))},
	unix.SYS_LANDLOCK_RESTRICT_SELF: {name: "landlock_restrict_self"},
	unix.SYS_MKDIRAT:                {"mkdirat", at(2, octal)},
	unix.SYS_MKNODAT:                {"mknodat", at(2, octal)},
	unix.SYS_MOUNT:                  {"mount", at(3, is(unix.MS_MOVE, "MS_MOVE"))},
	unix.SYS_MOUNT_SETATTR:          {"mount_setattr", at(2, spell(atFlags), 3, mountAttr)},
	unix.SYS_MOVE_MOUNT:             {"move_mount", at(4, spell(moveFlags))},
	unix.SYS_OPEN_TREE:              {"open_tree", at(2, spell(slices.Concat(treeFlags, atFlags)))},
	unix.SYS_OPENAT2:                {"openat2", at(2, openHow)},
	unix.SYS_PERSONALITY:            {name: "personality"},
	unix.SYS_PIVOT_ROOT:             {name: "pivot_root"},
	unix.SYS_PRCTL:                  {"prctl", at(0, either(prctls))},
	unix.SYS_PRLIMIT64:              {"prlimit64", at(1, either(limits), 2, braces)},
	unix.SYS_READ:                   {"read", at(1, always("{…}"))},
	unix.SYS_RT_SIGPROCMASK:         {"rt_sigprocmask", at(0, is(2, "SIG_SETMASK"), 1, always("{}"))},
	unix.SYS_SECCOMP:                {"seccomp", at(0, is(unix.SECCOMP_SET_MODE_FILTER, "SET_MODE_FILTER"), 1, spell(filterFlags))},
	unix.SYS_SENDTO:                 {"sendto", at(1, always("{…}"), 3, is(unix.MSG_NOSIGNAL, "MSG_NOSIGNAL"))},
	unix.SYS_SETDOMAINNAME:          {name: "setdomainname"},
	unix.SYS_SETGROUPS:              {name: "setgroups"},
	unix.SYS_SETHOSTNAME:            {name: "sethostname"},
	unix.SYS_SETNS:                  {"setns", at(1, spell(cloneFlags))},
	unix.SYS_SETRESGID:              {name: "setresgid"},
	unix.SYS_SENDFILE:               {name: "sendfile"},
	unix.SYS_SETRESUID:              {name: "setresuid"},
	unix.SYS_SETSID:                 {name: "setsid"},
	unix.SYS_SETXATTR:               {name: "setxattr"},
	unix.SYS_SYMLINKAT:              {name: "symlinkat"},
	unix.SYS_UMASK:                  {"umask", at(0, octal)},
	unix.SYS_UMOUNT2:                {"umount2", at(1, is(unix.MNT_DETACH, "MNT_DETACH"))},
	unix.SYS_UNLINKAT:               {name: "unlinkat"},
	unix.SYS_UNSHARE:                {"unshare", at(0, spell(cloneFlags))},
	unix.SYS_WRITE:                  {name: "write"},
}

// at says how the arguments at some places are written: pairs of a place and a way.
func at(pairs ...any) (args [6]func(any) string) {
	for i := 0; i < len(pairs); i += 2 {
		args[pairs[i].(int)] = pairs[i+1].(func(any) string)
	}
	return args
}

// callOf gives the call of an operation; a step that makes no system call has a name of its own.
func callOf(op *Op) call {
	switch op.Kind {
	case kindSet:
		return call{name: "let"}
	case kindFail:
		return call{"fail", at(0, errno)}
	}
	if c, ok := calls[op.Nr]; ok {
		return c
	}
	return call{name: fmt.Sprintf("not a system call that a plan may make: %d", op.Nr)}
}

// argument writes argument i of an operation.
func argument(op *Op, i int) string {
	if write := callOf(op).args[i]; write != nil {
		return write(op.Args[i])
	}
	if op.Nr == unix.SYS_PRCTL && i == 1 && op.Args[0] == any(unix.PR_CAP_AMBIENT) {
		return is(unix.PR_CAP_AMBIENT_RAISE, "RAISE")(op.Args[i])
	}
	return plain(op.Args[i])
}

// plain writes what explains itself.
func plain(a any) string {
	switch a := a.(type) {
	case int:
		if a == unix.AT_FDCWD {
			return "AT_FDCWD"
		}
		return strconv.Itoa(a)
	case string, []string:
		return fmt.Sprintf("%q", a)
	case Filter:
		return fmt.Sprintf("%s filter, %d instructions", a.Name, len(a.Code)/8)
	}
	return fmt.Sprint(a)
}

func octal(a any) string { return fmt.Sprintf("%#o", a) }

func braces(a any) string { return "{" + strings.Trim(fmt.Sprint(a), "[]") + "}" }

func errno(a any) string { return unix.ErrnoName(unix.Errno(a.(int))) }

// always is for memory that the kernel fills, or whose content is the only one there is.
func always(text string) func(any) string { return func(any) string { return text } }

func is(value int, name string) func(any) string { return either(map[int]string{value: name}) }

// either is one name of several; a value without one is a number.
func either(names map[int]string) func(any) string {
	return func(a any) string {
		if n, ok := a.(int); ok && names[n] != "" {
			return names[n]
		}
		return plain(a)
	}
}

// capabilities writes three sets, whose low halves come first, each as a count and a hexadecimal number; the names are
// in capabilities(7).
func capabilities(a any) string {
	w, ok := a.([]uint64)
	if !ok || len(w) != 6 {
		return plain(a)
	}
	var parts []string
	for i, name := range []string{"effective", "permitted", "inheritable"} {
		mask := w[i] | w[i+3]<<32
		parts = append(parts, fmt.Sprintf("%s %d capabilities, %#x", name, bits.OnesCount64(mask), mask))
	}
	return "{" + strings.Join(parts, "; ") + "}"
}
