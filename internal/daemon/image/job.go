package image

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/pidfd"
	"github.com/brig-engine/brig/internal/wire"
	"github.com/brig-engine/brig/internal/wire/jobs"
)

// lateWorker is how long a worker may take to end after its result: until then it can still write to its files, and
// what can be written to cannot be sealed.
const lateWorker = 5 * time.Second

// run has one worker do one job. fds stay open.
func (s *Store) run(ctx context.Context, job *jobs.Job, host jobs.Host, fds ...int) (*jobs.Result, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socket for a worker: %w", err)
	}
	conn, err := wire.FileConn(pair[0], "worker")
	if err != nil {
		unix.Close(pair[1])
		return nil, err
	}
	got, err := s.cfg.Warden.Give(ctx, wire.OpWorkerStart, wire.WorkerStart{}, nil,
		pair[1])
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("start a worker: %w", err)
	}
	defer wire.CloseAll(got)
	r, err := jobs.Run(ctx, conn, job, fds, host) // closes conn
	if err != nil {
		return nil, err
	}
	if len(got) != 1 {
		return nil, errors.New("the warden named no process for the worker")
	}
	ended, err := pidfd.Ended(got[0], lateWorker)
	if err == nil && !ended {
		err = fmt.Errorf("%s: the worker does not end after its result", job.Kind)
	}
	if err != nil {
		return nil, err
	}
	return r, nil
}

// handout opens sealed objects for a job, one at a time: what was handed out before has been sent when the next is
// asked for.
type handout struct {
	s    *Store
	ctx  context.Context
	file *os.File
}

func (h *handout) open(digest string) (int, error) {
	f, err := h.s.open(h.ctx, digest)
	if err != nil {
		return -1, err
	}
	h.close()
	h.file = f
	return int(f.Fd()), nil
}

func (h *handout) close() {
	h.file.Close() // harmless if there is none
}
