package container

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/events"

	"github.com/brig-engine/brig/internal/daemon/cdi"
	"github.com/brig-engine/brig/internal/daemon/image"
	"github.com/brig-engine/brig/internal/daemon/log"
	"github.com/brig-engine/brig/internal/daemon/metrics"
	"github.com/brig-engine/brig/internal/daemon/policy"
	"github.com/brig-engine/brig/internal/daemon/volume"
)

// Create makes a container from a request, or refuses it as a whole.
func (e *Engine) Create(ctx context.Context, name string, req *policy.Request) (id string, warnings []string,
	err error) {
	defer func(begin time.Time) { e.cfg.Metrics.Action(metrics.Create, begin, err) }(time.Now())
	id = newID()
	eff, img, err := e.effective(id, req)
	if err != nil {
		return "", nil, err
	}
	c := e.newContainer(Record{
		ID: id, State: Created, Created: time.Now().UTC(), ImageID: img.ID,
		Config: eff.Config, Host: eff.HostConf, Spec: eff.Spec, Caller: eff.NeedsCaller, Log: eff.Log,
		Profile: eff.Profile,
		Volumes: eff.Volumes, Images: eff.Images, Mounts: eff.Mounts, Networks: eff.Networks, PortsTo: eff.PortsTo,
		RestartUnhealthy: eff.RestartUnhealthy,
	})
	if err := e.reserve(c, name); err != nil {
		return "", nil, err
	}
	if err := c.establish(ctx); err != nil {
		e.unreserve(c)
		return "", nil, err
	}
	e.mu.Lock()
	e.byID[id] = c
	e.mu.Unlock()
	if c.unsynced {
		c.syncLater()
	}
	c.publish(events.ActionCreate)
	if err := e.cfg.Networks.Missing(eff.Networks); err != nil { // one was removed while nobody knew of this container
		c.life.Lock()
		defer c.life.Unlock()
		c.forget(true)
		return "", nil, fmt.Errorf("%.256s: %w", err.Error(), errdefs.ErrInvalidArgument) // "not found" is the image to clients
	}
	return id, eff.Warnings, nil
}

// Refusals says what a request would be refused for, or else what it comes to if it were made, and makes nothing.
func (e *Engine) Refusals(req *policy.Request) (refusals policy.Refusals, eff *policy.Effective, err error) {
	eff, _, err = e.effective(newID(), req)
	if errors.As(err, &refusals) {
		return refusals, &policy.Effective{}, nil
	}
	return nil, eff, err
}

// effective is what a request comes to, with the image and the names in it.
func (e *Engine) effective(id string, req *policy.Request) (*policy.Effective, *image.Image, error) {
	img, err := e.cfg.Images.Lookup(req.Config.Image)
	if err != nil {
		return nil, nil, err
	}
	rules, err := e.Policy()
	if err != nil {
		return nil, nil, err
	}
	eff, err := policy.Make(policy.Input{ID: id, Request: req, Image: img, Host: e.cfg.Host, Policy: rules, Lend: e.lend,
		Networks: e.cfg.Networks.Find, Owner: e.owner, Images: e.cfg.Images.Lookup, VolumeOptions: e.volumeOptions,
		CDI: func(name string) (*cdi.Found, error) { return cdi.Find(cdi.Dirs, name) }})
	if err == nil {
		err = e.resolveLinks(eff.Networks)
	}
	if err == nil {
		_, err = e.filter(eff.Profile, &eff.Spec.Process, &eff.HostConf) // a start compiles it anew
	}
	return eff, img, err
}

// lend gives what another container lends with --volumes-from.
func (e *Engine) lend(name string) (*policy.Lent, error) {
	c, err := e.Find(name)
	if err != nil {
		return nil, err
	}
	v := c.View()
	return &policy.Lent{Spec: v.Spec.Mounts, Shown: v.Mounts, Volumes: v.Volumes, Images: v.Images}, nil
}

func (e *Engine) newContainer(r Record) *Container {
	c := &Container{e: e, id: r.ID, rec: r, run: newSession(r.Spec.Process.Terminal), removed: make(chan struct{}),
		copy: make(chan struct{}, 1), commit: make(chan struct{}, 1), copies: make(chan struct{}, maxCopiesOfOne), lastExit: r.Exit}
	c.log = log.New(e.logDir(r.ID), r.Log, log.Source{Info: c.logInfo, Warn: c.warn, Receivers: e.cfg.Receivers, Meter: e.cfg.LogMeter})
	return c
}

