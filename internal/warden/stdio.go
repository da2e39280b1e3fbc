package warden

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// stdio are the two sides of a process's standard streams. Output goes through named pipes whose inner end is opened
// for reading and writing, so that a reader always exists and a daemon's death is no SIGPIPE (traps 3); the names let a
// later daemon open the outer ends again. They belong to the process's user, so that /dev/stdout can be reopened (traps 19).
type stdio struct {
	dir string
	// inner: what the process gets as 0, 1, 2. outer: write end of stdin (-1 without), read ends of stdout and stderr.
	inner [3]int
	outer [3]int
}

var streamNames = [3]string{"in", "out", "err"}

// newStdio makes the pipes below dir for a process of host user uid.
func newStdio(dir string, uid, gid int, stdin bool) (*stdio, error) {
	s := &stdio{dir: dir, inner: [3]int{-1, -1, -1}, outer: [3]int{-1, -1, -1}}
	os.RemoveAll(dir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	for i := range s.inner {
		if err := s.make(i, uid, gid, stdin); err != nil {
			s.closeInner()
			s.closeOuter()
			return nil, fmt.Errorf("standard stream %s: %w", streamNames[i], err)
		}
	}
	return s, nil
}

func (s *stdio) make(i, uid, gid int, stdin bool) (err error) {
	if i == 0 && !stdin {
		s.inner[0], err = unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		return err
	}
	path := filepath.Join(s.dir, streamNames[i])
	if err := unix.Mkfifo(path, 0o600); err != nil {
		return err
	}
	both, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if i > 0 {
		s.inner[i] = both
		s.outer[i], err = unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	} else {
		defer unix.Close(both)
		if s.inner[0], err = unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0); err == nil {
			s.outer[0], err = unix.Open(path, unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		}
	}
	if err != nil {
		return err
	}
	return unix.Fchown(both, uid, gid)
}

func (s *stdio) closeInner() { closeFDs(s.inner[:]) }
func (s *stdio) closeOuter() { closeFDs(s.outer[:]) }

func closeFDs(fds []int) {
	for i, fd := range fds {
		if fd >= 0 {
			unix.Close(fd)
			fds[i] = -1
		}
	}
}
