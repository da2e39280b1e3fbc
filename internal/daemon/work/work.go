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

// How long a worker may take to end after its result: until then it can still write to its files, and what can be written
// to cannot be sealed. One that made the root of a container that does not run takes its file systems down meanwhile, and
// the kernel writes out everything that waits to be written to the disk below, whoever's it is.
const late, lateTree = 5 * time.Second, time.Minute

// patience is that for one job. Nothing is sealed of what most jobs on a tree make, so that a result is enough.
func patience(job *jobs.Job) time.Duration {
	switch {
	case job.Tree == nil:
		return late
	case job.Tree.Do == jobs.TreeLayer:
		return lateTree
	}
	return 0
}

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
	wait := patience(job)
	ended, perr := pidfd.Ended(got[0], wait)
	if perr == nil && !ended && wait > 0 {
		perr = fmt.Errorf("%s: the worker does not end after its result", job.Kind)
	}
	if err != nil {
		return nil, err
	}
	return r, perr
}
