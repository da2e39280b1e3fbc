package container

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/events"

	"github.com/brig-engine/brig/internal/daemon/image"
	"github.com/brig-engine/brig/internal/daemon/metrics"
	"github.com/brig-engine/brig/internal/daemon/work"
	"github.com/brig-engine/brig/internal/wire"
	"github.com/brig-engine/brig/internal/wire/jobs"
)

// Everything here is done by a worker inside the container: brigd moves bytes between it and a client, and reads none of
// an archive. caller is a descriptor of the caller's connection, or -1; it stays open.

// Stat describes a file of a container.
func (e *Engine) Stat(ctx context.Context, c *Container, caller int, path string) (*jobs.PathStat, error) {
	r, err := c.tree(ctx, caller, &jobs.TreeParams{Do: jobs.TreeStat, Path: path}, jobs.Host{})
	if err == nil && r.Stat == nil {
		err = errors.New("the worker described nothing")
	}
	if err != nil {
		return nil, c.missing(path, err)
	}
	return r.Stat, nil
}

// Archive writes an archive of a path to w, after begin has heard what will be in it.
func (e *Engine) Archive(ctx context.Context, c *Container, caller int, path string, begin func(*jobs.PathStat), w io.Writer) error {
	err := work.Outward(ctx, w, drainFor, func(ctx context.Context, fd int) error {
		host := jobs.Host{File: func(f jobs.File) (int, error) {
			if f.Name != "archive" || f.Stat == nil || begin == nil {
				return -1, fmt.Errorf("this job has no file %.64q: %w", f.Name, errdefs.ErrInvalidArgument)
			}
			begin(f.Stat)
			begin = nil
			return fd, nil
		}}
		_, err := c.tree(ctx, caller, &jobs.TreeParams{Do: jobs.TreeRead, Path: path}, host)
		return c.missing(path, err)
	})
	if err == nil {
		c.publish(events.ActionArchivePath)
	}
	return err
}

// ExtractOptions of Extract.
type ExtractOptions struct {
	Path     string
	KeepKind bool   // no directory takes the place of a file, nor the reverse
	Own      bool   // all of it belongs to the container's user
	Late     func() // called when the rest of the archive is not wanted any more, and is read in vain
}

// Extract unpacks an archive into a directory of a container. All of r is read, unless it fails.
func (e *Engine) Extract(ctx context.Context, c *Container, caller int, o ExtractOptions, r io.Reader) error {
	p := &jobs.TreeParams{Do: jobs.TreeWrite, Path: o.Path, KeepKind: o.KeepKind}
	if u := c.View().Spec.Process.User; o.Own && (u.UID != 0 || u.GID != 0) {
		p.Owner = &jobs.TreeOwner{UID: u.UID, GID: u.GID}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	pr, pw, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("pipe: %w", err)
	}
	received := make(chan error, 1)
	var lost atomic.Bool
	go func() {
		source := &source{r: r}
		_, err := io.Copy(pw, source)
		if source.err != nil { // half an archive is not to look like a whole one
			lost.Store(true)
			cancel()
		}
		pw.Close()
		if err != nil && source.err == nil { // the worker reads no more; the client still has to read why
			_, _ = io.Copy(io.Discard, source)
		}
		received <- source.err
	}()
	_, err = c.tree(ctx, caller, p, jobs.Host{}, int(pr.Fd()))
	half := lost.Load() // what is lost from now on is not wanted
	pr.Close()
	_ = pw.SetWriteDeadline(time.Now()) // a conquered worker may have kept the other end
	o.Late()
	// The server may end a request whose client sends nothing before the read that waits for it says so.
	if why := <-received; half || why != nil && errors.Is(err, context.Canceled) {
		err = fmt.Errorf("the archive could not be received: %v: %w", why, errdefs.ErrInvalidArgument)
	}
	if err != nil {
		return c.missing(o.Path, err)
	}
	c.publish(events.ActionExtractToDir)
	return nil
}

// source remembers why reading failed.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

// Export writes an archive of the root file system, without what is mounted on it.
func (e *Engine) Export(ctx context.Context, c *Container, caller int, w io.Writer) error {
	err := work.Outward(ctx, w, drainFor, func(ctx context.Context, fd int) error {
		_, err := c.tree(ctx, caller, &jobs.TreeParams{Do: jobs.TreeExport}, jobs.Host{}, fd)
		return err
	})
	if err == nil {
		c.publish(events.ActionExport)
	}
	return err
}

// Changes writes the list of what differs from the image, as the API has it.
func (e *Engine) Changes(ctx context.Context, c *Container, caller int, w io.Writer) error {
	return work.Outward(ctx, w, drainFor, func(ctx context.Context, fd int) error {
		_, err := c.tree(ctx, caller, &jobs.TreeParams{Do: jobs.TreeChanges}, jobs.Host{}, fd)
		return err
	})
}

