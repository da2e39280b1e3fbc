package container

import (
	"fmt"
	"path/filepath"

	"github.com/containerd/errdefs"

	"github.com/brig-engine/brig/internal/daemon/policy"
	"github.com/brig-engine/brig/internal/wire"
	"github.com/brig-engine/brig/internal/wire/rules"
)

// Policy reads the administrator's policy, which may have been applied a moment ago. One that cannot be read allows nothing.
func (e *Engine) Policy() (*rules.Policy, error) {
	p, err := wire.ReadPolicy(filepath.Dir(e.cfg.StateDir))
	if err != nil {
		return nil, fmt.Errorf("the administrator's policy: %w. Next: brig policy apply: %w", err, errdefs.ErrPermissionDenied)
	}
	return p, nil
}

// allowed asks before a start whether its caller may still have what the container needs: the policy may be another one than
// that by which it was made, and the caller another user. A start by itself has no caller here; the warden asks then.
func (e *Engine) allowed(c *Container, caller int) error {
	c.mu.Lock()
	q := policy.Question{Spec: &c.rec.Spec, Profile: c.rec.Profile, Level: policy.LevelOf(&c.rec.Host)}
	id := c.rec.ImageID
	c.mu.Unlock()
	var err error
	if q.Policy, err = e.Policy(); err != nil || caller < 0 {
		return err
	}
	if q.By, err = CallerOf(caller); err != nil {
		return err
	}
	q.Image, _ = e.cfg.Images.Lookup(id) // one that is gone is nobody's reason to be allowed something
	granted, refused := q.Answer()
	if len(refused) > 0 {
		return refused
	}
	if len(granted) > 0 {
		c.mu.Lock()
		c.rec.Caller = true
		c.mu.Unlock()
	}
	return nil
}
