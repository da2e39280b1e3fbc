package main

import (
	"os"
	"runtime"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const otherUser = 4242

// victimPage is what the victim has in its memory; package-level, so that it lies at one address in both.
var victimPage [64]byte

// probeOtherUser makes a process of another user, and is root without the right to trace: it tries to stop it, to read
// its memory, to take one of its descriptors and to compare it with itself.
func probeOtherUser([]string) verdict {
	copy(victimPage[:], "what only another user knows")
	var ready [2]int
	if err := unix.Pipe2(ready[:], unix.O_CLOEXEC); err != nil {
		return verdict{verdict: couldNotTry, detail: errName(err)}
	}
	pid, e := victimFork(uintptr(ready[1]))
	if e != 0 {
		return verdict{verdict: couldNotTry, detail: "fork: " + errName(e)}
	}
	unix.Close(ready[1])
	defer func() {
		unix.Kill(pid, unix.SIGKILL)
		unix.Wait4(pid, nil, 0, nil)
	}()
	var b [1]byte
	if n, _ := read(ready[0], b[:]); n != 1 {
		return verdict{verdict: couldNotTry, detail: "it could not become another user"}
	}
	runtime.LockOSThread() // who traces is a thread
	defer runtime.UnlockOSThread()
	p := readPosture()
	var done []string
	var kinds tally
	for _, t := range []struct {
		name string
		try  func(int) error
	}{{"ptrace", seize}, {"process_vm_readv", readVictim}, {"pidfd_getfd", robVictim}, {"/proc/PID/mem", openVictim},
		{"kcmp", compareVictim}} {
		if err := t.try(pid); err == nil {
			done = append(done, t.name)
		} else {
			kinds.add(p.refuser(unix.CAP_SYS_PTRACE))
		}
	}
	if len(done) > 0 {
		return verdict{verdict: exposed, detail: "of a process of user " + strconv.Itoa(otherUser) + ": " + few(done, 5)}
	}
	return verdict{verdict: blocked, layer: kinds.most(), detail: "5 ways to a process of another user refused"}
}

// victimFork forks a process that becomes another user, says so, and waits to be killed.
//
//go:norace
//go:noinline
func victimFork(ready uintptr) (int, syscall.Errno) {
	pid, _, e := unix.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if e != 0 || pid != 0 {
		return int(pid), e
	}
	unix.RawSyscall(unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0)
	unix.RawSyscall(unix.SYS_SETRESGID, otherUser, otherUser, otherUser)
	if _, _, e := unix.RawSyscall(unix.SYS_SETRESUID, otherUser, otherUser, otherUser); e == 0 {
		unix.RawSyscall(unix.SYS_WRITE, ready, uintptr(unsafe.Pointer(&victimPage)), 1)
	}
	for {
		unix.RawSyscall6(unix.SYS_PPOLL, 0, 0, 0, 0, 0, 0)
	}
}

func seize(pid int) error {
	const ptraceSeize = 0x4206
	if _, _, e := unix.RawSyscall6(unix.SYS_PTRACE, ptraceSeize, uintptr(pid), 0, 0, 0, 0); e != 0 {
		return e
	}
	unix.PtraceDetach(pid) // not stopped, so it stays: that is enough
	return nil
}

func readVictim(pid int) error {
	var got [64]byte
	local := []unix.Iovec{{Base: &got[0], Len: uint64(len(got))}}
	remote := []unix.RemoteIovec{{Base: uintptr(unsafe.Pointer(&victimPage)), Len: len(got)}}
	_, err := unix.ProcessVMReadv(pid, local, remote, 0)
	return err
}

func robVictim(pid int) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	stolen, err := unix.PidfdGetfd(fd, 1, 0)
	return once(stolen, err)
}

// once gives back what was taken.
func once(fd int, err error) error {
	if err == nil {
		unix.Close(fd)
	}
	return err
}

func openVictim(pid int) error {
	return once(unix.Open("/proc/"+strconv.Itoa(pid)+"/mem", unix.O_RDONLY|unix.O_CLOEXEC, 0))
}

func compareVictim(pid int) error {
	const kcmpVM = 1
	if _, _, e := unix.RawSyscall6(unix.SYS_KCMP, uintptr(os.Getpid()), uintptr(pid), kcmpVM, 0, 0, 0); e != 0 {
		return e
	}
	return nil
}

// probeTerminalInput types into a terminal that it holds open, as a program does that was started in somebody's terminal:
// what it types is executed by the shell there when the program has ended.
func probeTerminalInput([]string) verdict {
	master, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return verdict{verdict: couldNotTry, detail: "/dev/ptmx → " + errName(err)}
	}
	defer unix.Close(master)
	var unlock int32
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(master), unix.TIOCSPTLCK, uintptr(unsafe.Pointer(&unlock))); e != 0 {
		return verdict{verdict: couldNotTry, detail: "unlock the terminal → " + errName(e)}
	}
	n, err := unix.IoctlGetInt(master, unix.TIOCGPTN)
	if err != nil {
		return verdict{verdict: couldNotTry, detail: "name of the terminal → " + errName(err)}
	}
	var all [][2]string
	for _, line := range []uintptr{unix.TIOCSTI, 1<<32 | unix.TIOCSTI} { // CVE-2019-7303: a filter may look at too many bits
		status, err := spawn("_type", strconv.Itoa(n), strconv.FormatUint(uint64(line), 10))
		if err != nil {
			return verdict{verdict: couldNotTry, detail: errName(err)}
		}
		all = append(all, [2]string{errName(syscall.Errno(status.ExitStatus())), strconv.Itoa(int(line >> 32))})
		if status.Exited() && status.ExitStatus() == 0 {
			return verdict{verdict: exposed, detail: "typed a letter into terminal " + strconv.Itoa(n)}
		}
	}
	layer := "kernel setting"
	if p := readPosture(); p.seccomp && all[0][0] == "EPERM" {
		layer = "seccomp"
	}
	return verdict{verdict: blocked, layer: layer, detail: "TIOCSTI → " + all[0][0]}
}

// toolType makes terminal args[0] its own and types a letter into it by command args[1]. It exits with the error number.
func toolType(args []string) int {
	unix.Setsid()
	fd, err := unix.Open("/dev/pts/"+strconv.FormatInt(number(args, 0), 10), unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return int(unix.ENOTTY)
	}
	letter := byte('x')
	_, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(number(args, 1)), uintptr(unsafe.Pointer(&letter)))
	return int(e)
}
