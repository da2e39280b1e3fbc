package main

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Some hogs take no memory of their own but have the kernel take it for them: open files, watches, names, arguments. They
// run with a small limit and take what is more than that; who is charged for it decides whether they get it.

// charged lets a child, which volunteers to be killed first, take args[0] of a thing that costs the kernel at least so many
// bytes each; exposed when it gets them all.
func charged(args []string, tool, what string) verdict {
	want := number(args, 0)
	status, err := spawn(append([]string{tool}, args...)...)
	detail := strconv.FormatInt(want, 10) + " " + what
	switch {
	case err != nil:
		return verdict{verdict: couldNotTry, detail: errName(err)}
	case status.Signaled() && status.Signal() == unix.SIGKILL:
		return verdict{verdict: blocked, layer: "memory cgroup", detail: "killed on the way to " + detail}
	case status.Exited() && status.ExitStatus() == 0:
		return verdict{verdict: exposed, detail: "took " + detail + " and met no limit"}
	case status.Exited() && status.ExitStatus() != 2:
		e := syscall.Errno(status.ExitStatus())
		layer := "memory cgroup"
		if e == unix.EMFILE || e == unix.EAGAIN || e == unix.ENOSPC {
			layer = "resource limit"
		}
		return verdict{verdict: blocked, layer: layer, detail: "on the way to " + detail + " → " + errName(e)}
	}
	// The Go runtime ends with status 2 where it gets no memory.
	return verdict{verdict: blocked, layer: "memory cgroup", detail: "no memory on the way to " + detail}
}

// volunteer has the kernel kill this process before others.
func volunteer() {
	if f, err := os.OpenFile("/proc/self/oom_score_adj", os.O_WRONLY, 0); err == nil {
		f.WriteString("1000")
		f.Close()
	}
}

func probeFileHog(args []string) verdict  { return charged(args, "_files", "open files") }
func probeEpollHog(args []string) verdict { return charged(args, "_watches", "watches of epoll") }

// probeArgumentHog starts args[0] programs with args[1] bytes of arguments each.
func probeArgumentHog(args []string) verdict {
	return charged(args, "_arguments", "programs with "+strconv.FormatInt(number(args, 1)>>10, 10)+" KiB of arguments each")
}

// toolFiles opens args[0] files. Children keep what one process may not have.
func toolFiles(args []string) int {
	volunteer()
	_, err := takeAll(func() (int, error) { return unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0) }, int(number(args, 0)))
	return int(errnoOf(err))
}

// toolWatches has args[0] watches, in many instances of epoll upon the same descriptors.
func toolWatches(args []string) int {
	volunteer()
	const each = 800
	var fds []int
	for range each {
		fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
		if err != nil {
			return int(errnoOf(err))
		}
		fds = append(fds, fd)
	}
	for left := int(number(args, 0)); left > 0; left -= each {
		poll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
		if err != nil {
			return int(errnoOf(err))
		}
		for _, fd := range fds {
			if err := unix.EpollCtl(poll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN}); err != nil {
				return int(errnoOf(err))
			}
		}
	}
	return 0
}

// toolArguments starts args[0] programs that do nothing, with args[1] bytes of arguments each, and keeps them.
func toolArguments(args []string) int {
	volunteer()
	const piece = 100 << 10 // one string has at most 128 KiB
	argv := []string{"brig-probe", "_wait"}
	for left := number(args, 1); left > 0; left -= piece {
		argv = append(argv, strings.Repeat("x", int(min(left, piece))))
	}
	runtime.LockOSThread()
	for range number(args, 0) {
		_, err := os.StartProcess("/proc/self/exe", argv, &os.ProcAttr{Sys: &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}})
		if err != nil {
			return int(errnoOf(unwrapped(err)))
		}
	}
	return 0
}

// toolWait waits whatever its arguments are.
func toolWait([]string) int {
	volunteer()
	return toolSleep([]string{"infinity"})
}

// probeDentryHog asks for args[0] names that do not exist: the kernel remembers each. What it remembers is counted for the
// whole machine, so the drill looks there while this process waits.
func probeDentryHog(args []string) verdict {
	want := int(number(args, 0))
	name := []byte("/brig-probe-there-is-no-such-file-________\x00")
	digits := len(name) - 9
	var st unix.Stat_t
	for n := range want {
		for i, left := 0, n; i < 8; i, left = i+1, left/16 {
			name[digits+i] = "0123456789abcdef"[left%16]
		}
		unix.Syscall6(unix.SYS_NEWFSTATAT, ^uintptr(99), uintptr(unsafe.Pointer(&name[0])), uintptr(unsafe.Pointer(&st)), 0, 0, 0)
	}
	return verdict{verdict: lookOutside, layer: "memory cgroup", detail: strconv.Itoa(want) + " names asked for", hold: 10 * time.Second}
}

