package container

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/events"

	"github.com/brig-engine/brig/internal/daemon/metrics"
	"github.com/brig-engine/brig/internal/daemon/policy"
	"github.com/brig-engine/brig/internal/wire"
)

// Remove removes a container; force kills it first; volumes removes its anonymous volumes too.
func (e *Engine) Remove(ctx context.Context, c *Container, force, volumes bool) (err error) {
	defer func(begin time.Time) { e.cfg.Metrics.Action(metrics.Delete, begin, err) }(time.Now())
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
		err := c.forget(volumes)
		c.life.Unlock()
		return err
	}
}

// forget takes the container out of every index first and deletes its traces after; what a crash leaves is swept at the
// next start. An error says that nothing has happened. Called with life held, not running.
func (c *Container) forget(volumes bool) error {
	if err := c.forgetRecord(volumes); err != nil {
		return err
	}
	c.mu.Lock()
	c.rec.State = Removing
	run, execs, name := c.run, c.execs, c.rec.Name
	c.execs = nil
	c.disarm()
	c.mu.Unlock()
	e := c.e
	e.mu.Lock()
	delete(e.byID, c.id)
	if e.names[name] == c.id {
		delete(e.names, name)
	}
	for _, x := range execs {
		delete(e.execs, x.id)
	}
	e.mu.Unlock()
	left := c.letGo(context.Background(), volumes)
	c.warnIf(left)
	if c.rec.Doomed && left == nil { // else the next brigd goes on
		c.save.Lock()
		c.warnIf(c.store().Remove(c.id, false))
		c.save.Unlock()
	}
	c.publish(events.ActionDestroy)
	c.forgetVital()
	if c.e.cfg.Recorder != nil {
		c.e.cfg.Recorder.Forget(c.id)
	}
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
	return nil
}

// forgetRecord is the moment from which on there is no such container: its record goes, or says so until the volumes that
// go with it have gone.
func (c *Container) forgetRecord(volumes bool) error {
	doomed := volumes && slices.ContainsFunc(c.rec.Volumes, func(v policy.VolumeUse) bool { return v.Anonymous })
	durable := !c.rec.Host.AutoRemove
	c.save.Lock()
	defer c.save.Unlock()
	c.mu.Lock()
	was := c.rec.State
	c.rec.State, c.rec.Doomed = Removing, doomed // from here on nobody else writes it
	rec := c.rec
	c.mu.Unlock()
	var err error
	if rec.State = was; doomed {
		err = c.store().Write(c.id, rec, durable)
	} else {
		err = c.store().Remove(c.id, durable)
	}
	if err == nil {
		return nil
	}
	if !durable { // it goes in any case: nobody could remove it by hand, and the next brigd finds that it has ended
		c.warn(err)
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rec.State, c.rec.Doomed = was, false
	return err
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
