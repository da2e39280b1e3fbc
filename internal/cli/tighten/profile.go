package tighten

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// atEnd are the system calls that a program makes when it is stopped, is told something by a signal, or fails. A run that was
// looked at while it went well need not have had them.
var atEnd = words("exit exit_group rt_sigreturn rt_sigaction rt_sigprocmask restart_syscall futex kill tgkill getpid gettid " +
	"close munmap wait4 write")

// atBirth are those that come between the filter and the first instruction of a program: of the engine, and of its init.
var atBirth = words("execve execveat")

// missing fail with ENOSYS, as they do by the default and by the floor, because libraries know an older way. Of two filters
// that refuse a call the one that was loaded last says with which error, and that is the profile.
var missing = words("clone3 modify_ldt cachestat listmount statmount getxattrat setxattrat listxattrat removexattrat futex_wait futex_wake " +
	"futex_requeue remap_file_pages")

func words(s string) []string { return strings.Fields(s) }

// architectures as profiles call them, by the engine's words.
var architectures = map[string]string{"amd64": "SCMP_ARCH_X86_64", "arm64": "SCMP_ARCH_AARCH64"}

// profile is a seccomp profile in Docker's JSON.
type profile struct {
	DefaultAction   string   `json:"defaultAction"`
	DefaultErrnoRet int      `json:"defaultErrnoRet"`
	Architectures   []string `json:"architectures"`
	Syscalls        []rule   `json:"syscalls"`
}

type rule struct {
	Names    []string `json:"names"`
	Action   string   `json:"action"`
	ErrnoRet *int     `json:"errnoRet,omitempty"`
	Comment  string   `json:"comment,omitempty"`
}

// Profile allows what was recorded on an architecture, what comes before it and what comes at the end, and refuses the rest.
func Profile(arch string, calls []string) ([]byte, error) {
	token, ok := architectures[arch]
	if !ok {
		return nil, fmt.Errorf("the engine records on an architecture %q, for which there is no profile", arch)
	}
	const eperm = 1
	enosys := 38
	known := func(name string) bool { return !strings.HasPrefix(name, "#") && !slices.Contains(missing, name) } // a number without a name
	recorded := slices.DeleteFunc(slices.Clone(calls), func(name string) bool { return !known(name) })
	slices.Sort(recorded)
	more := slices.DeleteFunc(slices.Concat(atBirth, atEnd), func(name string) bool { return slices.Contains(recorded, name) })
	p := profile{DefaultAction: "SCMP_ACT_ERRNO", DefaultErrnoRet: eperm, Architectures: []string{token}}
	add := func(r rule) {
		if len(r.Names) > 0 {
			p.Syscalls = append(p.Syscalls, r)
		}
	}
	add(rule{Names: slices.Compact(recorded), Action: "SCMP_ACT_ALLOW", Comment: "recorded"})
	add(rule{Names: more, Action: "SCMP_ACT_ALLOW", Comment: "needed to begin and to end"})
	add(rule{Names: missing, Action: "SCMP_ACT_ERRNO", ErrnoRet: &enosys, Comment: "libraries have an older way"})
	b, err := json.MarshalIndent(p, "", "  ")
	return append(b, '\n'), err
}

// needs are the capabilities that system calls may take. What a call with an owner, a user or a root is about is not recorded:
// so they are derived, and not seen.
var needs = []struct{ capability, calls string }{
	{"CHOWN", "chown fchown fchownat lchown"},
	{"SETUID", "setuid setreuid setresuid setfsuid"},
	{"SETGID", "setgid setgroups setregid setresgid setfsgid"},
	{"SYS_CHROOT", "chroot"},
	{"SETPCAP", "capset"},
	{"SYS_NICE", "sched_setscheduler sched_setattr setpriority ioprio_set"},
	{"IPC_LOCK", "mlock mlock2 mlockall"},
	{"MKNOD", "mknod mknodat"},
}

// Need is a capability that may have been used, and the calls from which that is derived.
type Need struct {
	Capability string
	Calls      []string
}

// Derive says which capabilities the calls of programs may have used, some of which ran as root. A program of another user
// has none in a container, whatever it calls.
func Derive(calls []string, root bool) (list []Need) {
	for _, n := range needs {
		var seen []string
		for _, c := range words(n.calls) {
			if slices.Contains(calls, c) {
				seen = append(seen, c)
			}
		}
		if root && len(seen) > 0 {
			list = append(list, Need{n.capability, seen})
		}
	}
	return list
}
