package container

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/daemon/health"
	"github.com/brig-engine/brig/internal/daemon/metrics"
	"github.com/brig-engine/brig/internal/daemon/policy"
	"github.com/brig-engine/brig/internal/wire"
)

// ErrNotModified is returned where a container is already what was asked for.
var ErrNotModified = errors.New("nothing to do")

func errRemoving(c *Container) error {
	return fmt.Errorf("container %s is being removed: %w", c.id[:12], errdefs.ErrConflict)
}

// Start starts c. caller is a descriptor of the caller's connection, or -1; it stays open.
func (e *Engine) Start(ctx context.Context, c *Container, caller int) error {
	c.life.Lock()
	defer c.life.Unlock()
	c.mu.Lock()
	state, renewing := c.rec.State, c.renewing > 0
	c.mu.Unlock()
	switch {
	case state == Running && c.paused():
		return fmt.Errorf("cannot start a paused container, try unpause instead: %w", errdefs.ErrConflict)
	case state == Running, state == Restarting && !renewing:
		return ErrNotModified
	case state == Removing:
		return errRemoving(c)
	}
	if err := e.allowed(c, caller); err != nil {
		return err
	}
	if err := e.consent(c, caller); err != nil {
		return err
	}
	// A receiver that does not answer holds up this container alone: the place among the starts is taken afterwards.
	err := c.log.Connect(ctx)
	if err == nil {
		select {
		case e.starts <- struct{}{}:
			defer func() { <-e.starts }()
		case <-ctx.Done():
			c.log.End()
			return ctx.Err()
		}
		c.fresh()
		err = c.start(context.WithoutCancel(ctx), caller)
	}
	if err != nil {
		c.log.End()
		c.startFailed(err)
	}
	return err
}

// fresh is for a start that somebody asked for: what was counted before does not count any more. A brigd that is killed
// here leaves a container that somebody was about to start.
func (c *Container) fresh() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rec.Restarts, c.rec.Delay, c.rec.Stopped = 0, 0, false
}

// start is called with life held. The record is made durable while the warden works.
func (c *Container) start(ctx context.Context, caller int) (err error) {
	defer func(begin time.Time) { c.e.cfg.Metrics.Action(metrics.Start, begin, err) }(time.Now())
	if err := c.ownerRuns(); err != nil {
		return err
	}
	filter, err := c.e.filter(c.rec.Profile, &c.rec.Spec.Process, &c.rec.Host)
	if err != nil {
		return err
	}
	if c.rec.Caller && caller < 0 && c.rec.mayRestart() {
		if caller, err = c.e.consentFor(c); err != nil {
			return err
		}
	}
	in, err := c.e.cfg.Networks.Enter(c.id, c.rec.Networks)
	if err == nil && in.Confined && len(c.rec.Networks) > 0 && len(c.rec.Spec.Network.Ports) > 0 {
		c.e.cfg.Networks.Leave(c.id)
		err = fmt.Errorf("-p: every network of container %s is internal, so that nothing outside reaches it. Next: "+
			"brig network connect NETWORK %s: %w", c.id[:12], c.id[:12], errdefs.ErrFailedPrecondition)
	}
	if err != nil {
		return err
	}
	before := c.begin()
	written := make(chan error, 1)
	if c.rec.Host.AutoRemove {
		written <- c.untouched() // its record is there since it was created; that it runs, the warden knows
	} else {
		go func() { written <- c.write(true) }()
	}
	req := c.ask(c.rec.Spec)
	req.Spec.Process.Filter = filter
	if req.Spec.Network.Mode == wire.NetworkEndpoint {
		req.Spec.Network.Membership = in
	}
	var pass []int
	if c.rec.Caller && caller >= 0 {
		pass = []int{caller}
	}
	var st wire.Started
	fds, err := c.startOn(ctx, req, &st, pass)
	werr := <-written
	if err != nil {
		c.rollBack(before)
		return err
	}
	if werr != nil { // nobody would know that it runs, nor that it is to be started again
		wire.CloseAll(fds)
		err = werr
	} else {
		err = c.takeOver(&st, fds)
	}
	if err != nil {
		c.abandon(ctx) // first: its networks can be removed when it is in them no longer
		c.rollBack(before)
		return err
	}
	for _, w := range st.Warnings {
		c.warn(errors.New(w))
	}
	c.tellNames(c.rec.Networks)
	c.publishStart()
	return nil
}

// filter is what a process starts with. No record has one that was compiled: a profile may mean something else to a new
// kernel, and another brigd may compile in another way.
func (e *Engine) filter(profile string, p *wire.Process, h *container.HostConfig) (*wire.Filter, error) {
	record := policy.Recorded(h)
	if profile == "" && !record {
		return p.Filter, nil
	}
	narrows := profile == "" && p.Filter == nil || policy.LevelOf(h) == policy.Strict
	f, err := e.cfg.Filter(Filter{profile, p, narrows, record})
	if err != nil {
		return nil, fmt.Errorf("--security-opt seccomp: %w", err)
	}
	return f, nil
}

