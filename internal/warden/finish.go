package warden

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/pidfd"
	"github.com/brig-engine/brig/internal/warden/cgroup"
	"github.com/brig-engine/brig/internal/wire"
)

// containerFinish notes how process 1 ended, reaps it and takes the sandbox down. brigd asks when the pidfd says that
// the process has ended; asking again gives the same answer.
func (w *Warden) containerFinish(q wire.ContainerRef) (any, error) {
	c, err := w.known(q.ID)
	if err != nil {
		return nil, err
	}
	defer c.mu.Unlock()
	if c.note.Exit != nil {
		return *c.note.Exit, nil
	}
	exit, err := w.ended(&c.note.process, c.pidfd)
	if err != nil {
		return nil, err
	}
	if g, err := w.group(q.ID); err == nil {
		kills, _ := g.OOMKills()
		exit.OOMKilled = kills > 0 && exit.Signal == int(unix.SIGKILL)
	}
	c.note.Exit = &exit
	if err := w.notes.write(c.note); err != nil {
		c.note.Exit = nil
		return nil, err
	}
	w.reaped(&c.note.process, c.pidfd)
	c.pidfd = -1
	c.cleaning.Add(1)
	w.background.Add(1)
	endpoint := c.note.Endpoint
	go func() {
		defer w.background.Done()
		defer c.cleaning.Done()
		w.takeDown(c, endpoint)
	}()
	return exit, nil
}

// ended tells how a process has ended, without reaping it. A child of ours is asked about directly; one that an earlier
// warden started was reaped by the keeper, which wrote it down before.
func (w *Warden) ended(p *process, fd int) (wire.Exit, error) {
	if fd < 0 {
		return w.exitNote(p)
	}
	done, err := pidfd.Ended(fd, 0)
	if err != nil {
		return wire.Exit{}, err
	}
	if !done {
		return wire.Exit{}, fmt.Errorf("process %d is still running: %w", p.Started.PID, errdefs.ErrFailedPrecondition)
	}
	s, err := pidfd.Wait(fd, true)
	if err == nil {
		return wire.Exit{Code: s.ExitCode(), Signal: int(s.Signal), At: time.Now().UnixNano()}, nil
	}
	if !errors.Is(err, unix.ECHILD) {
		return wire.Exit{}, err
	}
	return w.exitNote(p)
}

// exitNote waits for the keeper's note, which it writes as soon as it runs.
func (w *Warden) exitNote(p *process) (wire.Exit, error) {
	path := w.exitPath(p)
	for deadline := time.Now().Add(2 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		b, err := os.ReadFile(path)
		if err == nil {
			var exit wire.Exit
			return exit, wire.DecodeStrict(b, &exit)
		}
		if !errors.Is(err, os.ErrNotExist) {
			return wire.Exit{}, err
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
func (w *Warden) reaped(p *process, fd int) {
	if fd < 0 {
		os.Remove(w.exitPath(p))
		return
	}
	if _, err := pidfd.Wait(fd, false); err != nil {
		os.Remove(w.exitPath(p)) // it was the keeper's child
	}
	unix.Close(fd)
}

// takeDown gives back everything that a container had while it ran. Its pid namespace is gone, and with it every
// process; the directory and the id range stay until it is removed.
func (w *Warden) takeDown(c *container, endpoint *wire.Endpoint) {
	w.dropStreams(c.id, c.pty)
	c.pty = -1
	w.dropPorts(c)
	if endpoint != nil && w.router != nil {
		if err := w.router.release(endpoint); err != nil {
			w.log("container %s: %v", short(c.id), err)
		}
	}
	if g, err := w.group(c.id); err == nil {
		w.removeGroup(g)
	}
}

// removeGroup removes a control group, with what may still be in it.
func (w *Warden) removeGroup(g *cgroup.Group) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err := g.Kill()
	if err == nil {
		err = g.Remove(ctx)
	}
	if err != nil && !errdefs.IsNotFound(err) {
		w.log("%v", err)
	}
}

func (w *Warden) dropPorts(c *container) {
	for i, fd := range c.ports {
		if fd >= 0 {
			unix.Close(fd)
		}
		w.keep.drop(portKey(c.id, i))
	}
	c.ports = nil
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
	base, err := w.rangeOf(q.ID)
	had := err == nil
	// Forget first, delete after: the sweep at start finds what a crash leaves behind.
	if err := w.notes.remove(q.ID); err != nil {
		return nil, err
	}
	c.note = nil
	trash, err := w.discard(q.ID)
	if err != nil {
		return nil, err
	}
	w.background.Add(1)
	go func() {
		defer w.background.Done()
		w.forget(c, trash)
		if had {
			w.ranges.free(base)
		}
	}()
	return nil, nil
}

// forget deletes what is left of a container. Its entry stays until everything of its last run is down, so that a start
// under the same id waits for that.
func (w *Warden) forget(c *container, trash string) {
	c.cleaning.Wait()
	c.mu.Lock()
	err := os.RemoveAll(trash)
	if c.note == nil {
		err = errors.Join(err, os.RemoveAll(w.streamDir(c.id, "")))
		w.mu.Lock()
		delete(w.live, c.id)
		w.mu.Unlock()
	}
	c.mu.Unlock()
	if err != nil {
		w.log("delete container %s: %v", short(c.id), err)
	}
}

// discard moves the container's directory out of the way, for somebody to delete: what is in it was written by
// strangers, and there may be much of it.
func (w *Warden) discard(id string) (trash string, err error) {
	trash = filepath.Join(w.cfg.Root, "trash", fmt.Sprintf("%s.%d", id, w.workers.Add(1)))
	err = os.Rename(w.directory(id), trash)
	if errors.Is(err, os.ErrNotExist) {
		return trash, nil
	}
	return trash, err
}
