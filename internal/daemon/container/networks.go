package container

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/events"
	apinetwork "github.com/moby/moby/api/types/network"

	"github.com/brig-engine/brig/internal/daemon/network"
	"github.com/brig-engine/brig/internal/daemon/policy"
	"github.com/brig-engine/brig/internal/wire"
	"github.com/brig-engine/brig/internal/wire/jobs"
)

// Networks of a container. The record says which ones it is a member of; the network store, who runs in which; the
// warden and the router, who reaches whom; the forwarder, who knows which names.
//
//	create            record
//	start             store (a network that is gone ends it here) ─▶ warden, with the spec ─▶ forwarder
//	connect           record ─▶ store ─▶ warden ─▶ forwarder      what is on disk is never less than what is open
//	disconnect        forwarder ─▶ store ─▶ warden ─▶ record      who loses a way loses its names first
//	end               forwarder, before the address is anybody else's ─▶ store
//
// All but the first and the last happen with life held.

// Connect makes a container a member of a network.
func (e *Engine) Connect(ctx context.Context, c *Container, n network.Network, s *apinetwork.EndpointSettings) error {
	c.life.Lock()
	defer c.life.Unlock()
	old, state := c.memberships()
	if err := c.mayChange(state); err != nil {
		return err
	}
	if n.Builtin && n.Name == network.None {
		return fmt.Errorf("container %s has a network: it cannot be connected to %s: %w", c.id[:12], n.Name, errdefs.ErrPermissionDenied)
	}
	m, err := policy.Connect(n, s, &c.rec.Host)
	if err == nil {
		err = e.resolveLinks([]network.Membership{m})
	}
	if err != nil {
		return err
	}
	if slices.ContainsFunc(old, func(x network.Membership) bool { return x.ID == n.ID || x.Name == n.Name }) {
		return fmt.Errorf("endpoint with name %s already exists in network %s: %w", c.View().Name, n.Name, errdefs.ErrPermissionDenied)
	}
	if len(old) == wire.MaxNetworks {
		return fmt.Errorf("container %s is in %d networks, and no container is in more: %w", c.id[:12], len(old), errdefs.ErrFailedPrecondition)
	}
	now := append(slices.Clone(old), m)
	if err := c.remember(now); err != nil {
		return err
	}
	err = c.join(ctx, state, now)
	if err == nil { // it may have been removed since it was found
		err = e.cfg.Networks.Missing(now[len(old):])
	}
	if err != nil {
		c.warnIf(c.remember(old))
		c.warnIf(c.join(ctx, state, old))
		return err
	}
	if state == Running {
		e.cfg.Networks.Tell(events.ActionConnect, c.id, m)
	}
	return nil
}

// Disconnect ends a container's membership in a network; with force, or of a container that does not run, also in one that
// is gone.
func (e *Engine) Disconnect(ctx context.Context, c *Container, ref string, force bool) error {
	c.life.Lock()
	defer c.life.Unlock()
	old, state := c.memberships()
	if err := c.mayChange(state); err != nil {
		return err
	}
	is := func(x network.Membership) bool { return x.Name == ref || ref != "" && strings.HasPrefix(x.ID, ref) }
	n, err := e.cfg.Networks.Find(ref)
	switch {
	case err == nil:
		is = func(x network.Membership) bool { return x.ID == n.ID || x.Name == n.Name } // that one is gone, and made anew
	case !errdefs.IsNotFound(err) || state == Running && !force:
		return err
	}
	at := slices.IndexFunc(old, is)
	if at < 0 {
		return fmt.Errorf("container %s is not connected to network %.128s: %w", c.id, ref, errdefs.ErrPermissionDenied)
	}
	now := slices.Delete(slices.Clone(old), at, at+1)
	if state == Running {
		c.tellNames(now)
	}
	if err := c.join(ctx, state, now); err != nil {
		c.warnIf(c.join(ctx, state, old)) // as the record has it
		return err
	}
	if err := c.remember(now); err != nil {
		c.warnIf(c.join(ctx, state, old))
		return err
	}
	if state == Running {
		e.cfg.Networks.Tell(events.ActionDisconnect, c.id, old[at])
	}
	return nil
}

// resolveLinks finds those whom links name, by their ids: a link outlives a change of name. That there is nobody is not
// "not found", which clients take for the image, and pull.
func (e *Engine) resolveLinks(list []network.Membership) error {
	for _, m := range list {
		for i := range m.Links {
			to, err := e.Find(m.Links[i].Target)
			if err != nil {
				return fmt.Errorf("--link: no such container: %.256s: %w", m.Links[i].Target, errdefs.ErrInvalidArgument)
			}
			m.Links[i].ID = to.id
		}
	}
	return nil
}