// Commit makes an image of a container: its image, and its changes as a layer on top. With pause a container that runs
// stands still while they are read.
func (e *Engine) Commit(ctx context.Context, c *Container, caller int, pause bool, opt image.CommitOptions) (_ string, err error) {
	defer func(begin time.Time) { e.cfg.Metrics.Action(metrics.Commit, begin, err) }(time.Now())
	v := c.View()
	opt.Base, opt.Config = v.ImageID, &v.Config
	id, err := e.cfg.Images.Commit(ctx, opt, func(ctx context.Context, fd int) error {
		resume := func() error { return nil }
		if pause {
			if err := take(ctx, c.commit); err != nil {
				return err
			}
			defer func() { <-c.commit }()
			var err error
			if resume, err = e.still(ctx, c); err != nil {
				return fmt.Errorf("%w. Next: commit with --pause=false", err)
			}
		}
		_, err := c.tree(ctx, caller, &jobs.TreeParams{Do: jobs.TreeLayer}, jobs.Host{}, fd)
		if moved := resume(); err == nil {
			err = moved
		}
		return err
	})
	if err == nil {
		c.publish(events.ActionCommit, "comment", opt.Comment, "imageID", id, "imageRef", opt.Ref())
	}
	return id, err
}

// drainFor is how long it may take until a client has what was in a pipe when the worker gave its result; and a conquered
// worker, which does not end, can fill it no longer.
const drainFor = 2 * time.Minute

// tree has a worker that sees what the container sees do one thing.
func (c *Container) tree(ctx context.Context, caller int, p *jobs.TreeParams, host jobs.Host, fds ...int) (*jobs.TreeResult, error) {
	for until := time.Now().Add(endingFor); ; time.Sleep(20 * time.Millisecond) {
		r, begun, err := c.treeOnce(ctx, caller, p, host, fds...)
		if begun || !errdefs.IsConflict(err) || c.state() == Removing || ctx.Err() != nil || time.Now().After(until) {
			return r, err
		}
	}
}

// endingFor is how long a container may be neither running nor ended.
const endingFor = 10 * time.Second

// How many workers copy at once, of all containers and of one: each may take two gigabytes, and those that wait do so here.
const maxCopies, maxCopiesOfOne = 8, 2

// take waits for a place.
func take(ctx context.Context, places chan struct{}) error {
	select {
	case places <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// treeOnce tells as well whether the worker has begun: it may have read or written then, and is not to do so twice.
func (c *Container) treeOnce(ctx context.Context, caller int, p *jobs.TreeParams, host jobs.Host, fds ...int) (t *jobs.TreeResult, begun bool, err error) {
	if err := take(ctx, c.copies); err != nil {
		return nil, false, err
	}
	defer func() { <-c.copies }()
	release, err := c.holdRoot(ctx)
	if err != nil {
		return nil, false, err
	}
	defer release()
	if err := take(ctx, c.e.copies); err != nil {
		return nil, false, err
	}
	defer func() { <-c.e.copies }()
	req := c.ask(c.View().Spec)
	req.Spec.Network, req.Spec.Sysctl, req.Spec.Process.Terminal = wire.Network{}, nil, false
	if p.Do == jobs.TreeExport || p.Do == jobs.TreeChanges || p.Do == jobs.TreeLayer || p.Do == jobs.TreeSize {
		req.Spec.Mounts = nil // what is mounted on the root is no part of it
	}
	start := func(socket int) ([]int, error) {
		pass := []int{socket}
		if c.rec.Caller && caller >= 0 {
			pass = append(pass, caller)
		}
		got, err := c.e.cfg.Warden.Call(ctx, wire.OpContainerCopy, req, nil, pass...)
		begun = err == nil
		return got, err
	}
	defer c.goneMeanwhile()
	r, err := work.Run(ctx, start, &jobs.Job{Kind: jobs.Tree, Tree: p}, host, fds...)
	if errdefs.IsUnavailable(err) && ctx.Err() == nil {
		return nil, begun, fmt.Errorf("container %s was started or removed meanwhile, or what copied was ended: %w", c.id[:12], err)
	}
	var said *wire.Error
	if errors.As(err, &said) {
		return nil, begun, said // in the words of who has refused
	}
	if err != nil {
		return nil, begun, err
	}
	return r.Tree, true, nil
}

// goneMeanwhile has the warden forget a container that was removed while it was asked for a copy: the copy may have come
// to it after the removal, and made the directory and the ids of a new one.
func (c *Container) goneMeanwhile() {
	if c.state() != Removing {
		return
	}
	if err := c.e.deleteTraces(c.id); err != nil {
		c.warn(err)
	}
}

// holdRoot has the root of a container that does not run to itself. A start does not wait for that: it ends the worker.
func (c *Container) holdRoot(ctx context.Context) (release func(), err error) {
	c.settle()
	switch c.state() {
	case Removing:
		return nil, errRemoving(c)
	case Running:
		return func() {}, nil
	}
	if err := take(ctx, c.copy); err != nil {
		return nil, err
	}
	return func() { <-c.copy }, c.touch()
}

// touch notes that a --rm container has files before its first start: what a later brigd finds of it is no remainder.
func (c *Container) touch() error {
	c.mu.Lock()
	first := c.rec.Host.AutoRemove && c.rec.State == Created && !c.rec.Touched
	c.rec.Touched = c.rec.Touched || first
	c.mu.Unlock()
	if !first {
		return nil
	}
	return c.write(false)
}

// untouched is for the moment in which such a container starts after all.
func (c *Container) untouched() error {
	c.mu.Lock()
	was := c.rec.Touched
	c.rec.Touched = false
	c.mu.Unlock()
	if !was {
		return nil
	}
	return c.write(false)
}

// missing words the failure to find a path as Docker does.
func (c *Container) missing(path string, err error) error {
	if errdefs.IsNotFound(err) {
		return fmt.Errorf("Could not find the file %.256s in container %s: %w", path, c.id, //nolint:staticcheck // clients read it
			errdefs.ErrNotFound)
	}
	return err
}
