package main

import (
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// number reads the i-th argument, or ends the program.
func number(args []string, i int) int64 {
	if i >= len(args) {
		fail("brig-probe: a number is missing")
	}
	n, err := strconv.ParseInt(args[i], 10, 64)
	if err != nil || n < 0 {
		fail("brig-probe: not a number: " + args[i])
	}
	return n
}

// probeForkBomb makes up to args[0] processes that live until the probe ends; exposed when nothing stops it.
func probeForkBomb(args []string) verdict {
	want := int(number(args, 0))
	pids := make([]int, 0, want)
	var stop syscall.Errno
	for len(pids) < want {
		pid, errno := forkPause()
		if errno != 0 {
			stop = errno
			break
		}
		pids = append(pids, pid)
	}
	for _, pid := range pids {
		unix.Kill(pid, unix.SIGKILL)
	}
	for {
		if _, err := unix.Wait4(-1, nil, 0, nil); err != nil && err != unix.EINTR {
			break
		}
	}
	made := strconv.Itoa(len(pids)) + " processes"
	if stop == 0 {
		return verdict{verdict: exposed, detail: made + " and no limit met"}
	}
	// Two limits answer alike: one for all processes of a user, and the control group's. The one that is not near is
	// not the one.
	layer := "pids cgroup"
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NPROC, &limit) == nil && limit.Cur <= uint64(len(pids))+64 {
		layer = "resource limit"
	}
	return verdict{verdict: blocked, layer: layer, detail: made + ", then fork → " + errName(stop)}
}

// forkPause forks a child that waits to be killed, and that dies with its parent.
//
//go:norace
//go:noinline
func forkPause() (int, syscall.Errno) {
	pid, _, e := unix.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if e != 0 || pid != 0 {
		return int(pid), e
	}
	unix.RawSyscall(unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0)
	for {
		unix.RawSyscall6(unix.SYS_PPOLL, 0, 0, 0, 0, 0, 0)
	}
}

// probeMemoryHog lets a child touch args[0] bytes of memory; exposed when it gets them all.
func probeMemoryHog(args []string) verdict {
	bytes := number(args, 0)
	status, err := spawn("_hog", strconv.FormatInt(bytes, 10))
	mib := strconv.FormatInt(bytes>>20, 10) + " MiB"
	switch {
	case err != nil:
		return verdict{verdict: couldNotTry, detail: errName(err)}
	case status.Signaled() && status.Signal() == unix.SIGKILL:
		return verdict{verdict: blocked, layer: "memory cgroup", detail: "killed on the way to " + mib}
	case status.Exited() && status.ExitStatus() == int(unix.ENOMEM):
		return verdict{verdict: blocked, layer: "resource limit", detail: mib + " → ENOMEM"}
	case !status.Exited() || status.ExitStatus() != 0:
		return verdict{verdict: couldNotTry, detail: "the hog ended strangely: " + strconv.Itoa(int(status))}
	}
	return verdict{verdict: exposed, detail: "took " + mib + " and met no limit"}
}

// toolHog touches the given number of bytes and volunteers to be the one that the kernel kills.
func toolHog(args []string) int {
	if f, err := os.OpenFile("/proc/self/oom_score_adj", os.O_WRONLY, 0); err == nil {
		f.WriteString("1000")
		f.Close()
	}
	size := int(number(args, 0))
	const step = 16 << 20
	for done := 0; done < size; done += step {
		mem, err := unix.Mmap(-1, 0, step, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_POPULATE)
		if err != nil {
			return int(unix.ENOMEM)
		}
		for i := 0; i < step; i += 4096 { // MAP_POPULATE does not report a failure
			mem[i] = 1
		}
	}
	return 0
}

// probeShmHog writes args[0] bytes to /dev/shm, and to each other file system in memory; exposed when they all fit.
func probeShmHog(args []string) verdict {
	v := fillMemory("/dev/shm", number(args, 0))
	if v.verdict == exposed {
		return v
	}
	others := 0
	for _, dir := range mountPoints() {
		var fs unix.Statfs_t
		if dir == "/dev/shm" || unix.Statfs(dir, &fs) != nil || fs.Type != unix.TMPFS_MAGIC || unix.Access(dir, unix.W_OK) != nil {
			continue
		}
		var st unix.Stat_t
		if unix.Stat(dir, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFDIR {
			continue
		}
		if w := fillMemory(dir, number(args, 0)); w.verdict == exposed {
			return w
		} else if w.verdict == blocked {
			others++
		}
	}
	v.detail += "; " + strconv.Itoa(others) + " others have a bound, too"
	return v
}

func fillMemory(dir string, size int64) verdict {
	name := dir + "/brig-probe-hog"
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if os.IsNotExist(err) {
		return verdict{verdict: notApplicable, detail: "there is no " + dir}
	}
	if err != nil {
		return verdict{verdict: blocked, layer: "mount", detail: dir + " → " + errName(err)}
	}
	defer os.Remove(name)
	defer f.Close()
	buf := make([]byte, 1<<20)
	for done := int64(0); done < size; done += int64(len(buf)) {
		if _, err := f.Write(buf); err != nil {
			return verdict{verdict: blocked, layer: "tmpfs size",
				detail: strconv.FormatInt(done>>20, 10) + " MiB in " + dir + ", then " + errName(err)}
		}
	}
	return verdict{verdict: exposed, detail: "wrote " + strconv.FormatInt(size>>20, 10) + " MiB to " + dir + " and met no limit"}
}

const schedFIFO = 1

// probeCPUHog spins with four threads per core for args[0] milliseconds. Whether that starves anybody is measured by
// the drill at the neighbour; from inside there is nothing to see.
func probeCPUHog(args []string) verdict {
	length := time.Duration(number(args, 0)) * time.Millisecond
	threads := 4 * runtime.NumCPU()
	runtime.GOMAXPROCS(threads)
	var ready, done sync.WaitGroup
	var hurried atomic.Bool
	begin := make(chan struct{}) // all at once: the first one in real time would keep the others from starting
	ready.Add(threads)
	for range threads {
		done.Go(func() {
			runtime.LockOSThread()
			ready.Done()
			<-begin
			if realTime() {
				hurried.Store(true)
			}
			spin(length)
		})
	}
	ready.Wait()
	close(begin)
	done.Wait()
	detail := strconv.Itoa(threads) + " spinning threads"
	if hurried.Load() {
		detail += " in real time"
	}
	return verdict{verdict: lookOutside, detail: detail}
}

// spin keeps a core busy.
func spin(length time.Duration) (n uint64) {
	for end := time.Now().Add(length); time.Now().Before(end); {
		for range 1 << 16 {
			n = n*6364136223846793005 + 1
		}
	}
	return n
}

// realTime puts the calling thread before all ordinary ones of the machine, if nobody refuses.
func realTime() bool {
	priority := [1]int32{1} // struct sched_param
	_, _, e := unix.RawSyscall(unix.SYS_SCHED_SETSCHEDULER, 0, schedFIFO, uintptr(unsafe.Pointer(&priority)))
	return e == 0
}
