// Package pidfd names processes by descriptors, which unlike pids never come to mean another process.
//
// Zone: brig-warden and brig-keeper (root). Input: descriptors and the pids of unreaped children. Output: signals and
// exit statuses. Spec: pidfd_open(2), pidfd_send_signal(2), waitid(2). Answers: A3 (a signal to a reused pid).
package pidfd

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Signal sends a signal. It returns os.ErrProcessDone's errno, ESRCH, if the process has ended.
func Signal(fd int, sig unix.Signal) error {
	return os.NewSyscallError("send a signal", unix.PidfdSendSignal(fd, sig, nil, 0))
}

// Status is how a process has ended.
type Status struct {
	Code   int         // exit status, if Signal is 0
	Signal unix.Signal // that killed it
}

// ExitCode is the status as a shell would give it: 128 + signal.
func (s Status) ExitCode() int {
	if s.Signal != 0 {
		return 128 + int(s.Signal)
	}
	return s.Code
}

// Wait blocks until the process has ended. Keep leaves it unreaped, so that the status can be read again.
func Wait(fd int, keep bool) (Status, error) {
	options := unix.WEXITED
	if keep {
		options |= unix.WNOWAIT
	}
	var info unix.Siginfo
	err := error(unix.EINTR)
	for err == unix.EINTR {
		err = unix.Waitid(unix.P_PIDFD, fd, &info, options, nil)
	}
	return status(&info), os.NewSyscallError("waitid", err) // with an error there is nothing in info
}

// Ended waits at most patience for the process to end and reports whether it has; it reaps nothing.
func Ended(fd int, patience time.Duration) (bool, error) {
	ready, err := Poll(patience, fd)
	return ready == 0, err
}

// Poll waits until one of fds is readable or has ended and returns its place, or -1 when the time is over.
func Poll(patience time.Duration, fds ...int) (int, error) {
	deadline := time.Now().Add(patience)
	set := make([]unix.PollFd, len(fds))
	for i, fd := range fds {
		set[i] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
	}
	for {
		left := max(time.Until(deadline), 0)
		n, err := unix.Poll(set, int((left+time.Millisecond-1)/time.Millisecond))
		switch {
		case err != nil && !errors.Is(err, unix.EINTR):
			return -1, fmt.Errorf("poll: %w", err)
		case n > 0:
			return slices.IndexFunc(set, func(p unix.PollFd) bool { return p.Revents != 0 }), nil
		case left == 0:
			return -1, nil
		}
	}
}

// EndedChild returns the pid of one child that has ended and was not reaped yet, or 0, and how it has ended. The child
// stays a zombie.
func EndedChild() (int, Status) {
	var info unix.Siginfo
	if err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil); err != nil {
		return 0, Status{} // ECHILD: no children at all
	}
	return int(field(&info, 16)), status(&info)
}

// field reads one of SIGCHLD's siginfo_t (64 bit): pid at 16, uid at 20, status at 24.
func field(info *unix.Siginfo, offset int) int32 {
	return *(*int32)(unsafe.Add(unsafe.Pointer(info), offset))
}

func status(info *unix.Siginfo) Status {
	value := field(info, 24)
	if info.Code == 1 { // CLD_EXITED; otherwise it was killed
		return Status{Code: int(value)}
	}
	return Status{Signal: unix.Signal(value)}
}
