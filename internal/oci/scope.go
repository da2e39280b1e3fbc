package oci

import (
	"fmt"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/brig-engine/brig/internal/kernel/clone"
	"github.com/brig-engine/brig/internal/oci/cgroup"
	"github.com/brig-engine/brig/internal/oci/systemd"
)

// ask connects to systemd, if it is systemd that has made the groups.
func ask(g *cgroup.Group, do func(m *systemd.Manager) error) error {
	if g.Unit == "" {
		return nil
	}
	m, err := systemd.Connect(systemd.Socket, systemd.Patience)
	if err != nil {
		return err
	}
	defer m.Close()
	return do(m)
}

// enterScope has systemd make the scope. A scope begins with a process: a child that waits until the container's is there.
func (c *container) enterScope(devices []specs.LinuxDeviceCgroup) error {
	known, err := c.Groups.ScopeDevices(devices)
	if err != nil {
		return err
	}
	p := clone.New()
	p.Gate()
	if c.waiting, err = fork(0); err == nil {
		err = c.waiting.Start(p, nil)
	}
	if err != nil {
		return fmt.Errorf("make a process for a scope: %w", err)
	}
	err = ask(c.Groups, func(m *systemd.Manager) error { return m.Start(c.Groups.Unit, c.Groups.Slice, c.waiting.PID, known) })
	if err != nil {
		return err
	}
	c.grouped = true
	if err = c.Groups.Follow(c.waiting.PID); err != nil {
		return err
	}
	return c.Write()
}

// settle ends the process that has waited, and bounds how many there may be without it. All else is written once more, too: with
// each bound systemd writes all that it knows, some of it in larger steps.
func (c *container) settle() error {
	if c.waiting == nil {
		return nil
	}
	c.waiting.Kill()
	return set(c.Groups, c.spec.Linux.Resources)
}

// set writes resources, when systemd knows of them.
func set(g *cgroup.Group, r *specs.LinuxResources) error {
	list, err := g.Settings(r)
	if known := g.Properties(list); err == nil && len(known) > 0 {
		err = ask(g, func(m *systemd.Manager) error { return g.Calm(func() error { return m.Set(g.Unit, known) }) })
	}
	if err != nil {
		return err
	}
	return g.Write(list)
}

// removeGroups ends the scope, if there is one, and removes the groups.
func removeGroups(g *cgroup.Group) error {
	if g.Ours() {
		if err := ask(g, func(m *systemd.Manager) error { return m.Stop(g.Unit) }); err != nil {
			return err
		}
	} else if g.Number() != 0 { // somebody else's; and where there is none, those are left that systemd does not manage
		return nil
	}
	return g.Remove()
}
