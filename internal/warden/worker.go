package warden

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/pidfd"
	"github.com/brig-engine/brig/internal/wire"
	"github.com/brig-engine/brig/internal/wire/client"
)

// workerStart starts a confined worker for brigd, which talks to it over the socket that came along.
func (w *Warden) workerStart(r *wire.Request, q wire.WorkerStart) (wire.Reply, error) {
	k, err := w.startWorker(r.FDs[0])
	if err != nil {
		return wire.Reply{}, err
	}
	if !q.Stays {
		k.patience = workerPatience
	}
	theirs, err := dups(k.pidfd)
	w.background.Go(func() { w.reapWorker(k) })
	return wire.Reply{FDs: theirs}, err
}

// workerPatience is longer than any honest job takes.
const workerPatience = 2 * time.Hour

// worker is a running worker.
type worker struct {
	pidfd    int
	group    string
	patience time.Duration // how long it may live; 0 for the forwarder, which lives as long as its brigd
}

// workerGroup begins the name of a worker's control group.
const workerGroup = "worker-"

// killWorkers ends those of a brigd that has ended: nobody talks to them any more, and one that was conquered may not
// care that its socket was closed.
func (w *Warden) killWorkers() error {
	groups, err := w.parent.List()
	for _, id := range groups {
		if strings.HasPrefix(id, workerGroup) {
			w.parent.Open(id).Kill()
		}
	}
	return err
}

// reapWorker waits until a worker has ended and removes its control group.
func (w *Warden) reapWorker(k *worker) {
	if k.patience > 0 { // one that was conquered may not care that its socket was closed
		defer time.AfterFunc(k.patience, func() { pidfd.Signal(k.pidfd, unix.SIGKILL) }).Stop()
	}
	if err := await(k.pidfd); err != nil {
		w.log("worker: %v", err)
	}
	pidfd.Wait(k.pidfd, false)
	unix.Close(k.pidfd)
	w.removeGroup(k.group)
}

// checkIndex has a fresh worker, which never saw an archive, check an index before it is sealed: root mounts nothing that
// one hostile process could have written. Nothing that it says is read beyond whether it found a fault.
func (w *Warden) checkIndex(index *os.File, devices []int) error {
	job := &wire.Errand{Kind: wire.JobCheck, Check: &wire.JobCheckParams{}}
	for _, d := range devices {
		var st unix.Stat_t
		if err := unix.Fstat(d, &st); err != nil {
			return err
		}
		job.Check.Devices = append(job.Check.Devices, st.Size)
	}
	if err := w.runJob(job, w.startWorker, int(index.Fd())); err != nil {
		return fmt.Errorf("the file-system index was refused: %w", err)
	}
	return nil
}

// runJob starts a worker for a job of the warden's own and waits for its end.
func (w *Warden) runJob(job *wire.Errand, start func(socket int) (*worker, error), fds ...int) error {
	conn, k, err := connected("worker", start)
	if err != nil {
		return err
	}
	c := client.New(conn, "the worker")
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	if _, err = c.Call(ctx, wire.OpJob, job, nil, fds...); err != nil {
		err = fmt.Errorf("%s: %w", job.Kind, err)
	}
	pidfd.Signal(k.pidfd, unix.SIGKILL) // it has said what it had to say, and one that was conquered may stay
	w.reapWorker(k)
	return err
}
