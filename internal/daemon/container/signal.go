package container

import (
	"context"
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
	if c.ending(signal) {
		c.settle()
		if state, _ := c.byHand(); state == Restarting { // there is nobody who could get a signal
			return nil
		}
	}
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
	switch c.state() {
	case Running:
	case Restarting: // there is nobody who could get a signal
		return nil
	default:
		return errNotRunning(c)
	}
	if err := c.signal(ctx, signal); err != nil {
		return err
	}
	c.publish(events.ActionKill, "signal", strconv.Itoa(signal))
	return nil
}

// ending tells whether who sends this signal by hand wants the container to end, and to stay so.
func (c *Container) ending(signal int) bool {
	if own, err := policy.ParseSignal(c.rec.Config.StopSignal); err == nil && signal == own {
		return true
	}
	switch unix.Signal(signal) {
	case unix.SIGKILL, unix.SIGTERM, unix.SIGINT, unix.SIGQUIT:
		return true
	}
	return false
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
	if _, err := c.stopSignal(o); err != nil {
		return err
	}
	was, run := c.byHand()
	switch was {
	case Running:
		return e.endRun(ctx, c, run, o)
	case Restarting:
		c.publish(events.ActionStop)
		return nil
	}
	return ErrNotModified
}

func (c *Container) stopSignal(o StopOptions) (int, error) {
	name := c.rec.Config.StopSignal // never changes
	if o.Signal != "" {
		name = o.Signal
	}
	signal, err := policy.ParseSignal(name)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", err, errdefs.ErrInvalidArgument)
	}
	return signal, nil
}

// endRun asks a run to end, and kills it when it does not in time.
func (e *Engine) endRun(ctx context.Context, c *Container, run *session, o StopOptions) error {
	signal, err := c.stopSignal(o)
	if err != nil {
		return err
	}
	seconds := defaultStop
	if t := c.rec.Config.StopTimeout; t != nil {
		seconds = *t
	}
	if o.Timeout != nil {
		seconds = *o.Timeout
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

// StopAll stops every running container, each with its own signal and patience, and returns when all have ended. Nobody's
// hand has stopped them: those with a policy come up with the next engine.
func (e *Engine) StopAll(ctx context.Context) {
	e.closing.Store(true)
	e.mu.RLock()
	all := slices.Collect(maps.Values(e.byID))
	e.mu.RUnlock()
	var wg sync.WaitGroup
	for _, c := range all {
		wg.Go(func() {
			if run := c.running(); run != nil {
				if err := e.endRun(ctx, c, run, StopOptions{}); err != nil {
					c.warn(err)
				}
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

// running gives the run that is under way, or nil. It waits for a start or an end that is.
func (c *Container) running() *session {
	c.settle()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rec.State != Running {
		return nil
	}
	return c.run
}

// Restart stops and starts. A brigd that is killed in between leaves a restart that the next one carries out, if the
// container has a policy.
func (e *Engine) Restart(ctx context.Context, c *Container, o StopOptions, caller int) error {
	renew := func(n int) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.renewing += n
	}
	renew(1)
	defer renew(-1)
	if run := c.running(); run != nil {
		if err := e.endRun(ctx, c, run, o); err != nil {
			return err
		}
	}
	if err := e.Start(context.WithoutCancel(ctx), c, caller); err != nil && err != ErrNotModified {
		c.arm() // unless that was the end of it
		return err
	}
	c.publish(events.ActionRestart)
	return nil
}
