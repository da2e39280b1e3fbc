package container

import (
	"context"
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/events"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/daemon/policy"
	"github.com/brig-engine/brig/internal/wire"
)

func errNotRunning(c *Container) error {
	return fmt.Errorf("container %s is not running: %w", c.id, errdefs.ErrConflict)
}

func errPaused(c *Container) error {
	return fmt.Errorf("Container %s is paused, unpause the container before exec: %w", c.id, //nolint:staticcheck // Docker's words
		errdefs.ErrConflict)
}

// Pause has every process of a container stand still, until Unpause or a signal that would end it.
func (e *Engine) Pause(ctx context.Context, c *Container) error { return e.pause(ctx, c, false) }

// pause is Pause; with brief it is over when this brigd is, whatever happens.
func (e *Engine) pause(ctx context.Context, c *Container, brief bool) error {
	c.life.Lock()
	defer c.life.Unlock()
	if c.state() != Running {
		return errNotRunning(c)
	}
	if c.paused() {
		return fmt.Errorf("container %s is already paused: %w", c.id, errdefs.ErrConflict)
	}
	if err := c.notePaused(true, brief); err != nil {
		return err
	}
	if err := c.freeze(ctx, true); err != nil {
		if !errdefs.IsUnavailable(err) { // else nobody knows, and the next brigd has it stand still
			if werr := c.notePaused(false, false); werr != nil {
				c.warn(werr)
			}
		}
		return fmt.Errorf("cannot pause container %s: %w", c.id, err)
	}
	c.publish(events.ActionPause)
	return nil
}

// Unpause lets them go on.
func (e *Engine) Unpause(ctx context.Context, c *Container) error {
	c.life.Lock()
	defer c.life.Unlock()
	if c.state() != Running || !c.paused() {
		return fmt.Errorf("Container %s is not paused", c.id) //nolint:staticcheck // Docker's words, and its status 500
	}
	return c.thaw(ctx)
}

// still has a container that runs stand still until resume is called, which tells whether nothing in it has moved all the
// time: somebody else may let it go on, or start it. It is called with a place in c.commit, so what is brief is its own.
func (e *Engine) still(ctx context.Context, c *Container) (resume func() error, err error) {
	err = e.pause(ctx, c, true)
	if err != nil && (errdefs.IsUnavailable(err) || c.state() == Running && !c.paused()) {
		return nil, err
	}
	c.mu.Lock()
	run, thaws, ran := c.run, c.thaws, c.rec.State == Running
	moved := ran && !c.rec.Paused
	c.mu.Unlock()
	return func() error {
		c.life.Lock()
		defer c.life.Unlock()
		c.mu.Lock()
		moved = moved || c.thaws != thaws || !ran && (c.rec.State == Running || c.run != run)
		mine := c.rec.State == Running && c.rec.Paused && c.rec.Brief
		c.mu.Unlock()
		if mine {
			if err := c.thaw(context.WithoutCancel(ctx)); err != nil {
				c.warn(err)
			}
		}
		if moved {
			return fmt.Errorf("container %s was started or unpaused while its files were read, so that what was read is of "+
				"no one moment. Next: commit again, or with --pause=false: %w", c.id[:12], errdefs.ErrConflict)
		}
		return nil
	}, nil
}

// thaw is called with life held.
func (c *Container) thaw(ctx context.Context) error {
	c.mu.Lock()
	c.thaws++
	c.mu.Unlock()
	if err := c.freeze(ctx, false); err != nil {
		return fmt.Errorf("Cannot unpause container %s: %w", c.id, err) //nolint:staticcheck // Docker's words
	}
	if err := c.notePaused(false, false); err != nil {
		return err
	}
	c.publish(events.ActionUnPause)
	return nil
}

// freeze does not end with the caller's patience: what was begun is finished.
func (c *Container) freeze(ctx context.Context, frozen bool) error {
	_, err := c.e.cfg.Warden.Call(context.WithoutCancel(ctx), wire.OpContainerFreeze,
		wire.ContainerFreeze{ID: c.id, Frozen: frozen}, nil)
	return err
}

// notePaused needs no fsync: no container outlives a loss of power.
func (c *Container) notePaused(paused, brief bool) error {
	c.mu.Lock()
	c.rec.Paused, c.rec.Brief = paused, brief
	c.mu.Unlock()
	err := c.write(false)
	if err != nil && paused { // and so it is not made to stand still
		c.mu.Lock()
		c.rec.Paused, c.rec.Brief = false, false
		c.mu.Unlock()
	}
	return err
}

// resumeFor lets a paused container go on that was sent the signal by which it is stopped, or, if it has not named one,
// any signal. SIGKILL reaches processes that stand still.
func (e *Engine) resumeFor(ctx context.Context, c *Container, signal int) {
	c.mu.Lock()
	own := c.rec.Config.StopSignal
	c.mu.Unlock()
	if n, err := policy.ParseSignal(own); signal == int(unix.SIGKILL) || own != "" && (err != nil || n != signal) {
		return
	}
	c.life.Lock()
	defer c.life.Unlock()
	if c.state() != Running || !c.paused() {
		return
	}
	if err := c.thaw(ctx); err != nil {
		c.warn(err)
	}
}

// reapply makes the kernel agree with the record of a container that was taken over: the last brigd may have ended
// between the two.
func (c *Container) reapply() {
	c.life.Lock()
	defer c.life.Unlock()
	ctx := context.Background()
	if c.undecided() {
		if err := c.bound(ctx); err != nil {
			c.warn(fmt.Errorf("an update that was cut off: %w", err))
		}
		if !c.paused() { // it may have left them standing still
			if err := c.freeze(ctx, false); err != nil && !errdefs.IsNotFound(err) && !errdefs.IsConflict(err) {
				c.warn(fmt.Errorf("let the processes go on: %w", err))
			}
		}
	}
	if !c.paused() {
		return
	}
	if c.rec.Brief {
		if err := c.thaw(ctx); err != nil {
			c.warn(err)
		}
		return
	}
	if err := c.freeze(ctx, true); err != nil {
		c.warn(fmt.Errorf("pause again: %w", err))
		if err := c.notePaused(false, false); err != nil {
			c.warn(err)
		}
	}
}
