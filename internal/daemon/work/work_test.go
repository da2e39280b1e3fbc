package work

import (
	"context"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/wire"
	"github.com/brig-engine/brig/internal/wire/jobs"
)

// hanging starts a worker that answers and then does not end; it is this process.
func hanging(t *testing.T, r *jobs.Result) func(int) ([]int, error) {
	return func(theirs int) ([]int, error) {
		mine, err := unix.FcntlInt(uintptr(theirs), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			return nil, err
		}
		conn, err := wire.FileConn(mine, "test")
		if err != nil {
			return nil, err
		}
		go func() {
			task, err := jobs.Read(conn, func() {})
			if err == nil {
				err = task.Done(r, nil)
			}
			if err != nil {
				t.Error(err)
			}
		}()
		fd, err := unix.PidfdOpen(os.Getpid(), 0)
		return []int{fd}, err
	}
}

// The kernel may take long to end a worker that had a container's root: it writes out what waits for the disk. What it has
// copied is there nevertheless; only what is sealed must not be written to any more.
func TestAResultOfACopyIsEnough(t *testing.T) {
	begun := time.Now()
	job := &jobs.Job{Kind: jobs.Tree, Tree: &jobs.TreeParams{Do: jobs.TreeStat}}
	r, err := Run(context.Background(), hanging(t, &jobs.Result{Tree: &jobs.TreeResult{Entries: 7}}), job, jobs.Host{})
	if took := time.Since(begun); err != nil || r.Tree.Entries != 7 || took > 2*time.Second {
		t.Errorf("%+v, %v, after %v", r, err, took)
	}
	job = &jobs.Job{Kind: jobs.Export, Export: &jobs.ExportParams{DataSize: 4096}}
	if r, err := Run(context.Background(), hanging(t, &jobs.Result{Export: &jobs.ExportResult{}}), job, jobs.Host{}); err == nil {
		t.Errorf("%+v of a worker that can still write", r)
	}
	if got := patience(&jobs.Job{Kind: jobs.Tree, Tree: &jobs.TreeParams{Do: jobs.TreeLayer}}); got != time.Minute {
		t.Errorf("a layer, which is sealed, is waited for %v", got)
	}
}
