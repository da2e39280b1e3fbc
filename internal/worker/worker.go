package worker

import (
	"fmt"
	"os"
	"runtime/debug"

	"github.com/brig-engine/brig/internal/wire"
	"github.com/brig-engine/brig/internal/wire/jobs"
	"github.com/containerd/errdefs"
)

// Handler carries out one kind of job.
type Handler func(*jobs.Task) (*jobs.Result, error)

// JobFD is the descriptor of the connection to brigd.
const JobFD = 3

// memorySoft is where the garbage collector starts to work harder, in bytes. The hard bound is the worker's cgroup.
const memorySoft = 768 << 20

// Run receives the job, carries it out, and returns the exit status: 0 if a result or an error of the job was reported.
func Run(table map[wire.JobKind]Handler) int {
	debug.SetMemoryLimit(memorySoft)
	conn, err := wire.FileConn(JobFD, "job")
	if err != nil {
		return fail(err)
	}
	defer conn.Close()
	task, err := jobs.Read(conn, func() { os.Exit(1) })
	if err != nil {
		return fail(err)
	}
	handler := table[task.Kind]
	if handler == nil {
		return report(task, nil, fmt.Errorf("job %s is not built yet: %w", task.Kind, errdefs.ErrNotImplemented))
	}
	r, err := handler(task)
	return report(task, r, err)
}

func report(task *jobs.Task, r *jobs.Result, err error) int {
	if err := task.Done(r, err); err != nil {
		return fail(err)
	}
	return 0
}

func fail(err error) int {
	fmt.Fprintln(os.Stderr, "brig-worker:", err)
	return 1
}
