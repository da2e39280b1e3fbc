// Package wait looks at children that have ended without reaping them (waitid(2) with WNOWAIT).
package wait

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Ended returns the pid of one child that has ended and was not reaped yet, or 0. The child stays a zombie.
func Ended() int {
	var info unix.Siginfo
	err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
	if err != nil {
		return 0 // ECHILD: no children at all
	}
	// si_pid follows si_signo, si_errno and si_code, aligned to a pointer (siginfo_t of 64-bit Linux).
	return int(*(*int32)(unsafe.Add(unsafe.Pointer(&info), 16)))
}
