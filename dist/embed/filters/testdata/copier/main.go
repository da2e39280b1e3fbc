// A program that does what a worker for cp does, under its filter, and then tries the way out.
package main

import (
	"fmt"
	"os"
	"syscall"

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
	b := make([]byte, 100)
	n, err := unix.Read(4, b)
	check("read the job", err)
	if string(b[:n]) != "job" {
		check("job", unix.EINVAL)
	}
	files()
	escape()
	if !failed {
		fmt.Println("everything as expected")
	}
	_, err = unix.Write(4, []byte("done"))
	check("answer", err)
	syscall.Syscall(unix.SYS_PTRACE, unix.PTRACE_TRACEME, 0, 0)
	fmt.Println("still alive after ptrace")
}

func open(name string, flags uint64) int {
	fd, err := unix.Openat2(unix.AT_FDCWD, name, &unix.OpenHow{Flags: flags | unix.O_CLOEXEC, Mode: mode(flags)})
	check("open "+name, err)
	return fd
}

func mode(flags uint64) uint64 {
	if flags&unix.O_CREAT != 0 {
		return 0o600
	}
	return 0
}

func files() {
	dir := open(".", unix.O_RDONLY|unix.O_DIRECTORY)
	check("mkdir", unix.Mkdirat(dir, "d", 0o755))
	f := open("d/f", unix.O_CREAT|unix.O_EXCL|unix.O_RDWR)
	_, err := unix.Write(f, []byte("x"))
	check("write", err)
	check("chown", unix.Fchown(f, os.Getuid(), os.Getgid()))
	check("chmod", unix.Fchmod(f, 0o640))
	check("link", unix.Linkat(dir, "d/f", dir, "g", 0))
	check("symlink", unix.Symlinkat("f", dir, "l"))
	check("lchown", unix.Fchownat(dir, "l", os.Getuid(), os.Getgid(), unix.AT_SYMLINK_NOFOLLOW))
	check("FIFO", unix.Mknodat(dir, "p", unix.S_IFIFO|0o600, 0))
	_, err = unix.Readlinkat(dir, "l", make([]byte, 10))
	check("readlink", err)
	check("times", unix.UtimesNanoAt(dir, "l", make([]unix.Timespec, 2), unix.AT_SYMLINK_NOFOLLOW))
	_, err = os.NewFile(uintptr(dir), "dir").Readdirnames(-1)
	check("list", err)
	if _, err = unix.Flistxattr(f, make([]byte, 100)); err != unix.ENOTSUP {
		check("attributes", err)
	}
	check("unlink", unix.Unlinkat(unix.AT_FDCWD, "g", 0))
}

func escape() {
	_, err := unix.Open("/etc/passwd", unix.O_RDONLY, 0)
	refused("open without saying how links are followed", err)
	for what, mode := range map[string]uint32{"character device": unix.S_IFCHR, "block device": unix.S_IFBLK, "socket": unix.S_IFSOCK, "file": unix.S_IFREG} {
		refused("make a "+what, unix.Mknodat(unix.AT_FDCWD, "node", mode|0o600, 0))
	}
	_, err = unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	refused("socket", err)
	_, err = unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE|unix.MAP_ANON)
	refused("executable memory, as for a library (CVE-2019-14271)", err)
	_, _, errno := unix.RawSyscall(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0)
	refused("fork", errno)
	_, _, errno = unix.RawSyscall6(unix.SYS_EXECVEAT, ^uintptr(0), 0, 0, 0, 0, 0)
	refused("execute by path (CVE-2026-41567)", errno)
	refused("chroot", unix.Chroot("."))
	refused("kill", unix.Kill(1, 0))
	refused("rename", unix.Renameat2(unix.AT_FDCWD, "d", unix.AT_FDCWD, "e", 0))
}
