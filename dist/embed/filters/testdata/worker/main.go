// A program that does what a worker does, under the worker's filter, and then tries the way out.
package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func check(what string, err error) {
	if err != nil {
		fmt.Printf("%s: %v\n", what, err)
	}
	failed = failed || err != nil
}

func refused(what string, err error) {
	if err != unix.EPERM && err != unix.ENOSYS {
		fmt.Printf("%s: %v, want a refusal\n", what, err)
		failed = true
	}
}

var failed bool

func main() {
	conn := socket()
	buf := make([]byte, 100)
	n, err := conn.Read(buf)
	check("read the job", err)
	if string(buf[:n]) != "job" {
		check("job", io.ErrUnexpectedEOF)
	}
	memory()
	files()
	escape()
	if !failed {
		fmt.Println("everything as expected")
	}
	_, err = conn.Write([]byte("done"))
	check("answer", err)
	syscall.Syscall(unix.SYS_PTRACE, unix.PTRACE_TRACEME, 0, 0)
	fmt.Println("still alive after ptrace")
}

func socket() net.Conn {
	f := os.NewFile(4, "job")
	c, err := net.FileConn(f)
	if err != nil {
		fmt.Println("job socket:", err)
		os.Exit(1)
	}
	f.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

func memory() {
	var wg sync.WaitGroup
	for range 20 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			runtime.LockOSThread()
			b := make([]byte, 4<<20)
			for i := range b {
				b[i] = byte(i)
			}
			time.Sleep(5 * time.Millisecond)
		}()
	}
	wg.Wait()
	runtime.GC()
}

func files() {
	fd, err := unix.MemfdCreate("x", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	check("memfd", err)
	f := os.NewFile(uintptr(fd), "x")
	_, err = f.WriteAt(make([]byte, 1<<20), 0)
	check("write", err)
	_, err = f.Seek(0, io.SeekStart)
	check("seek", err)
	_, err = io.Copy(io.Discard, f)
	check("copy", err)
	check("truncate", f.Truncate(10))
	_, err = f.Stat()
	check("stat", err)
	_, err = unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_WRITE)
	check("seal", err)
	m, err := unix.Mmap(fd, 0, 10, unix.PROT_READ, unix.MAP_SHARED)
	check("mmap", err)
	check("munmap", unix.Munmap(m))
	r, w, err := os.Pipe()
	check("pipe", err)
	go func() { w.Write([]byte("x")); w.Close() }()
	_, err = io.ReadAll(r)
	check("read a pipe", err)
}

func escape() {
	_, err := unix.Open("/etc/passwd", unix.O_RDONLY, 0)
	refused("open", err)
	_, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	refused("socket", err)
	_, err = unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE|unix.MAP_ANON)
	refused("executable memory", err)
	refused("kill", unix.Kill(1, 0))
	_, _, errno := unix.RawSyscall(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0)
	refused("fork", errno)
	refused("chmod", unix.Fchmod(1, 0o777))
	_, _, errno = unix.RawSyscall(unix.SYS_PRCTL, unix.PR_SET_SECCOMP, 0, 0)
	refused("prctl", errno)
	_, _, errno = unix.RawSyscall6(unix.SYS_EXECVEAT, ^uintptr(0), 0, 0, 0, 0, 0)
	refused("execveat by path", errno)
	_, err = unix.MemfdCreate("x", unix.MFD_HUGETLB)
	refused("huge pages", err)
}
