package container

import (
	"cmp"
	"context"
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"

	"github.com/brig-engine/brig/internal/daemon/policy"
	"github.com/brig-engine/brig/internal/wire"
)

// Update gives a container other bounds: in its record first, with those that it had, then in the kernel if it runs, then
// the old ones are erased from the record. A brigd that finds old ones in a record does not know whether the kernel has
// taken the new ones, and hands them over again.
//
// A new restart policy is written along with them. A restart that is waited for takes place all the same, as in Docker.
func (e *Engine) Update(ctx context.Context, c *Container, q *container.UpdateConfig, caller int) (warnings []string, err error) {
	c.life.Lock()
	defer c.life.Unlock()
	cannot := func(err error) error { return fmt.Errorf("Cannot update container %s: %w", c.id, err) } //nolint:staticcheck // Docker's words
	if c.state() == Removing {
		return nil, cannot(fmt.Errorf(`container is marked for removal and cannot be "update": %w`, errdefs.ErrConflict))
	}
	c.mu.Lock()
	old := policy.Bounds{Spec: c.rec.Spec.Resources, Shown: c.rec.Host.Resources}
	running, host, before := c.rec.State == Running, c.rec.Host, c.rec.Host.RestartPolicy
	c.mu.Unlock()
	after := before
	if q.RestartPolicy.Name != "" {
		after = q.RestartPolicy
		if err := policy.CheckUpdate(after, &host); err != nil {
			return nil, err
		}
	}
	b, err := policy.Update(policy.UpdateInput{Request: q, Shown: old.Shown, Have: old.Spec, Host: e.cfg.Host})
	if errdefs.IsConflict(err) {
		return nil, cannot(err)
	}
	if err != nil {
		return nil, err
	}
	undo := &old
	if !running {
		undo = nil
	}
	c.setBounds(b, undo)
	c.setRestart(after)
	if err := c.write(true); err != nil {
		c.setBounds(&old, nil)
		c.setRestart(before)
		return nil, cannot(err)
	}
	if c.rec.Caller && caller >= 0 && c.mayRestart() {
		e.Admit(caller)
	}
	if running {
		if err := c.bound(context.WithoutCancel(ctx)); err != nil {
			return nil, cannot(err)
		}
	}
	c.publish(events.ActionUpdate)
	return b.Warnings, nil
}

func (c *Container) setBounds(b, undo *policy.Bounds) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rec.Spec.Resources, c.rec.Host.Resources, c.rec.Undo = b.Spec, b.Shown, undo
}

func (c *Container) setRestart(p container.RestartPolicy) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rec.Host.RestartPolicy = p
}

func (c *Container) mayRestart() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rec.mayRestart()
}

func (c *Container) undecided() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rec.Undo != nil
}

// bound has the kernel take the bounds of the record, or gives both the old ones back if it refuses. Called with life held.
func (c *Container) bound(ctx context.Context) error {
	c.mu.Lock()
	now, old := policy.Bounds{Spec: c.rec.Spec.Resources, Shown: c.rec.Host.Resources}, c.rec.Undo
	c.mu.Unlock()
	err := c.tellBounds(ctx, &now)
	switch {
	case errdefs.IsUnavailable(err):
		return err // in doubt: the next brigd decides
	case err == nil, errdefs.IsConflict(err), errdefs.IsNotFound(err): // it has ended, and begins with these
		c.setBounds(&now, nil)
		return c.write(false)
	}
	if uerr := c.tellBounds(ctx, c.e.backTo(old, &now)); uerr != nil {
		c.warn(fmt.Errorf("give back the bounds before an update: %w", uerr))
	}
	c.setBounds(old, nil)
	if werr := c.write(false); werr != nil {
		c.warn(werr)
	}
	return err
}

// backTo spells out what was not bounded before an update that the kernel has taken in part: what is not said would stay.
func (e *Engine) backTo(old, now *policy.Bounds) *policy.Bounds {
	b := *old
	r, n := &b.Spec, &now.Spec
	if r.CPUQuota == 0 && n.CPUQuota != 0 {
		r.CPUQuota, r.CPUPeriod = -1, cmp.Or(r.CPUPeriod, n.CPUPeriod)
	}
	if r.CpusetCpus == "" && n.CpusetCpus != "" {
		r.CpusetCpus = e.cfg.Host.CpusetCpus
	}
	if r.BlkioWeight == 0 && n.BlkioWeight != 0 {
		r.BlkioWeight = 100 // the kernel's default
	}
	return &b
}

func (c *Container) tellBounds(ctx context.Context, b *policy.Bounds) error {
	r := policy.Version2(b.Spec)
	r.Rates = nil // they are for life
	_, err := c.e.cfg.Warden.Call(ctx, wire.OpContainerUpdate, wire.ContainerUpdate{ID: c.id, Resources: r}, nil)
	return err
}
