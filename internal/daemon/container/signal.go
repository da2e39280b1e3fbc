package container

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/events"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/daemon/policy"
	"github.com/brig-engine/brig/internal/wire"
)

// defaultStop is how many seconds a stop waits before it kills.
const defaultStop = 10

// Kill sends a signal to process 1; SIGKILL goes to all processes.
func (e *Engine) Kill(ctx context.Context, c *Container, signal int) error {
	if signal != int(unix.SIGKILL) {
		err := c.tell(ctx, signal)
		if err == nil {
			e.resumeFor(ctx, c, signal)
		}
		return err
	}
	c.mu.Lock()
	run := c.run
	c.mu.Unlock()
	if err := c.tell(ctx, signal); err != nil {
		return err
	}
	return c.awaitEnd(run, nil) // as in Docker: the container can be removed now
}

// tell sends a signal to a container that runs, and publishes that. With life held, since the end that the signal may
// cause is published after it.
func (c *Container) tell(ctx context.Context, signal int) error {
	c.life.Lock()
	defer c.life.Unlock()
	if c.state() != Running {
		return errNotRunning(c)
	}
	if err := c.signal(ctx, signal); err != nil {
		return err
	}
	c.publish(events.ActionKill, "signal", strconv.Itoa(signal))
	return nil
}

func (c *Container) signal(ctx context.Context, signal int) error {
	req := wire.ContainerSignal{ID: c.id, Signal: signal}
	if _, err := c.e.cfg.Warden.Call(context.WithoutCancel(ctx), wire.OpContainerSignal, req, nil); err != nil {
		return fmt.Errorf("signal container %s: %w", c.id[:12], err)
	}
	return nil
}

// StopOptions say how to stop; the zero value asks the container's own signal and time.
type StopOptions struct {
	Signal  string
	Timeout *int // seconds; negative: wait for ever
}

// Stop asks the container to end, and kills it when it does not in time.
func (e *Engine) Stop(ctx context.Context, c *Container, o StopOptions) error {
	c.settle()
	c.mu.Lock()
	run, state := c.run, c.rec.State
	name, seconds := c.rec.Config.StopSignal, defaultStop
	if t := c.rec.Config.StopTimeout; t != nil {
		seconds = *t
	}
	c.mu.Unlock()
	if state != Running {
		return ErrNotModified
	}
	if o.Signal != "" {
		name = o.Signal
	}
	if o.Timeout != nil {
		seconds = *o.Timeout
	}
	signal, err := policy.ParseSignal(name)
	if err != nil {
		return fmt.Errorf("%w: %w", err, errdefs.ErrInvalidArgument)
	}
	// The caller may go away; a stop that was begun is finished all the same.
	ctx = context.WithoutCancel(ctx)
	if err := c.tell(ctx, signal); err != nil && !ends(run, 1) { // else it has ended by itself
		return err
	}
	e.resumeFor(ctx, c, signal)
	if !ends(run, seconds) {
		if err := c.killNow(ctx, run); err != nil {
			return err
		}
	}
	c.publish(events.ActionStop)
	return nil
}

// StopAll stops every running container, each with its own signal and patience, and returns when all have ended.
func (e *Engine) StopAll(ctx context.Context) {
	e.mu.RLock()
	all := slices.Collect(maps.Values(e.byID))
	e.mu.RUnlock()
	var wg sync.WaitGroup
	for _, c := range all {
		wg.Go(func() {
			if err := e.Stop(ctx, c, StopOptions{}); err != nil && !errors.Is(err, ErrNotModified) {
				c.warn(err)
			}
		})
	}
	wg.Wait()
}

// killNow kills a run and waits for its end.
func (c *Container) killNow(ctx context.Context, run *session) error {
	return c.awaitEnd(run, c.tell(ctx, int(unix.SIGKILL))) // it fails when the process has just ended by itself
}

// awaitEnd waits for the end of a run that was killed; err is what the kill has come to.
func (c *Container) awaitEnd(run *session, err error) error {
	if ends(run, defaultStop) {
		return nil
	}
	if err == nil {
		err = fmt.Errorf("container %s did not end %d seconds after SIGKILL: %w", c.id[:12], defaultStop,
			errdefs.ErrUnavailable)
	}
	return err
}

// ends waits for the end of a run.
func ends(run *session, seconds int) bool {
	if seconds < 0 {
		<-run.ended
		return true
	}
	t := time.NewTimer(time.Duration(seconds) * time.Second)
	defer t.Stop()
	select {
	case <-run.ended:
		return true
	case <-t.C:
		return false
	}
}

// Restart stops and starts.
func (e *Engine) Restart(ctx context.Context, c *Container, o StopOptions, caller int) error {
	if err := e.Stop(ctx, c, o); err != nil && err != ErrNotModified {
		return err
	}
	if err := e.Start(ctx, c, caller); err != nil && err != ErrNotModified {
		return err
	}
	c.publish(events.ActionRestart)
	return nil
}
