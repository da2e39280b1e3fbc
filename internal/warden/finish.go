package warden

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/pidfd"
	"github.com/brig-engine/brig/internal/wire"
)

// finish tells how a process ended and reaps it. brigd asks when the pidfd says that it has. An execution is forgotten; for
// process 1 asking again gives the same answer.
func (w *Warden) finish(q wire.ProcessRef) (any, error) {
	c, p, err := w.process(q)
	if err != nil {
		return nil, err
	}
	exit, err := w.ended(p)
	if err == nil && q.Exec != "" {
		w.background.Go(func() { // nobody waits for this
			defer c.mu.Unlock()
			w.forgetExec(c, q.Exec, p)
			w.reaped(p)
		})
		return exit, nil
	}
	defer c.mu.Unlock()
	if err != nil || p.Exit != nil {
		return exit, err
	}
	return w.containerEnded(c, exit)
}

// containerEnded notes the end of process 1, reaps it and takes the sandbox down.
func (w *Warden) containerEnded(c *container, exit wire.Exit) (any, error) {
	exit.OOMKilled = exit.Signal == int(unix.SIGKILL) && w.parent.Open(c.id).OOMKills() > 0
	n := c.note
	n.Exit = &exit
	if err := w.notes.write(n); err != nil {
		n.Exit = nil
		return nil, err
	}
	w.reaped(&n.process)
	if len(n.ports) > 0 {
		w.router.freed.Store(time.Now().UnixNano())
	}
	c.cleaning.Add(1)
	w.background.Go(func() {
		defer c.cleaning.Done()
		w.takeDown(n)
	})
	return exit, nil
}

// ended tells how a process has ended, without reaping it. A child of ours is asked about directly; one that an earlier
// warden started was reaped by the keeper, which wrote it down before.
func (w *Warden) ended(p *process) (wire.Exit, error) {
	switch {
	case p.Exit != nil:
		return *p.Exit, nil
	case p.pidfd < 0:
		return w.exitNote(p)
	}
	if done, err := pidfd.Ended(p.pidfd, 0); err != nil || !done {
		return wire.Exit{}, fmt.Errorf("process %d is still running: %w", p.Started.PID, errors.Join(errdefs.ErrFailedPrecondition, err))
	}
	s, err := pidfd.Wait(p.pidfd, true)
	if errors.Is(err, unix.ECHILD) {
		return w.exitNote(p)
	}
	return wire.Exit{Code: s.ExitCode(), Signal: int(s.Signal), At: time.Now().UnixNano()}, err
}

// exitNote waits for the keeper's note, which it writes as soon as it runs.
func (w *Warden) exitNote(p *process) (wire.Exit, error) {
	path := w.exitPath(p)
	for deadline := time.Now().Add(2 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		var exit wire.Exit
		if err := readJSON(path, &exit); !errors.Is(err, os.ErrNotExist) {
			return exit, err
		}
		if time.Now().After(deadline) {
			return wire.Exit{Code: 255, Unknown: true, At: time.Now().UnixNano()}, nil
		}
	}
}

func (w *Warden) exitPath(p *process) string {
	return filepath.Join(w.cfg.Run, "exits", wire.NoteName(p.Started.PID, p.Started.StartTime))
}

// reaped forgets a process whose end was noted.
func (w *Warden) reaped(p *process) {
	if _, err := pidfd.Wait(p.pidfd, false); err != nil {
		os.Remove(w.exitPath(p)) // it was the keeper's child
	}
	wire.CloseAll([]int{p.pidfd})
	p.pidfd = -1
}

// takeDown gives back everything that a container had while it ran. Its pid namespace is gone, and with it every
// process; the directory and the id range stay until it is removed.
func (w *Warden) takeDown(n *note) {
	w.dropStreams(&n.process)
	defer func() { wire.CloseAll(n.held); n.held = nil }() // last: it takes a while, and ports and endpoint are waited for
	wire.CloseAll(n.ports)
	var ports []string
	for i := range n.ports {
		ports = append(ports, key(n.ID, portName(i)))
	}
	w.keep.drop(ports...)
	w.router.release(n.Started.Endpoint)
	w.removeGroup(n.ID)
}

// removeGroup removes a control group, if there is one, with what may still be in it. It ends: the kernel holds one that
// writes a file system's caches out for as long as that takes, and one whose disk hangs for ever.
func (w *Warden) removeGroup(id string) error {
	g := w.parent.Open(id)
	err := errors.Join(g.Kill(), g.Remove(30*time.Second)) // a crash may have left it in some hierarchies only
	if err != nil {
		w.log("%v", err)
	}
	return err
}

// containerRemove deletes every trace of a container that does not run.
func (w *Warden) containerRemove(q wire.ContainerRef) (any, error) {
	if !containerID(q.ID) {
		return nil, fmt.Errorf("%q is no id of a container: %w", q.ID, errdefs.ErrInvalidArgument)
	}
	c := w.locked(q.ID)
	defer c.mu.Unlock()
	if c.note != nil && c.note.Exit == nil {
		return nil, fmt.Errorf("container %s is running: %w", short(q.ID), errdefs.ErrConflict)
	}
	base, _ := w.rangeOf(q.ID)
	// Forget first, delete after: the sweep at start finds what a crash leaves behind.
	if err := w.notes.remove(q.ID); err != nil {
		return nil, err
	}
	last := c.note
	c.note = nil
	erase, err := w.discard(c, base)
	if err != nil {
		return nil, err
	}
	w.background.Go(func() { w.forget(c, last, erase) })
	return nil, nil
}

// forget deletes what is left of a container. Its entry stays until everything of its last run is down, so that a start
// under the same id waits for that.
func (w *Warden) forget(c *container, last *note, erase func() error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	err := erase()
	w.reap(last)
	if c.note == nil && w.current(c) { // it may have been removed twice, and started again
		err = errors.Join(err, os.RemoveAll(w.streamDir(c.id)))
		w.mu.Lock()
		delete(w.live, c.id)
		w.mu.Unlock()
	}
	if err != nil {
		w.log("delete container %s: %v", short(c.id), err)
	}
}

// discard moves the container's directory out of the way: what is in it was written by strangers, and there may be much
// of it. Erase deletes it when nobody has it any more, and then its ids are free.
func (w *Warden) discard(c *container, base uint32) (erase func() error, err error) {
	dir := w.directory(c.id)
	trash := filepath.Join(dir, "../../../trash", fmt.Sprintf("%s.%d", c.id, w.workers.Add(1))) // of the same file system
	if err := os.Rename(dir, trash); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	return func() error {
		if err := inOrder(func() error { return w.dismiss(c) }, func() error { return w.disk.Remove(trash) }); err != nil {
			return err // its ids stay taken
		}
		w.ranges.hold(base, -1)
		return nil
	}, nil
}
