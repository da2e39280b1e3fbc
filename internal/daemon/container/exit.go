package container

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/events"

	"github.com/brig-engine/brig/internal/wire"
)

// ended is called once, by the watcher, when process 1 has ended.
func (c *Container) ended() {
	c.mu.Lock()
	run, stop := c.run, c.stopProxy
	c.stopProxy = nil
	close(run.dying)
	c.mu.Unlock()
	c.dropNames(run.info().Endpoint)
	if stop != nil {
		stop()
	}
	c.log.Ending()
	drained := make(chan struct{})
	go func() { run.drain(); close(drained) }()
	exit, known := c.e.askExit(wire.OpProcessFinish, wire.ProcessRef{ID: c.id}, c.warn)
	<-drained
	if !known {
		return
	}
	c.life.Lock()
	defer c.life.Unlock()
	c.finished(run, exit)
}

const askAgain = 10

// askExit asks the warden how a process ended. When the warden does not know, the exit is 255 and Unknown. known is
// false when there is no warden: this brigd ends too, nothing is to be noted, and the next one asks again.
func (e *Engine) askExit(op wire.Op, ref any, warn func(error)) (exit wire.Exit, known bool) {
	var err error
	for range askAgain { // a disk may be full for a moment, and the warden writes an end down before it tells
		_, err = e.cfg.Warden.Call(context.Background(), op, ref, &exit)
		if err == nil || errdefs.IsUnavailable(err) || errdefs.IsNotFound(err) || errdefs.IsFailedPrecondition(err) {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if errdefs.IsUnavailable(err) {
		return exit, false
	}
	if err != nil {
		warn(fmt.Errorf("how it ended is not known: %w", err))
		exit = wire.Exit{Code: 255, Unknown: true}
	}
	if exit.At == 0 {
		exit.At = time.Now().UnixNano()
	}
	return exit, true
}

// finished notes the end of a run, plans a restart, and removes a --rm container. Called with life held.
func (c *Container) finished(run *session, exit wire.Exit) {
	c.log.End()
	c.e.background.Go(c.log.Flush)
	unhealthy := c.stopProbes()
	c.mu.Lock()
	c.rec.State, c.rec.Exit, c.rec.Finished = Exited, exit, time.Unix(0, exit.At).UTC()
	c.rec.Paused, c.rec.Brief, c.rec.Undo = false, false, nil
	c.rec.Calls = c.withCalls(c.rec.Calls)
	if exit.Unknown && c.rec.Error == "" {
		c.rec.Error = "nobody saw this container end"
	}
	c.lastExit = exit
	c.run = newSession(c.rec.Spec.Process.Terminal)
	lasted := c.rec.Finished.Sub(c.rec.Started)
	remove := c.rec.Host.AutoRemove
	again := c.planRestart(unhealthy)
	outOfMemory := c.rec.OutOfMemory()
	c.mu.Unlock()
	if !remove {
		if err := c.write(false); err != nil {
			c.warn(err)
		}
	}
	if outOfMemory != "" {
		c.publish(events.ActionOOM, "reason", outOfMemory)
		slog.Warn("container out of memory", "id", c.id[:12], "reason", outOfMemory)
	}
	c.publishEnd("exitCode", strconv.Itoa(exit.Code), "execDuration", strconv.Itoa(int(lasted.Seconds())))
	c.e.cfg.Networks.Leave(c.id)
	if remove {
		c.warnIf(c.forget(true))
	}
	c.forgetVital()
	run.end(exit, nil)
	if again {
		c.arm()
	}
}

// Condition is what Wait waits for.
type Condition string

// The conditions of the API.
const (
	NotRunning Condition = "not-running"
	NextExit   Condition = "next-exit"
	Removed    Condition = "removed"
)

// Waiter waits for one condition, which was registered when it was made.
type Waiter struct {
	c    *Container
	run  *session
	gone bool
	now  *wire.Exit
}

// Wait registers a wait, so that nothing that happens after its return is missed.
func (c *Container) Wait(cond Condition) *Waiter {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := &Waiter{c: c, run: c.run, gone: cond == Removed}
	if (cond == NotRunning || cond == "") && c.rec.State != Running && c.rec.State != Restarting {
		exit := c.lastExit
		w.now = &exit
	}
	return w
}

// Done waits. failed is why a start failed, if it did.
func (w *Waiter) Done(ctx context.Context) (exit wire.Exit, failed, err error) {
	if w.now != nil {
		return *w.now, nil, nil
	}
	if w.gone {
		select {
		case <-w.c.removed:
			w.c.mu.Lock()
			defer w.c.mu.Unlock()
			return w.c.lastExit, nil, nil
		case <-ctx.Done():
			return exit, nil, ctx.Err()
		}
	}
	select {
	case <-w.run.ended:
		return w.run.exit, w.run.failed, nil
	case <-ctx.Done():
		return exit, nil, ctx.Err()
	}
}