// reserve gives c its name; "" takes a free one.
func (e *Engine) reserve(c *Container, name string) error {
	name = strings.TrimPrefix(name, "/")
	if name != "" {
		if err := checkName(name); err != nil {
			return err
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for try := 0; name == ""; try++ {
		if n := newName(try); e.names[n] == "" {
			name = n
		}
	}
	if other := e.names[name]; other != "" {
		return nameTaken(name, other)
	}
	e.names[name] = c.id
	c.rec.Name = name
	return nil
}

func nameTaken(name, id string) error {
	return fmt.Errorf("Conflict. The container name %q is already in use by container %q. "+ //nolint:staticcheck
		"You have to remove (or rename) that container to be able to reuse that name.: %w", "/"+name, id, errdefs.ErrConflict)
}

func (e *Engine) unreserve(c *Container) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.names[c.rec.Name] == c.id {
		delete(e.names, c.rec.Name)
	}
}

// establish writes the record of a new container and then makes what it needs: what a crash in between leaves out, the
// next brigd makes. What fails leaves nothing.
func (c *Container) establish(ctx context.Context) error {
	c.unsynced = !c.rec.Host.AutoRemove
	if err := c.write(false); err != nil {
		return err
	}
	made, err := c.acquire(ctx)
	if err == nil || errdefs.IsUnavailable(err) { // without a warden nothing can be taken back, and the next brigd goes on
		return err
	}
	c.warnIf(c.letGo(ctx, false))
	for _, name := range made {
		c.warnIf(c.e.cfg.Volumes.Remove(context.WithoutCancel(ctx), name))
	}
	c.warnIf(c.store().Remove(c.id, false))
	return err
}

// acquire holds the image and the volumes; missing volumes are made, and named.
func (c *Container) acquire(ctx context.Context) (made []string, err error) {
	for _, id := range append([]string{c.rec.ImageID}, c.rec.Images...) {
		if err := c.e.cfg.Images.Hold(id, c.id); err != nil {
			return nil, err
		}
	}
	for _, v := range c.rec.Volumes {
		_, isNew, err := c.e.cfg.Volumes.Ensure(ctx, volume.Volume{Name: v.Name, Labels: v.Labels, Options: v.Options,
			Anonymous: v.Anonymous}, c.id)
		if err != nil {
			return made, err
		}
		if isNew {
			made = append(made, v.Name)
		}
	}
	return made, nil
}

// volumeOptions are those of a volume that is there.
func (e *Engine) volumeOptions(name string) (map[string]string, bool) {
	v, err := e.cfg.Volumes.Get(name)
	return v.Options, err == nil
}

// letGo is the opposite of acquire; with anonymous set the container's anonymous volumes go too, and the error tells that one
// is still there.
func (c *Container) letGo(ctx context.Context, anonymous bool) (left error) {
	for _, id := range append([]string{c.rec.ImageID}, c.rec.Images...) {
		c.e.cfg.Images.Release(id, c.id)
	}
	for _, v := range c.rec.Volumes {
		c.e.cfg.Volumes.Release(v.Name, c.id)
		if !anonymous || !v.Anonymous {
			continue
		}
		gone := func() (bool, error) {
			err := c.e.cfg.Volumes.Remove(ctx, v.Name)
			return err == nil || errdefs.IsNotFound(err) || errdefs.IsConflict(err), err
		}
		done, err := gone()
		if !done { // nobody else asks again before the next start
			done, err = gone()
		}
		if !done {
			left = errors.Join(left, err)
		}
	}
	return left
}

// rename gives a container a name that it has, and takes another one away.
func (c *Container) rename(to, from string) {
	c.e.mu.Lock()
	defer c.e.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rec.Name = to
	delete(c.e.names, from)
}

// Rename changes the name.
func (e *Engine) Rename(c *Container, name string) error {
	name = strings.TrimPrefix(name, "/")
	if name == "" {
		return fmt.Errorf("Neither old nor new names may be empty: %w", errdefs.ErrInvalidArgument) //nolint:staticcheck // clients read it
	}
	if err := checkName(name); err != nil {
		return fmt.Errorf("error when allocating new name: %w", err)
	}
	c.life.Lock()
	defer c.life.Unlock()
	if c.state() == Removing {
		return errRemoving(c)
	}
	e.mu.Lock()
	if e.names[name] == c.id {
		e.mu.Unlock()
		return fmt.Errorf("Renaming a container with the same name as its current name: %w", //nolint:staticcheck // Docker's words
			errdefs.ErrInvalidArgument)
	}
	if other := e.names[name]; other != "" {
		e.mu.Unlock()
		return fmt.Errorf("error when allocating new name: %w", nameTaken(name, other))
	}
	c.mu.Lock()
	old := c.rec.Name
	e.names[name], c.rec.Name = c.id, name // it has both until one is on disk
	c.mu.Unlock()
	e.mu.Unlock()
	if err := c.write(true); err != nil {
		c.rename(old, name)
		return err
	}
	e.mu.Lock()
	delete(e.names, old)
	e.mu.Unlock()
	if list, state := c.memberships(); state == Running {
		c.tellNames(list)
	}
	c.publish(events.ActionRename, "oldName", "/"+old)
	return nil
}
