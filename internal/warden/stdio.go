package warden

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/pty"
)

// streamNames are the named pipes of a process's standard streams, and what the keeper calls their outer ends.
var streamNames = [3]string{"in", "out", "err"}

// stdio makes what the process has as 0, 1 and 2.
func (p *program) stdio() error {
	if p.want.Terminal {
		return p.openTerminal(p.fds["pts"])
	}
	return p.openPipes()
}

// openPipes makes the standard streams of a process. Output goes through named pipes whose inner end is opened for
// reading and writing, so that a reader always exists and a daemon's death is no SIGPIPE (traps 3); the names let a
// later daemon open the outer ends again. They belong to the process's user, so that /dev/stdout can be reopened (traps 19).
func (p *program) openPipes() error {
	dir := p.w.streamDir(p.made.key)
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o700)); err != nil {
		return err
	}
	for _, name := range streamNames {
		if err := p.openPipe("std"+name, name, dir); err != nil {
			return fmt.Errorf("standard stream %s: %w", name, err)
		}
	}
	return nil
}

// openPipe makes one: what the process gets as inner, and the outer end of that name. A process without a standard input
// reads nothing.
func (p *program) openPipe(inner, outer, dir string) error {
	if inner == "stdin" && !p.want.Stdin {
		fd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		p.give(inner, fd)
		return err
	}
	path := filepath.Join(dir, outer)
	if err := unix.Mkfifo(path, 0o600); err != nil {
		return err
	}
	// The first one lets the others open with nobody at the other end.
	modes := [3]int{unix.O_RDWR, unix.O_RDWR, unix.O_RDONLY}
	if inner == "stdin" {
		modes = [3]int{unix.O_RDWR, unix.O_RDONLY, unix.O_WRONLY}
	}
	var fds [3]int
	for i, mode := range modes {
		var err error
		if fds[i], err = unix.Open(path, mode|unix.O_CLOEXEC, 0); err != nil {
			return err
		}
		p.own = append(p.own, fds[i])
	}
	p.fds[inner] = fds[1]
	p.ends = append(p.ends, end{outer, fds[2]})
	u, base := p.want.User, p.made.Started.Range
	return cmp.Or(unix.Fchown(fds[0], int(base+u.UID), int(base+u.GID)), setLabel(path, p.made.Started.MountLabel), unix.SetNonblock(fds[2], true))
}

// openTerminal takes a pair of the container's own devpts and gives the slave to the process's user.
func (p *program) openTerminal(pts int) error {
	master, slave, err := pty.Open(pts)
	if err != nil {
		return err
	}
	p.made.pty, p.ends = master, append(p.ends, end{"pty", master})
	p.give("tty", slave)
	err = unix.Fchown(slave, int(p.made.Started.Range+p.want.User.UID), -1)
	if err == nil && p.want.Rows > 0 && p.want.Cols > 0 {
		err = pty.Resize(master, p.want.Rows, p.want.Cols)
	}
	if err == nil {
		err = unix.SetNonblock(master, true)
	}
	return os.NewSyscallError("terminal", err)
}
