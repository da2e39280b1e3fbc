package warden

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/pidfd"
	"github.com/brig-engine/brig/internal/wire"
)

const (
	brigdPause = 100 * time.Millisecond
	// servedPatience is for operations under way when a brigd ends; the longest is the check of an index.
	servedPatience = 6 * time.Minute
	// stopPatience is for a brigd that was told to stop all containers.
	stopPatience = 2 * time.Minute
)

// superviseBrigd keeps a brigd running until this process is told to stop.
func (w *Warden) superviseBrigd() error {
	for {
		ended, err := w.runBrigd()
		if err != nil {
			return err
		}
		time.Sleep(brigdPause)
		if w.stopping.Load() {
			return nil
		}
		w.log("brigd ended (%v); starting another one", ended)
	}
}

// runBrigd starts one brigd, serves it, and returns how it ended.
func (w *Warden) runBrigd() (pidfd.Status, error) {
	conn, fd, err := connected("brigd", w.startBrigd)
	if err != nil {
		return pidfd.Status{}, err
	}
	defer conn.Close()
	defer unix.Close(fd)
	w.setBrigd(fd)
	if w.stopping.Load() { // it came too late for the signal that the others got
		w.signalBrigd(unix.SIGTERM)
	}
	w.orphanExecs()
	served, handlers := make(chan struct{}), w.table()
	go func() {
		defer close(served)
		wire.Serve(conn, wire.Known, func(r *wire.Request) (wire.Reply, error) { return handlers[r.Op](r) })
		// It has ended, or has sent what no brigd of this build sends: there is no talking on with it.
		conn.Close()
		if !w.stopping.Load() {
			pidfd.Signal(fd, unix.SIGKILL)
		}
	}()
	if err := await(fd); err != nil {
		return pidfd.Status{}, err
	}
	conn.Close()
	select {
	case <-served:
	case <-time.After(servedPatience):
		return pidfd.Status{}, errors.New("an operation of the brigd that ended does not end")
	}
	w.setBrigd(-1)
	if err := w.killWorkers(); err != nil {
		w.log("%v", err)
	}
	return pidfd.Wait(fd, false)
}

func (w *Warden) signalBrigd(s unix.Signal) {
	w.mu.Lock()
	defer w.mu.Unlock()
	pidfd.Signal(w.brigd, s) // fails between two
}

func (w *Warden) setBrigd(fd int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.brigd = fd
}
