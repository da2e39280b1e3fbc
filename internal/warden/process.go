package warden

import (
	"errors"
	"fmt"
	"os"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/pidfd"
	"github.com/brig-engine/brig/internal/warden/idmap"
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
	var step *plan.StepError
	if !errors.As(err, &step) {
		return err
	}
	switch step.Sort {
	case plan.NotFound:
		return &wire.Error{Class: "invalid_argument", Code: 127, Text: fmt.Sprintf("%q: executable file not found in the container (%v)", program, err)}
	case plan.NotExecutable:
		return &wire.Error{Class: "invalid_argument", Code: 126, Text: fmt.Sprintf("%q cannot be executed in the container (%v)", program, err)}
	}
	return filterError(err)
}

var rlimits = map[string]int{"cpu": unix.RLIMIT_CPU, "fsize": unix.RLIMIT_FSIZE, "data": unix.RLIMIT_DATA,
	"stack": unix.RLIMIT_STACK, "core": unix.RLIMIT_CORE, "rss": unix.RLIMIT_RSS, "nproc": unix.RLIMIT_NPROC,
	"nofile": unix.RLIMIT_NOFILE, "memlock": unix.RLIMIT_MEMLOCK, "as": unix.RLIMIT_AS, "locks": unix.RLIMIT_LOCKS,
	"sigpending": unix.RLIMIT_SIGPENDING, "msgqueue": unix.RLIMIT_MSGQUEUE, "nice": unix.RLIMIT_NICE,
	"rtprio": unix.RLIMIT_RTPRIO, "rttime": unix.RLIMIT_RTTIME}

// setLimits sets resource limits and the OOM score of a child that waits. A default that this host cannot give is
// lowered with a warning; a limit that somebody asked for is an error then (traps 12).
func (p *program) setLimits(pid int) error {
	for _, l := range p.want.Rlimits {
		n, ok := rlimits[l.Type]
		if !ok {
			return fmt.Errorf("there is no limit %q: %w", l.Type, errdefs.ErrInvalidArgument)
		}
		want := unix.Rlimit{Cur: l.Soft, Max: l.Hard}
		err := idmap.Prlimit(pid, n, &want)
		if errors.Is(err, unix.EPERM) && l.Default {
			var have unix.Rlimit
			if err = unix.Getrlimit(n, &have); err == nil { // a child has the same
				want = unix.Rlimit{Cur: min(l.Soft, have.Max), Max: have.Max}
				err = idmap.Prlimit(pid, n, &want)
				p.made.Started.Warnings = append(p.made.Started.Warnings, fmt.Sprintf("the default limit %s=%d:%d was lowered to "+
					"%d:%d: this engine lacks CAP_SYS_RESOURCE", l.Type, l.Soft, l.Hard, want.Cur, want.Max))
			}
		}
		if errors.Is(err, unix.EPERM) {
			return fmt.Errorf("the limit %s=%d:%d is above what this host allows, and the engine lacks CAP_SYS_RESOURCE: %w",
				l.Type, l.Soft, l.Hard, errdefs.ErrFailedPrecondition)
		}
		if err != nil {
			return fmt.Errorf("set limit %s=%d:%d: %w", l.Type, l.Soft, l.Hard, err)
		}
	}
	return os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid), fmt.Append(nil, p.want.OOMScoreAdj), 0)
}
