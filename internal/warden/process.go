package warden

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/calls"
	"github.com/brig-engine/brig/internal/kernel/pidfd"
	"github.com/brig-engine/brig/internal/warden/plan"
	"github.com/brig-engine/brig/internal/wire"
)

// Helpers that starting a container and executing in one have in common.

func dup(fd int) (int, error) {
	n, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
	return n, os.NewSyscallError("duplicate a descriptor", err)
}

// dups duplicates all or none.
func dups(fds ...int) (out []int, err error) {
	for _, fd := range fds {
		copied, err := dup(fd)
		if err != nil {
			wire.CloseAll(out)
			return nil, err
		}
		out = append(out, copied)
	}
	return out, nil
}

// await blocks until the process behind a pidfd has ended; it takes no thread.
func await(fd int) error {
	mine, err := dup(fd)
	if err != nil {
		return err
	}
	_ = unix.SetNonblock(mine, true) // or os would not have it polled
	f := os.NewFile(uintptr(mine), "pidfd")
	defer f.Close()
	c, _ := f.SyscallConn() // an open file has one
	var bad error
	err = c.Read(func(fd uintptr) bool {
		done, err := pidfd.Ended(int(fd), 0)
		bad = err
		return done || err != nil
	})
	return errors.Join(err, bad)
}

// programError gives a failed birth the class that people and Docker know: 127 for a program that is not there, 126 for
// one that cannot be executed.
func programError(program string, err error) error {
	var step *calls.StepError
	if !errors.As(err, &step) {
		return err
	}
	switch step.Sort {
	case calls.NotFound:
		return &wire.Error{Class: "invalid_argument", Code: 127, Text: fmt.Sprintf("%q: executable file not found in the container (%v)", program, err)}
	case calls.NotExecutable:
		return &wire.Error{Class: "invalid_argument", Code: 126, Text: fmt.Sprintf("%q cannot be executed in the container (%v)", program, err)}
	}
	return filterError(err)
}

var rlimits = map[string]int{"cpu": unix.RLIMIT_CPU, "fsize": unix.RLIMIT_FSIZE, "data": unix.RLIMIT_DATA,
	"stack": unix.RLIMIT_STACK, "core": unix.RLIMIT_CORE, "rss": unix.RLIMIT_RSS, "nproc": unix.RLIMIT_NPROC,
	"nofile": unix.RLIMIT_NOFILE, "memlock": unix.RLIMIT_MEMLOCK, "as": unix.RLIMIT_AS, "locks": unix.RLIMIT_LOCKS,
	"sigpending": unix.RLIMIT_SIGPENDING, "msgqueue": unix.RLIMIT_MSGQUEUE, "nice": unix.RLIMIT_NICE,
	"rtprio": unix.RLIMIT_RTPRIO, "rttime": unix.RLIMIT_RTTIME}

// limits are the resource limits and the OOM score of the program (traps 12).
func (p *program) limits() (l plan.Limits, err error) {
	l.OOMScoreAdj = strconv.Itoa(p.want.OOMScoreAdj)
	for _, want := range p.want.Rlimits {
		kind, ok := rlimits[want.Type]
		if !ok {
			return l, fmt.Errorf("there is no limit %q: %w", want.Type, errdefs.ErrInvalidArgument)
		}
		l.Resources = append(l.Resources, plan.Limit{Name: want.Type, Kind: kind, Soft: want.Soft, Hard: want.Hard})
	}
	return l, raised(l.Resources)
}

// raised marks those that are above what a child begins with, which is what this process has.
func raised(list []plan.Limit) (err error) {
	for i, l := range list {
		var have unix.Rlimit
		err = errors.Join(err, unix.Getrlimit(l.Kind, &have))
		list[i].Raise = l.Hard > have.Max
	}
	return err
}
