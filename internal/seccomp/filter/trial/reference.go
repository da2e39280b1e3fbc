// Package trial says what filters mean, and runs programs on calls that nobody makes, for tests.
//
// Zone: tests. Input: filters and programs of the test. Output: verdicts, as seccomp(2) returns them.
package trial

import (
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/seccomp/filter"
)

// Call is one call as the kernel shows it to a filter.
type Call struct {
	Arch   uint32
	Number uint32
	Args   [6]uint64
}

// Reference says what a filter means, straight from the words of filter.Filter, with no thought of speed.
func Reference(f *filter.Filter, c Call) uint32 {
	if f.Compat != nil && c.Arch == Token(f.Compat.Arch) {
		return Reference(f.Compat, c)
	}
	if c.Arch != Token(f.Arch) {
		return unix.SECCOMP_RET_KILL_PROCESS
	}
	if c.Number >= X32 {
		return unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)
	}
	var best *filter.Rule
	named := false
	for i := range f.Rules {
		r := &f.Rules[i]
		for _, nr := range r.Calls {
			if nr != c.Number {
				continue
			}
			named = true
			if matches(r, c) && (best == nil || r.Action.Severity() > best.Action.Severity()) {
				best = r
			}
		}
	}
	switch {
	case best != nil:
		return Verdict(best.Action, best.Errno)
	case f.Newest != 0 && c.Number > f.Newest && !named:
		return unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)
	}
	return Verdict(f.Default, f.Errno)
}

func matches(r *filter.Rule, c Call) bool {
	for _, a := range r.Args {
		if !a.Holds(c.Args[a.Index]) {
			return false
		}
	}
	return true
}

// X32 marks a call of the x32 ABI.
const X32 = 1 << 30

// Token is the architecture as the kernel names it.
func Token(a filter.Arch) uint32 {
	return map[filter.Arch]uint32{filter.AMD64: unix.AUDIT_ARCH_X86_64, filter.ARM64: unix.AUDIT_ARCH_AARCH64, filter.I386: unix.AUDIT_ARCH_I386}[a]
}

// Verdict is an action as the kernel is told.
func Verdict(a filter.Action, errno uint16) uint32 {
	return uint32(errno) | map[filter.Action]uint32{
		filter.KillProcess: unix.SECCOMP_RET_KILL_PROCESS, filter.KillThread: unix.SECCOMP_RET_KILL_THREAD,
		filter.Trap: unix.SECCOMP_RET_TRAP, filter.Errno: unix.SECCOMP_RET_ERRNO,
		filter.Notify: unix.SECCOMP_RET_USER_NOTIF, filter.Trace: unix.SECCOMP_RET_TRACE,
		filter.Log: unix.SECCOMP_RET_LOG, filter.Allow: unix.SECCOMP_RET_ALLOW}[a]
}
