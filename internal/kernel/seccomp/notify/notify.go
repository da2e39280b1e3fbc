// Package notify is the listener's side of a seccomp filter that leaves calls to one: it receives them and answers.
//
// Zone: brigd, for containers that are recorded, and tests. Input: the descriptor that the kernel makes with a filter; the
// numbers and registers of calls, which the program in the container chose, and nothing that they point to.
// Output: answers. Spec: seccomp_unotify(2).
package notify

import (
	"errors"
	"fmt"
	"io"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Call is struct seccomp_notif: one that waits for an answer.
type Call struct {
	ID     uint64
	PID    uint32 // of the caller, as this process sees it
	flags  uint32
	Number uint32
	Arch   uint32
	IP     uint64
	Args   [6]uint64
}

// response is struct seccomp_notif_resp.
type response struct {
	id    uint64
	value int64
	errno int32
	flags uint32
}

// Receive waits for a call. The error is io.EOF when no process is left that has the filter. One goroutine may receive from a
// descriptor: of two, one could wait for ever.
func Receive(fd int) (Call, error) {
	for {
		// Before Linux 6.11 who waits for a call is not woken when the last process has ended; who polls is.
		set := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		if _, err := unix.Poll(set, -1); err != nil && !errors.Is(err, unix.EINTR) {
			return Call{}, fmt.Errorf("wait for a system call: %w", err)
		}
		if set[0].Revents&unix.POLLIN == 0 {
			if set[0].Revents != 0 {
				return Call{}, io.EOF
			}
			continue
		}
		var c Call
		err := ioctl(fd, unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(&c))
		switch {
		case err == nil:
			return c, nil
		case !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.ENOENT): // the caller was killed, or a signal came to it
			return Call{}, fmt.Errorf("receive a system call: %w", err)
		}
	}
}

// Continue has the kernel carry a call out, as if there were no listener. What its arguments point to may have changed since:
// it is no way to decide by that.
func Continue(fd int, c Call) error {
	return answer(fd, &response{id: c.ID, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE})
}

// Answer has a call return value, or fail with errno if that is not 0. The kernel carries nothing out.
func Answer(fd int, c Call, value int64, errno unix.Errno) error {
	return answer(fd, &response{id: c.ID, value: value, errno: -int32(errno)})
}

func answer(fd int, r *response) error {
	err := error(unix.EINTR)
	for errors.Is(err, unix.EINTR) {
		err = ioctl(fd, unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(r))
	}
	if errors.Is(err, unix.ENOENT) { // nobody waits for it any more; a call that a signal has interrupted comes again
		return nil
	}
	if err != nil {
		return fmt.Errorf("answer a system call: %w", err)
	}
	return nil
}

func ioctl(fd int, request uintptr, argument unsafe.Pointer) error {
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(argument)); e != 0 {
		return e
	}
	return nil
}
