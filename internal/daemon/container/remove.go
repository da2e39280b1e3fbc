package container

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/events"

	"github.com/brig-engine/brig/internal/wire"
)

// Remove removes a container; force kills it first; volumes removes its anonymous volumes too.
func (e *Engine) Remove(ctx context.Context, c *Container, force, volumes bool) error {
	for {
		c.settle()
		c.mu.Lock()
		run, state, autoRemove, paused := c.run, c.rec.State, c.rec.Host.AutoRemove, c.rec.Paused
		c.mu.Unlock()
		switch {
		case state == Removing:
			return fmt.Errorf("removal of container %s is already in progress: %w", c.id, errdefs.ErrConflict)
		case state == Running && !force && paused:
			return fmt.Errorf("cannot remove container %q: container is paused and must be unpaused first: %w",
				"/"+c.View().Name, errdefs.ErrConflict)
		case (state == Running || state == Restarting) && !force:
			return fmt.Errorf("cannot remove container %q: container is %s: "+
				"stop the container before removing or force remove: %w",
				"/"+c.View().Name, state, errdefs.ErrConflict)
		case state == Restarting:
			c.byHand()
			continue
		case state == Running:
			c.byHand()
			if err := c.killNow(ctx, run); err != nil {
				return err
			}
			if autoRemove {
				return nil
			}
			continue
		}
		c.life.Lock()
		if s := c.state(); s == Running || s == Restarting || s == Removing {
			c.life.Unlock()
			continue // somebody was faster
		}
		c.forget(volumes)
		c.life.Unlock()
		return nil
	}
}

// forget takes the container out of every index first and deletes its traces after; what a crash leaves is swept at the
// next start. Called with life held, not running.
func (c *Container) forget(volumes bool) {
	c.mu.Lock()
	c.rec.State = Removing
	run, execs, name := c.run, c.execs, c.rec.Name
	c.execs = nil
	c.disarm()
	c.mu.Unlock()
	e := c.e
	c.save.Lock()
	err := c.store().Remove(c.id)
	c.save.Unlock()
	if err != nil {
		c.warn(err)
	}
	e.mu.Lock()
	delete(e.byID, c.id)
	if e.names[name] == c.id {
		delete(e.names, name)
	}
	for _, x := range execs {
		delete(e.execs, x.id)
	}
	e.mu.Unlock()
	c.letGo(context.Background(), volumes)
	c.publish(events.ActionDestroy)
	c.forgetVital()
	close(c.removed)
	run.end(c.lastExit, nil)
	e.background.Add(1)
	go func() {
		defer e.background.Done()
		if err := e.deleteTraces(c.id); err != nil {
			c.warn(err)
		}
		c.log.Flush()
		if err := c.log.Remove(); err != nil {
			c.warn(err)
		}
	}()
}

// deleteTraces removes what the warden and brigd keep beside the record.
func (e *Engine) deleteTraces(id string) error {
	_, err := e.cfg.Warden.Call(context.Background(), wire.OpContainerRemove, wire.ContainerRef{ID: id}, nil)
	if errdefs.IsNotFound(err) {
		err = nil
	}
	for _, stream := range []byte{1, 2} {
		if rerr := os.Remove(e.spoolPath(id, stream)); !errors.Is(rerr, os.ErrNotExist) {
			err = errors.Join(err, rerr)
		}
	}
	return err
}