// abandon ends a container that runs and that brigd cannot serve: it has run out of descriptors, most likely.
func (c *Container) abandon(ctx context.Context) {
	if err := c.signal(ctx, int(unix.SIGKILL)); err != nil {
		c.warn(err)
	}
	for range 100 {
		if c.over(ctx) {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	go func() { // the warden has no room to note the end: until it has, it takes the container for one that runs
		for !c.over(ctx) {
			time.Sleep(time.Second)
		}
	}()
}

// over has the warden note the end of an abandoned run, and tells whether there is nothing left to note.
func (c *Container) over(ctx context.Context) bool {
	_, err := c.e.cfg.Warden.Call(ctx, wire.OpProcessFinish, wire.ProcessRef{ID: c.id}, &wire.Exit{})
	return err == nil || errdefs.IsNotFound(err) || errdefs.IsUnavailable(err)
}

// settle waits for a start or an end that is under way.
func (c *Container) settle() {
	c.life.Lock()
	defer c.life.Unlock()
}

// begin sets the state that the record of a running container has, and returns the record as it was.
func (c *Container) begin() Record {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.rec
	c.rec.State, c.rec.Started, c.rec.Finished = Running, time.Now().UTC(), time.Time{}
	c.rec.Exit, c.rec.Error = wire.Exit{}, ""
	c.rec.Paused, c.rec.Brief, c.rec.Undo = false, false, nil
	c.rec.Due = time.Time{}
	c.disarm()
	if c.rec.check() != nil {
		c.rec.Health = health.Begin(before.Health)
	}
	return before
}

func (c *Container) rollBack(before Record) {
	c.e.cfg.Networks.Leave(c.id)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rec.State, c.rec.Started, c.rec.Finished = before.State, before.Started, before.Finished
	c.rec.Exit, c.rec.Error, c.rec.Due, c.rec.Health = before.Exit, before.Error, before.Due, before.Health
}

// takeOver makes what the warden sent the container's run: streams, terminal, end.
func (c *Container) takeOver(st *wire.Started, fds []int) error {
	s, err := sortFDs(st, fds)
	if err != nil {
		return err
	}
	c.mu.Lock()
	run := c.run
	c.rec.Started = time.Unix(0, st.StartedAt).UTC()
	c.mu.Unlock()
	run.setClose(func() {
		_, err := c.e.cfg.Warden.Call(context.Background(), wire.OpProcessCloseStdin, wire.ProcessRef{ID: c.id}, nil)
		if err != nil && !errdefs.IsNotFound(err) {
			c.warn(fmt.Errorf("close standard input: %w", err))
		}
	})
	c.log.Begin()
	if err := run.adopt(*st, s.files, c.newPump); err != nil {
		wire.CloseAll(append(s.listeners, s.pidfd))
		return err
	}
	if len(s.listeners) > 0 {
		c.proxy(*st, s.listeners)
	}
	c.watchHealth()
	if err := c.e.watch.add(s.pidfd, c.ended); err != nil {
		c.stopProbes()
		return err
	}
	return nil
}

func (c *Container) proxy(st wire.Started, listeners []int) {
	if c.e.cfg.Proxy == nil {
		wire.CloseAll(listeners)
		return
	}
	stop := c.e.cfg.Proxy(st, listeners)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopProxy = stop
}

// newPump makes the pump of one stream. A terminal has one stream; it cannot be spooled.
func (c *Container) newPump(stream byte, f *os.File) *pump {
	p := &pump{stream: stream, f: f, hub: c.run.hub, log: c.log, warn: c.warn}
	if !c.rec.Spec.Process.Terminal && c.rec.Log.Driver != "none" {
		p.spool = c.e.spoolPath(c.id, stream)
	}
	return p
}

// startFailed notes why, wakes those who wait for this run, and removes a --rm container. Called with life held.
func (c *Container) startFailed(err error) {
	code := ExitCode(err)
	c.mu.Lock()
	run := c.run
	c.run = newSession(c.rec.Spec.Process.Terminal)
	c.rec.Error, c.rec.Exit = err.Error(), wire.Exit{Code: code, At: time.Now().UnixNano()}
	if c.rec.State == Restarting { // no more of it, as in Docker
		c.rec.State, c.rec.Due = Exited, time.Time{}
	}
	c.lastExit = c.rec.Exit
	remove := c.rec.Host.AutoRemove
	c.mu.Unlock()
	run.end(wire.Exit{Code: code}, err)
	if werr := c.write(false); werr != nil {
		c.warn(werr)
	}
	if remove {
		c.warnIf(c.forget(true))
	}
}

// ExitCode is what a command line exits with when a start failed: 127 (not found), 126 (found, cannot be executed),
// 125.
func ExitCode(err error) int {
	var w *wire.Error
	if errors.As(err, &w) && w.Code != 0 {
		return w.Code
	}
	return 125
}

// StartText words a failed start so that Docker's clients see 126 and 127 in it: they look for these words.
func StartText(code int, text string) string {
	words := map[int][]string{
		127: {"executable file not found", "no such file or directory"},
		126: {"permission denied", "is a directory"},
	}[code]
	for _, w := range words {
		if strings.Contains(text, w) {
			return text
		}
	}
	if len(words) > 0 {
		return text + ": " + words[0]
	}
	return text
}

// ask is the request to start this container. The usual bound of its disk is not asked for where the engine's directory has
// come to a file system that can hold none: info warns of that.
func (c *Container) ask(s wire.Spec) wire.ContainerStart {
	if c.e.cfg.Host.Disk.Kind == "" && len(c.rec.Host.StorageOpt) == 0 {
		s.Disk = 0
	}
	return wire.ContainerStart{ID: c.id, Spec: s}
}