// probePageCacheHog reads a file of args[0] bytes that takes no room on the disk: every page of it goes to the page cache.
// Exposed when all of it stays there.
func probePageCacheHog(args []string) verdict {
	size := int(number(args, 0))
	const name = "/brig-probe-sparse"
	fd, err := unix.Open(name, unix.O_CREAT|unix.O_RDWR|unix.O_CLOEXEC|unix.O_TRUNC, 0o600)
	if err != nil {
		return verdict{verdict: blocked, layer: "mount", detail: name + " → " + errName(err)}
	}
	defer unix.Unlink(name)
	defer unix.Close(fd)
	if err := unix.Ftruncate(fd, int64(size)); err != nil {
		return verdict{verdict: couldNotTry, detail: "ftruncate → " + errName(err)}
	}
	buf := make([]byte, 1<<20)
	for range 2 {
		for at := 0; at < size; at += len(buf) {
			if _, err := unix.Pread(fd, buf, int64(at)); err != nil {
				return verdict{verdict: couldNotTry, detail: "read → " + errName(err)}
			}
		}
	}
	mem, err := unix.Mmap(fd, 0, size, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return verdict{verdict: couldNotTry, detail: "mmap → " + errName(err)}
	}
	pages := make([]byte, size/4096)
	if _, _, e := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&mem[0])), uintptr(size), uintptr(unsafe.Pointer(&pages[0]))); e != 0 {
		return verdict{verdict: couldNotTry, detail: "mincore → " + errName(e)}
	}
	there := 0
	for _, p := range pages {
		there += int(p & 1)
	}
	detail := strconv.Itoa(there>>8) + " of " + strconv.Itoa(size>>20) + " MiB stay in the page cache"
	if there > len(pages)*3/4 {
		return verdict{verdict: exposed, detail: detail}
	}
	return verdict{verdict: blocked, layer: "memory cgroup", detail: detail}
}

// probeIOHog writes to the disk, and waits for it, from many threads for args[0] milliseconds. The drill measures what is
// left for others.
func probeIOHog(args []string) verdict {
	end := time.Now().Add(time.Duration(number(args, 0)) * time.Millisecond)
	const threads, piece, most = 24, 256 << 10, 4 << 20
	results := make(chan int64, threads)
	var hurried atomic.Bool
	for i := range threads {
		go func() {
			runtime.LockOSThread()
			if firstInQueue() {
				hurried.Store(true)
			}
			name := "/brig-probe-io-" + strconv.Itoa(i)
			fd, err := unix.Open(name, unix.O_CREAT|unix.O_RDWR|unix.O_CLOEXEC|unix.O_DSYNC, 0o600)
			if err != nil {
				results <- -1
				return
			}
			buf, done := make([]byte, piece), int64(0)
			for time.Now().Before(end) {
				n, err := unix.Pwrite(fd, buf, done%most)
				if err != nil {
					break
				}
				done += int64(n)
			}
			unix.Close(fd)
			unix.Unlink(name)
			results <- done
		}()
	}
	var written int64
	for range threads {
		n := <-results
		if n < 0 {
			return verdict{verdict: blocked, layer: "mount", detail: "the root file system cannot be written to"}
		}
		written += n
	}
	detail := strconv.FormatInt(written>>20, 10) + " MiB written through to the disk"
	if hurried.Load() {
		detail += " before everybody else's"
	}
	return verdict{verdict: lookOutside, detail: detail}
}

// firstInQueue puts what the calling thread wants of a disk before what all ordinary programs want, if nobody refuses.
func firstInQueue() bool {
	const self, realTimeClass = 1, 1 << 13
	_, _, e := unix.RawSyscall(unix.SYS_IOPRIO_SET, self, 0, realTimeClass)
	return e == 0
}

// toolSyncWrite writes a small file and waits for the disk, args[0] times, and prints how many microseconds each took: what
// a neighbour with a database does.
func toolSyncWrite(args []string) int {
	const name = "/brig-probe-sync"
	fd, err := unix.Open(name, unix.O_CREAT|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		fail("sync-write: " + errName(err))
	}
	defer unix.Unlink(name)
	buf := make([]byte, 4096)
	for range number(args, 0) {
		begin := time.Now()
		if _, err = unix.Pwrite(fd, buf, 0); err == nil {
			err = unix.Fdatasync(fd)
		}
		if err != nil {
			fail("sync-write: " + errName(err))
		}
		os.Stdout.WriteString(strconv.FormatInt(time.Since(begin).Microseconds(), 10) + "\n")
	}
	return 0
}

// probeEngineFilesHog writes args[0] bytes to each file and directory that the engine has put into the container; exposed
// when they fit into one of them.
func probeEngineFilesHog(args []string) verdict {
	size, last := number(args, 0), verdict{verdict: notApplicable, detail: "the engine puts in no file that can be written to"}
	for _, name := range append([]string{"/etc/hosts", "/etc/resolv.conf", "/etc/hostname"}, mountPoints()...) {
		var st unix.Stat_t
		if unix.Stat(name, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFREG || strings.HasPrefix(name, "/proc/") || strings.HasPrefix(name, "/sys/") {
			continue
		}
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			last = verdict{verdict: blocked, layer: "mount", detail: name + " → " + errName(err)}
			continue
		}
		buf, done := make([]byte, 1<<20), int64(0)
		for ; done < size && err == nil; done += int64(len(buf)) {
			_, err = f.Write(buf)
		}
		f.Truncate(st.Size)
		f.Close()
		if err == nil {
			return verdict{verdict: exposed, detail: "wrote " + strconv.FormatInt(size>>20, 10) + " MiB to " + name + " and met no limit"}
		}
		last = fillVerdict(name, strconv.FormatInt(done>>20, 10)+" MiB", err)
	}
	return last
}
