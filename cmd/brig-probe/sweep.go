package main

import (
	"runtime"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// lastCall is beyond the highest number of a system call that Linux has given away.
	lastCall = 520
	// mostCalls is what a container may have left. Kernels answer about 350 calls where nothing is in front of them; an
	// allow-list for everyday programs has about 300.
	mostCalls = 330
)

// sweepTimer is a struct itimerval: how long a call may take in its child. Package-level, so that the child allocates
// nothing.
var sweepTimer = [4]int64{0, 0, 0, 40_000} // µs

// probeCallSweep makes every system call there is, each in a child of its own, with arguments that are nonsense as
// numbers, descriptors, flags and addresses alike, and counts those that the kernel executed. It is exposed when more
// than an everyday program's calls are.
func probeCallSweep([]string) verdict {
	nonsense := [6]uintptr{minusOne, minusOne, minusOne, minusOne, minusOne, minusOne}
	reached, refused, absent := 0, 0, 0
	for nr := uintptr(0); nr < lastCall; nr++ {
		if harmful(nr) {
			continue
		}
		pid, e := sweepFork(nr, &nonsense)
		if e != 0 {
			return verdict{verdict: couldNotTry, detail: "fork: " + errName(e)}
		}
		var status unix.WaitStatus
		for {
			if _, err := unix.Wait4(pid, &status, 0, nil); err != unix.EINTR {
				break
			}
		}
		switch errno := syscall.Errno(status.ExitStatus()); {
		case status.Signaled() && status.Signal() == unix.SIGSYS, !status.Signaled() && (errno == unix.EPERM || errno == unix.EACCES):
			refused++
		case !status.Signaled() && errno == unix.ENOSYS:
			absent++
		default:
			reached++
		}
	}
	detail := strconv.Itoa(reached) + " of " + strconv.Itoa(lastCall) + " system calls were executed, " + strconv.Itoa(refused) +
		" refused, " + strconv.Itoa(absent) + " do not exist; at most " + strconv.Itoa(mostCalls) + " may be"
	if reached > mostCalls {
		return verdict{verdict: exposed, detail: detail}
	}
	if !readPosture().seccomp {
		return verdict{verdict: notApplicable, detail: detail + ", and there is no filter"}
	}
	return verdict{verdict: blocked, layer: "seccomp", detail: detail}
}

// harmful calls take no argument that could be wrong: this one would write everything that the machine has not yet
// written, and hold up its disks for that.
func harmful(nr uintptr) bool { return nr == unix.SYS_SYNC }

// sweepFork is rawFork for calls that may not return: the child has no terminal that a call could end, and a timer.
// What ends it by a signal was executed.
//
//go:norace
//go:noinline
func sweepFork(nr uintptr, a *[6]uintptr) (int, syscall.Errno) {
	pid, _, e := unix.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if e != 0 || pid != 0 {
		return int(pid), e
	}
	unix.RawSyscall(unix.SYS_SETSID, 0, 0, 0)
	unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(unix.SIGALRM), uintptr(unsafe.Pointer(&sweepDefault)), 0, 8, 0, 0)
	unix.RawSyscall(unix.SYS_SETITIMER, 0, uintptr(unsafe.Pointer(&sweepTimer)), 0)
	_, _, e = unix.RawSyscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5])
	for {
		unix.RawSyscall(unix.SYS_EXIT_GROUP, uintptr(e), 0, 0)
	}
}

// sweepDefault is a struct sigaction of zeros: the signal ends the process.
var sweepDefault [4]uint64

// x32Getpid is getpid by its number in the table of the x32 ABI, which amd64 alone has.
func x32Getpid() (syscall.Errno, syscall.Signal, error) {
	if runtime.GOARCH != "amd64" {
		return unix.ENOSYS, 0, nil
	}
	const x32 = 0x40000000
	return childCall(x32+unix.SYS_GETPID, [6]uintptr{})
}
