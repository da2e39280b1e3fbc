// Package pty makes terminal pairs of a given devpts instance, so that a container's terminal is one of its own.
//
// Zone: brig-warden (root). Input: a descriptor of a devpts mount that the warden made, or of the directory where a
// container should have it. Output: a master and a slave. Spec: pts(4), ioctl_tty(2). Answers: A3 (CVE-2025-52565).
package pty

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Open makes a pair of the devpts instance mounted at dir. Both descriptors are close-on-exec and not the controlling
// terminal. Anything at dir that is not devpts is refused.
func Open(dir int) (master, slave int, err error) {
	var fs unix.Statfs_t
	if err = unix.Fstatfs(dir, &fs); err == nil && fs.Type != unix.DEVPTS_SUPER_MAGIC {
		err = fmt.Errorf("not a devpts file system: %w", unix.ENODEV)
	}
	if err == nil {
		master, err = unix.Openat2(dir, "ptmx", &unix.OpenHow{Flags: unix.O_RDWR | unix.O_NOCTTY | unix.O_CLOEXEC,
			Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_XDEV})
	}
	if err != nil {
		return -1, -1, fmt.Errorf("open a terminal: %w", err)
	}
	if err = unix.IoctlSetPointerInt(master, unix.TIOCSPTLCK, 0); err != nil {
		unix.Close(master)
		return -1, -1, fmt.Errorf("unlock a terminal: %w", err)
	}
	// The slave is opened without a path: TIOCGPTPEER takes the open flags as its argument.
	fd, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(master), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if errno != 0 {
		unix.Close(master)
		return -1, -1, fmt.Errorf("open a terminal: %w", errno)
	}
	return master, int(fd), nil
}

// Resize sets the size of a terminal in characters.
func Resize(fd int, rows, cols uint16) error {
	return os.NewSyscallError("resize the terminal", unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: cols}))
}
