package main

import (
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// forkMemory is where childCall puts the structure of a clone3. Package-level, because the address must not move.
var forkMemory [88]byte

// childCall makes one system call in a forked, single-threaded child: for calls that would change the probe itself (a
// new namespace, a personality). It returns the child's error number, or the signal that ended it. The argument of a
// clone3 is its flags.
func childCall(nr uintptr, args [6]uintptr) (syscall.Errno, syscall.Signal, error) {
	if nr == unix.SYS_CLONE3 {
		*(*uint64)(unsafe.Pointer(&forkMemory[0])) = uint64(args[0])
		*(*uint64)(unsafe.Pointer(&forkMemory[32])) = uint64(unix.SIGCHLD)
		args[0], args[1] = uintptr(unsafe.Pointer(&forkMemory)), unsafe.Sizeof(forkMemory)
	}
	pid, errno := rawFork(nr, &args)
	if errno != 0 {
		return 0, 0, errno
	}
	var status unix.WaitStatus
	for {
		if _, err := unix.Wait4(pid, &status, 0, nil); err == nil {
			break
		} else if err != unix.EINTR {
			return 0, 0, err
		}
	}
	if status.Signaled() {
		return 0, status.Signal(), nil
	}
	return syscall.Errno(status.ExitStatus()), 0, nil
}

// rawFork forks; the child makes the call, exits with its error number (Linux has none above 133), and touches
// nothing of the Go runtime, whose other threads it does not have.
//
//go:norace
//go:noinline
func rawFork(nr uintptr, a *[6]uintptr) (int, syscall.Errno) {
	pid, _, e := unix.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if e != 0 || pid != 0 {
		return int(pid), e
	}
	_, _, e = unix.RawSyscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5])
	for {
		unix.RawSyscall(unix.SYS_EXIT_GROUP, uintptr(e), 0, 0)
	}
}

// spawn runs this program under another name of its own (argv[1]) and returns how it ended.
func spawn(argv ...string) (syscall.WaitStatus, error) {
	return spawnProgram("/proc/self/exe", argv...)
}

// spawnProgram executes a copy of this program. Its output goes nowhere; it dies with the caller.
func spawnProgram(path string, argv ...string) (syscall.WaitStatus, error) {
	null, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	runtime.LockOSThread() // Pdeathsig counts from the thread that forks
	defer runtime.UnlockOSThread()
	p, err := os.StartProcess(path, append([]string{"brig-probe"}, argv...), &os.ProcAttr{
		Files: []*os.File{null, null, null},
		Sys:   &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL},
	})
	if err != nil {
		return 0, err
	}
	state, err := p.Wait()
	if err != nil {
		return 0, err
	}
	return state.Sys().(syscall.WaitStatus), nil
}
