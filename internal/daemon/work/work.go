// Package work has a worker do one job: it makes the connection, and waits until the worker has really ended.
//
// Zone: brigd. Input: results of workers, which a stranger's bytes may have conquered. Output: the same, decoded strictly.
package work

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/pidfd"
	"github.com/brig-engine/brig/internal/wire"
	"github.com/brig-engine/brig/internal/wire/jobs"
)

// late is how long a worker may take to end after its result: until then it can still write to its files, and what can
// be written to cannot be sealed.
const late = 5 * time.Second

// Run has the warden start a worker (start is given the worker's end of the connection, and returns its pidfd), and the
// worker do the job. fds stay open.
func Run(ctx context.Context, start func(socket int) ([]int, error), job *jobs.Job, host jobs.Host, fds ...int) (*jobs.Result, error) {
	conn, theirs, err := wire.Pair("worker")
	if err != nil {
		return nil, err
	}
	got, err := start(theirs)
	unix.Close(theirs) // only the worker has it now: its death is the end of the connection
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("start a worker: %w", err)
	}
	defer wire.CloseAll(got)
	r, err := jobs.Run(ctx, conn, job, fds, host) // closes conn
	if len(got) != 1 {
		return nil, errors.Join(err, errors.New("the warden named no process for the worker"))
	}
	ended, perr := pidfd.Ended(got[0], late)
	if perr == nil && !ended {
		perr = fmt.Errorf("%s: the worker does not end after its result", job.Kind)
	}
	if err != nil {
		return nil, err
	}
	return r, perr
}
