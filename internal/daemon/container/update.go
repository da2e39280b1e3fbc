package container

import (
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"

	"github.com/brig-engine/brig/internal/daemon/policy"
)

// Update gives the container another restart policy. A restart that is waited for takes place all the same, as in Docker.
func (e *Engine) Update(c *Container, p container.RestartPolicy, caller int) error {
	c.life.Lock()
	defer c.life.Unlock()
	c.mu.Lock()
	if c.rec.State == Removing {
		c.mu.Unlock()
		return errRemoving(c)
	}
	if p.Name == "" { // nothing was said
		c.mu.Unlock()
		return nil
	}
	if err := policy.CheckUpdate(p, &c.rec.Host); err != nil {
		c.mu.Unlock()
		return err
	}
	before := c.rec.Host.RestartPolicy
	c.rec.Host.RestartPolicy = p
	keep := c.rec.Caller && c.rec.mayRestart()
	c.mu.Unlock()
	if err := c.write(true); err != nil {
		c.mu.Lock()
		c.rec.Host.RestartPolicy = before
		c.mu.Unlock()
		return err
	}
	if keep && caller >= 0 {
		e.Admit(caller)
	}
	c.publish(events.ActionUpdate)
	return nil
}
