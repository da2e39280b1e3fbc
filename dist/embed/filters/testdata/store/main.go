// A program that does what brig-store does, under its filter, and then tries the way out.
package main

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/verity"
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
	objects()
	escape()
	if !failed {
		fmt.Println("everything as expected")
	}
	_, err = unix.Write(4, []byte("done"))
	check("answer", err)
	syscall.Syscall(unix.SYS_PTRACE, unix.PTRACE_TRACEME, 0, 0)
	fmt.Println("still alive after ptrace")
}

// objects makes, seals, lists and removes one.
func objects() {
	check("directory", os.MkdirAll("objects", 0o700))
	check("its mode", os.Chmod("objects", 0o700))
	dir, err := unix.Open("objects", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	check("open the directory", err)
	fd, err := unix.Openat(dir, ".", unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	check("make a file without a name", err)
	_, err = unix.Pwrite(fd, []byte("x"), 0)
	check("write", err)
	check("mode", unix.Fchmod(fd, 0o600))
	f, err := os.Open(fmt.Sprintf("/proc/self/fd/%d", fd))
	check("open it for reading", err)
	unix.Close(fd)
	_, err = unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_RDLCK)
	check("take a lease", err)
	_, err = unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_UNLCK)
	check("give the lease back", err)
	if err := verity.Enable(int(f.Fd())); !verity.Lacking(err) {
		check("fs-verity", err)
	}
	check("mode", f.Chmod(0o444))
	check("sync", f.Sync())
	check("link", unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", f.Fd()), dir, "name", unix.AT_SYMLINK_FOLLOW))
	list, err := os.ReadDir("objects")
	check("list", err)
	if len(list) != 1 {
		check("list", unix.ENOENT)
	}
	_, err = unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	check("socket pair", err)
	check("remove", os.RemoveAll("objects/name"))
}

func escape() {
	for what, family := range map[string]int{"local": unix.AF_UNIX, "Internet": unix.AF_INET, "netlink": unix.AF_NETLINK} {
		_, err := unix.Socket(family, unix.SOCK_RAW, 0)
		refused(what+" socket", err)
	}
	_, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE|unix.MAP_ANON)
	refused("executable memory", err)
	_, _, errno := unix.RawSyscall(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0)
	refused("fork", errno)
	_, _, errno = unix.RawSyscall6(unix.SYS_EXECVEAT, ^uintptr(0), 0, 0, 0, 0, 0)
	refused("execute by path", errno)
	refused("chroot", unix.Chroot("."))
	refused("kill", unix.Kill(1, 0))
	_, err = unix.IoctlGetInt(0, unix.FS_IOC_GETFLAGS)
	refused("another ioctl", err)
	refused("rename", unix.Rename("objects", "else"))
	refused("symbolic link", unix.Symlink("/etc", "objects/etc"))
	refused("change an owner", unix.Chown("objects", 0, 0))
}