func (c *Container) memberships() ([]network.Membership, State) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rec.Networks, c.rec.State
}

// mayChange: a container that was made without a network has no endpoint that could be in one.
func (c *Container) mayChange(s State) error {
	if s == Removing {
		return errRemoving(c)
	}
	if c.rec.Host.NetworkMode.IsContainer() {
		return fmt.Errorf("container sharing network namespace with another container or host cannot be connected to any other network: %w",
			errdefs.ErrInvalidArgument)
	}
	if c.rec.Spec.Network.Mode == wire.NetworkNone {
		return fmt.Errorf("container %s was made with --network none: it has no interface, and cannot be connected: %w", c.id[:12],
			errdefs.ErrPermissionDenied)
	}
	return nil
}

// remember puts memberships into the record, and the files that follow from them into the spec: of the next start.
func (c *Container) remember(list []network.Membership) error {
	c.mu.Lock()
	before := c.rec
	files := before.Spec.Files
	c.mu.Unlock()
	if make := c.e.cfg.Host.MakeFiles; make != nil && policy.HasNames(list) != policy.HasNames(before.Networks) {
		var err error
		if files, err = c.e.cfg.Host.Files(&before.Host, &before.Spec, list); err != nil {
			return err
		}
	}
	set := func(list []network.Membership, files []wire.File) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.rec.Networks, c.rec.Spec.Files = list, files
	}
	set(list, files)
	err := c.write(true)
	if err != nil {
		set(before.Networks, before.Spec.Files)
	}
	return err
}

// join tells everybody about the networks of a container that runs, but for those that are gone. To one that does not run,
// or has just ended, it happens at its start.
func (c *Container) join(ctx context.Context, s State, list []network.Membership) error {
	if s != Running {
		return nil
	}
	list = c.e.cfg.Networks.Present(list)
	m, err := c.e.cfg.Networks.Enter(c.id, list)
	if err != nil {
		return err
	}
	_, err = c.e.cfg.Warden.Call(context.WithoutCancel(ctx), wire.OpNetworkJoin, wire.NetworkJoin{ID: c.id, Membership: m}, nil)
	if err == nil {
		c.tellNames(list)
	}
	if errdefs.IsConflict(err) { // it is not running any more
		err = nil
	}
	return err
}

// tellNames tells the forwarder who a container that runs is. Of one that has ended, whose address may be another's, it has
// heard the last.
func (c *Container) tellNames(list []network.Membership) {
	confined := c.e.cfg.Networks.Confined(list)
	c.mu.Lock()
	defer c.mu.Unlock()
	run, name, hostname := c.run.info(), c.rec.Name, c.rec.Config.Hostname
	if run.Endpoint == nil || c.run.isDying() {
		return
	}
	of := jobs.Names{Addr: run.Endpoint.Addr, Confined: confined}
	for _, m := range list {
		if network.IsBuiltin(m.Name) {
			continue
		}
		in := jobs.NamesIn{ID: m.ID, Name: m.Name, Names: network.DNSNames(name, c.id, hostname, m.Aliases)}
		in.Names = append(in.Names, linkName(c.id))
		for _, l := range m.Links {
			in.Links = append(in.Links, jobs.Link{Alias: l.Alias, To: linkName(l.ID)})
		}
		of.Networks = append(of.Networks, in)
	}
	c.e.cfg.Names.Set(c.id, of)
}

// linkName is what links lead to: no alias and no host name has a slash, so that nobody else can be called so.
func linkName(id string) string { return "/" + id }

// rejoin finds the place of a container that an earlier brigd left. What the warden has may be older than the record, and
// more: brigd may have been killed in the middle of a change. Of most containers it has said the same, and need not hear it
// again. A network cannot be gone, but if it is, the container goes on in the others.
func (c *Container) rejoin() {
	c.life.Lock()
	defer c.life.Unlock()
	list, state := c.memberships()
	switch {
	case state != Running: // it has ended since it was taken over
	case c.rec.Spec.Network.Mode == wire.NetworkNone:
		_, err := c.e.cfg.Networks.Enter(c.id, list)
		c.warnIf(err)
	default:
		c.tellNames(list)
		m, err := c.e.cfg.Networks.Enter(c.id, c.e.cfg.Networks.Present(list))
		if has := c.run.info().Endpoint; err != nil || has == nil || !slices.Equal(has.Networks, m.Networks) || has.Confined != m.Confined {
			c.warnIf(c.join(context.Background(), Running, list))
		}
	}
}

// dropNames comes before the address is given back.
func (c *Container) dropNames(e *wire.Endpoint) {
	if e != nil {
		c.e.cfg.Names.Drop(c.id, e.Addr)
	}
}

func (c *Container) warnIf(err error) {
	if err != nil {
		c.warn(err)
	}
}
