package fault

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// skipCall has a thread that stands in front of a system call make none.
func skipCall(tid int) {
	const systemCall = 0x404 // NT_ARM_SYSTEM_CALL
	none := int32(-1)
	iov := unix.Iovec{Base: (*byte)(unsafe.Pointer(&none)), Len: 4}
	ptrace(unix.PTRACE_SETREGSET, tid, systemCall, uintptr(unsafe.Pointer(&iov)))
}

// failCall has a thread find this error where it made none.
func failCall(tid int, errno syscall.Errno) {
	var r unix.PtraceRegs
	if unix.PtraceGetRegs(tid, &r) == nil {
		r.Regs[0] = -uint64(errno)
		unix.PtraceSetRegs(tid, &r)
	}
}
