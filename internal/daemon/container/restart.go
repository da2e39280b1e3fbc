package container

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/containerd/errdefs"

	"github.com/brig-engine/brig/internal/daemon/restart"
	"github.com/brig-engine/brig/internal/wire"
)

// A restart is decided when a run has ended (planRestart) and written down with the end: a brigd that is killed before
// asks the warden again how the run ended, and one that is killed after finds the decision. So none is lost, and none
// is made twice.

// mayRestart tells whether the engine ever starts this container by itself.
func (r *Record) mayRestart() bool { return r.RestartUnhealthy || !r.Host.RestartPolicy.IsNone() }

// planRestart decides what comes after a run that has just been noted as ended, and tells whether a timer is to be set.
// Called with mu held.
func (c *Container) planRestart(unhealthy bool) (timer bool) {
	r := &c.rec
	if !r.mayRestart() || c.e.closing.Load() || c.e.boot.Load() {
		return false
	}
	if c.renewing > 0 { // somebody restarts it, and starts it now, or the next brigd does
		r.State, r.Due = Restarting, r.Finished
		return false
	}
	end := restart.End{Code: r.Exit.Code, Lasted: r.Finished.Sub(r.Started), ByHand: r.Stopped, Unhealthy: unhealthy}
	next, again := restart.After(r.Host.RestartPolicy, end, restart.Count{Restarts: r.Restarts, Delay: r.Delay})
	r.Restarts, r.Delay = next.Restarts, next.Delay
	if again {
		r.State, r.Due = Restarting, time.Now().UTC().Add(next.Delay)
	}
	return again
}

// arm sets the timer of a container that waits for its restart.
func (c *Container) arm() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rec.State != Restarting || !c.e.awake.Load() || c.e.closing.Load() {
		return
	}
	c.disarm()
	turn := c.turn
	c.timer = time.AfterFunc(time.Until(c.rec.Due), func() { c.restart(turn) })
}

// disarm takes the timer back: a restart that waits for a lock already finds that it is not its turn. Called with mu held.
func (c *Container) disarm() {
	c.turn++
	if c.timer != nil {
		c.timer.Stop()
		c.timer = nil
	}
}

// restart is what a timer does.
func (c *Container) restart(turn int) {
	c.life.Lock()
	defer c.life.Unlock()
	c.e.starts <- struct{}{}
	defer func() { <-c.e.starts }()
	c.mu.Lock()
	mine := c.turn == turn && c.rec.State == Restarting && !c.e.closing.Load()
	c.mu.Unlock()
	if !mine {
		return
	}
	if c.ownerComes() {
		c.mu.Lock()
		c.rec.Due = time.Now().UTC().Add(ownerPause)
		c.mu.Unlock()
		c.arm()
		return
	}
	err := c.start(context.Background(), -1)
	switch {
	case err == nil:
	case errdefs.IsUnavailable(err): // there is no warden; the next brigd finds the record of this restart
		c.warn(err)
	case err == errNoConsent:
		c.awaitConsent()
	default:
		c.warn(fmt.Errorf("restart: %w", err))
		c.startFailed(err)
	}
}

// cancelRestart makes a container that waits for its restart one that somebody has stopped, and wakes those who wait for
// its next end. Called with life held.
func (c *Container) cancelRestart() {
	c.mu.Lock()
	c.disarm()
	run, exit := c.run, c.lastExit
	c.run = newSession(c.rec.Spec.Process.Terminal)
	c.rec.State, c.rec.Stopped, c.rec.Due, c.rec.Error = Exited, true, time.Time{}, ""
	c.mu.Unlock()
	if err := c.write(true); err != nil {
		c.warn(err)
	}
	run.end(exit, nil)
}

// byHand notes that somebody ends this container, before it is ended, so that no brigd starts it again; a restart that
// is waited for is given up. It tells what the container was, and its run.
func (c *Container) byHand() (was State, run *session) {
	c.life.Lock()
	defer c.life.Unlock()
	c.mu.Lock()
	was, run = c.rec.State, c.run
	mark := was == Running && c.rec.mayRestart() && !c.rec.Stopped
	if mark {
		c.rec.Stopped = true
	}
	c.mu.Unlock()
	if was == Restarting {
		c.cancelRestart()
	}
	if mark {
		if err := c.write(true); err != nil {
			c.warn(fmt.Errorf("that this container is stopped could not be written: %w", err))
		}
	}
	return was, run
}

// cutOff puts a record right that says "running" of a start that brigd did not live to send: exit is the end of the run
// before, if there was one.
func (c *Container) cutOff(exit wire.Exit) {
	c.mu.Lock()
	r := &c.rec
	r.State, r.Started, r.Error = Exited, time.Time{}, "the engine ended while it started this container"
	if exit.At != 0 {
		r.Exit, r.Finished = exit, time.Unix(0, exit.At).UTC()
		r.Started = r.Finished // when is forgotten; that it ran is not
	}
	c.lastExit = r.Exit
	if r.mayRestart() && !r.Stopped {
		r.State, r.Due = Restarting, time.Now().UTC()
	}
	c.mu.Unlock()
	if err := c.write(false); err != nil {
		c.warn(err)
	}
}

// The mark of an engine that has started lies in the volatile directory: it is gone when the engine was stopped, or the
// machine, and stays when only brigd or the warden ended.
func (e *Engine) mark() string { return filepath.Join(e.cfg.RunDir, "started") }

// comeUp decides who comes up with the engine. The decisions are written before the mark, and carried out after it: what
// a kill leaves undecided is decided again.
func (e *Engine) comeUp() error {
	if !e.boot.CompareAndSwap(true, false) {
		return nil
	}
	e.each((*Container).comeUp)
	if err := os.WriteFile(e.mark(), nil, 0o600); err != nil {
		return fmt.Errorf("mark the start: %w", err)
	}
	return nil
}

func (c *Container) comeUp() {
	c.mu.Lock()
	r := &c.rec
	ran := r.State == Exited && !r.Started.IsZero() && !r.Host.RestartPolicy.IsNone()
	if !ran && r.State != Restarting {
		c.mu.Unlock()
		return
	}
	last := restart.End{Code: r.Exit.Code, ByHand: r.Stopped}
	if restart.AtEngineStart(r.Host.RestartPolicy, last, r.Restarts) {
		r.State, r.Due, r.Stopped, r.Restarts, r.Delay = Restarting, time.Now().UTC(), false, 0, 0
	} else {
		r.State = Exited
	}
	c.mu.Unlock()
	if err := c.write(false); err != nil {
		c.warn(err)
	}
}

// wake sets the timers of all restarts that are due or will be.
func (e *Engine) wake() {
	e.awake.Store(true)
	e.each((*Container).arm)
}
