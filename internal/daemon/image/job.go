package image

import (
	"context"
	"os"

	"github.com/brig-engine/brig/internal/daemon/work"
	"github.com/brig-engine/brig/internal/wire"
	"github.com/brig-engine/brig/internal/wire/jobs"
)

// run has one worker do one job. fds stay open.
func (s *Store) run(ctx context.Context, job *jobs.Job, host jobs.Host, fds ...int) (*jobs.Result, error) {
	start := func(socket int) ([]int, error) {
		return s.cfg.Warden.Call(ctx, wire.OpWorkerStart, wire.WorkerStart{}, nil, socket)
	}
	return work.Run(ctx, start, job, host, fds...)
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
