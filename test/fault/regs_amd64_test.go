package fault

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// skipCall has a thread that stands in front of a system call make none.
func skipCall(tid int) {
	var r unix.PtraceRegs
	if unix.PtraceGetRegs(tid, &r) == nil {
		r.Orig_rax = ^uint64(0)
		unix.PtraceSetRegs(tid, &r)
	}
}

// failCall has a thread find this error where it made none.
func failCall(tid int, errno syscall.Errno) {
	var r unix.PtraceRegs
	if unix.PtraceGetRegs(tid, &r) == nil {
		r.Rax = -uint64(errno)
		unix.PtraceSetRegs(tid, &r)
	}
}
