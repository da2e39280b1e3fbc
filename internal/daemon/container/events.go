package container

import (
	"strconv"

	apicontainer "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/api/types/mount"

	"github.com/brig-engine/brig/internal/daemon/network"
)

// publish sends an event of this container; extra are pairs of attribute and value.
func (c *Container) publish(a events.Action, extra ...string) {
	c.mu.Lock()
	cfg, name := &c.rec.Config, c.rec.Name
	c.mu.Unlock()
	at := make(map[string]string, len(cfg.Labels)+2+len(extra)/2)
	for k, v := range cfg.Labels {
		at[k] = v
	}
	at["image"], at["name"] = cfg.Image, name
	for i := 0; i+1 < len(extra); i += 2 {
		at[extra[i]] = extra[i+1]
	}
	c.e.cfg.Bus.Publish(events.ContainerEventType, a, c.id, at)
}

// publishStart tells of a start in Docker's order: what the container has from now on comes before it.
func (c *Container) publishStart() {
	c.eachVolume(func(m *apicontainer.MountPoint) {
		c.e.cfg.Bus.Publish(events.VolumeEventType, events.ActionMount, m.Name, map[string]string{"driver": m.Driver,
			"container": c.id, "destination": m.Destination, "read/write": strconv.FormatBool(m.RW),
			"propagation": string(m.Propagation)})
	})
	c.publishNetwork(events.ActionConnect)
	c.publish(events.ActionStart)
}

// publishEnd tells of an end in Docker's order: what the container had is let go before it. attributes are those of die.
func (c *Container) publishEnd(attributes ...string) {
	c.publishNetwork(events.ActionDisconnect)
	c.eachVolume(func(m *apicontainer.MountPoint) {
		c.e.cfg.Bus.Publish(events.VolumeEventType, events.ActionUnmount, m.Name, map[string]string{"driver": m.Driver,
			"container": c.id})
	})
	c.publish(events.ActionDie, attributes...)
}

func (c *Container) eachVolume(do func(*apicontainer.MountPoint)) {
	for i := range c.rec.Mounts { // which never change
		if m := &c.rec.Mounts[i]; m.Type == mount.TypeVolume {
			do(m)
		}
	}
}

func (c *Container) publishNetwork(a events.Action) {
	name := string(c.rec.Host.NetworkMode) // which never changes
	c.e.cfg.Bus.Publish(events.NetworkEventType, a, network.ID(c.e.cfg.Instance, name), map[string]string{
		"container": c.id, "name": name, "type": network.Driver(name)})
}
