package main

import (
	"os"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// probeThreadBomb makes up to args[0] threads, in processes of threadsEach; exposed when nothing stops it. Threads count
// like processes.
func probeThreadBomb(args []string) verdict {
	want, made := int(number(args, 0)), 0
	var count [2]int
	if err := unix.Pipe2(count[:], unix.O_CLOEXEC); err != nil {
		return verdict{verdict: couldNotTry, detail: errName(err)}
	}
	w := os.NewFile(uintptr(count[1]), "count")
	var children []*os.Process
	defer func() {
		for _, c := range children {
			unix.Kill(c.Pid, unix.SIGKILL)
			unix.Wait4(c.Pid, nil, 0, nil)
		}
	}()
	b := make([]byte, 4096)
	unix.SetNonblock(count[0], true)
	spareThreads()
	for made < want {
		runtime.LockOSThread() // Pdeathsig counts from the thread that forks
		p, err := os.StartProcess("/proc/self/exe", []string{"brig-probe", "_threads", strconv.Itoa(threadsEach)},
			&os.ProcAttr{Files: []*os.File{nil, nil, nil, w}, Sys: &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}})
		if err != nil {
			return crowded(made, "threads", want, err)
		}
		children = append(children, p)
		for own, end := 0, time.Now().Add(5*time.Second); own < threadsEach; {
			n, _ := unix.Read(count[0], b)
			own, made = own+max(n, 0), made+max(n, 0)
			gone, _ := unix.Wait4(p.Pid, nil, unix.WNOHANG, nil) // the Go runtime ends where it gets no thread
			if gone == p.Pid || time.Now().After(end) {
				return crowded(made, "threads", want, unix.EAGAIN)
			}
			if n <= 0 {
				time.Sleep(time.Millisecond)
			}
		}
	}
	return crowded(made, "threads", want, nil)
}

const threadsEach = 500

// spareThreads has the Go runtime make threads, which it keeps: later, when there are none to be had, this program would end.
func spareThreads() {
	var done sync.WaitGroup
	for range 16 {
		done.Go(func() { unix.Nanosleep(&unix.Timespec{Nsec: 20_000_000}, nil) })
	}
	done.Wait()
}

// toolThreads makes args[0] threads, writes a byte to descriptor 3 for each, and waits to be killed.
func toolThreads(args []string) int {
	for range number(args, 0) {
		go func() {
			runtime.LockOSThread()
			unix.Write(3, []byte{1})
			for { // not raw: the runtime must know that it needs another thread to go on
				unix.Syscall6(unix.SYS_PPOLL, 0, 0, 0, 0, 0, 0)
			}
		}()
	}
	return toolSleep([]string{"infinity"})
}

// crowded judges what came of making many of a thing that counts like processes.
func crowded(made int, what string, want int, err error) verdict {
	detail := strconv.Itoa(made) + " " + what
	if err == nil || made >= want {
		return verdict{verdict: exposed, detail: detail + " and no limit met"}
	}
	return verdict{verdict: blocked, layer: "pids cgroup", detail: detail + ", then " + errName(unwrapped(err))}
}

// probeZombieFlood makes up to args[0] children that end at once and that nobody asks for: each keeps its number.
func probeZombieFlood(args []string) verdict {
	want, made := int(number(args, 0)), 0
	var stop error
	for ; made < want; made++ {
		if _, e := endedFork(); e != 0 {
			stop = e
			break
		}
	}
	for {
		if _, err := unix.Wait4(-1, nil, 0, nil); err != nil && err != unix.EINTR {
			break
		}
	}
	return crowded(made, "dead processes that nobody buries", want, stop)
}

//go:norace
//go:noinline
func endedFork() (int, syscall.Errno) {
	pid, _, e := unix.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if e != 0 || pid != 0 {
		return int(pid), e
	}
	for {
		unix.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
	}
}

// probeKeyHog takes up to args[0] keys of the kernel's keyring; a user of the machine has 200 by default, and who shares
// his number shares them.
func probeKeyHog(args []string) verdict {
	n, err := 0, error(nil)
	for ; n < int(number(args, 0)) && err == nil; n++ {
		const process = ^uintptr(1) // KEY_SPEC_PROCESS_KEYRING: gone with the process
		kind, name := []byte("user\x00"), []byte("brig-probe-"+strconv.Itoa(n)+"\x00")
		if _, _, e := unix.Syscall6(unix.SYS_ADD_KEY, uintptr(unsafe.Pointer(&kind[0])), uintptr(unsafe.Pointer(&name[0])),
			uintptr(unsafe.Pointer(&name[0])), uintptr(len(name)), process, 0); e != 0 {
			err = e
			break
		}
	}
	v := held(n, "keys", err)
	if n > 0 && !readPosture().userns {
		v.verdict, v.layer, v.detail = exposed, "", v.detail+", of a user of the host"
	}
	return v
}

// probeHugePages maps up to args[0] huge pages of the pool that the machine has set aside for whoever needs them.
func probeHugePages(args []string) verdict {
	n, err := 0, error(nil)
	for ; n < int(number(args, 0)); n++ {
		var mem []byte
		mem, err = unix.Mmap(-1, 0, 2<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_HUGETLB)
		if err != nil {
			break
		}
		status := touchFork(&mem[0]) // the controller answers with SIGBUS
		unix.Munmap(mem)
		if status.Signaled() {
			err = unix.ENOMEM
			break
		}
	}
	if n > 0 {
		return verdict{verdict: exposed, detail: strconv.Itoa(n) + " huge pages of the machine's were given"}
	}
	return verdict{verdict: blocked, layer: "hugetlb cgroup", detail: "a huge page → " + errName(err)}
}

// touchFork writes to memory in a child.
//
//go:norace
//go:noinline
func touchFork(at *byte) (status unix.WaitStatus) {
	pid, _, e := unix.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if e == 0 && pid == 0 {
		unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(unix.SIGBUS), uintptr(unsafe.Pointer(&sweepDefault)), 0, 8, 0, 0)
		*at = 1
		for {
			unix.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
		}
	}
	unix.Wait4(int(pid), &status, 0, nil)
	return status
}
