package container

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/events"

	"github.com/brig-engine/brig/internal/daemon/image"
	"github.com/brig-engine/brig/internal/daemon/work"
	"github.com/brig-engine/brig/internal/wire"
	"github.com/brig-engine/brig/internal/wire/jobs"
)

// Everything here is done by a worker inside the container: brigd moves bytes between it and a client, and reads none of
// an archive. caller is a descriptor of the caller's connection, or -1; it stays open.

// Stat describes a file of a container.
func (e *Engine) Stat(ctx context.Context, c *Container, caller int, path string) (*jobs.PathStat, error) {
	r, err := c.tree(ctx, caller, &jobs.TreeParams{Do: jobs.TreeStat, Path: path}, jobs.Host{})
	if err != nil {
		return nil, c.missing(path, err)
	}
	return r.Stat, nil
}

// Archive writes an archive of a path to w, after begin has heard what will be in it.
func (e *Engine) Archive(ctx context.Context, c *Container, caller int, path string, begin func(*jobs.PathStat), w io.Writer) error {
	err := outward(ctx, w, func(ctx context.Context, fd int) error {
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
	if u := c.rec.Spec.Process.User; o.Own && (u.UID != 0 || u.GID != 0) {
		p.Owner = &jobs.TreeOwner{UID: u.UID, GID: u.GID}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	pr, pw, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("pipe: %w", err)
	}
	received := make(chan struct{})
	go func() {
		defer close(received)
		source := &source{r: r}
		_, err := io.Copy(pw, source)
		if source.err != nil { // half an archive is not to look like a whole one
			cancel(fmt.Errorf("the archive could not be received: %w: %w", source.err, errdefs.ErrInvalidArgument))
		}
		pw.Close()
		if err != nil && source.err == nil { // the worker reads no more; the client still has to read why
			_, _ = io.Copy(io.Discard, r)
		}
	}()
	_, err = c.tree(ctx, caller, p, jobs.Host{}, int(pr.Fd()))
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	pr.Close()
	if err != nil {
		o.Late()
	}
	if <-received; err == nil {
		err = context.Cause(ctx)
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
	err := outward(ctx, w, func(ctx context.Context, fd int) error {
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
	return outward(ctx, w, func(ctx context.Context, fd int) error {
		_, err := c.tree(ctx, caller, &jobs.TreeParams{Do: jobs.TreeChanges}, jobs.Host{}, fd)
		return err
	})
}

// Commit makes an image of a container: its image, and its changes as a layer on top. With pause a container that runs
// stands still while they are read.
func (e *Engine) Commit(ctx context.Context, c *Container, caller int, pause bool, opt image.CommitOptions) (string, error) {
	opt.Base, opt.Config = c.rec.ImageID, &c.rec.Config
	id, err := e.cfg.Images.Commit(ctx, opt, func(ctx context.Context, fd int) error {
		if pause {
			resume, err := e.still(ctx, c)
			if err != nil {
				return fmt.Errorf("%w. Next: commit with --pause=false", err)
			}
			defer resume()
		}
		_, err := c.tree(ctx, caller, &jobs.TreeParams{Do: jobs.TreeLayer}, jobs.Host{}, fd)
		return err
	})
	if err == nil {
		c.publish(events.ActionCommit, "comment", opt.Comment, "imageID", id, "imageRef", opt.Ref())
	}
	return id, err
}

// outward gives do a pipe whose other end goes to w, and waits until all has gone there.
func outward(ctx context.Context, w io.Writer, do func(ctx context.Context, fd int) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	pr, pw, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("pipe: %w", err)
	}
	defer pr.Close()
	defer pw.Close()
	sent := make(chan error, 1)
	go func() {
		_, err := io.Copy(w, pr)
		if err != nil {
			cancel() // nobody reads any more
		}
		sent <- err
	}()
	err = do(ctx, int(pw.Fd()))
	pw.Close() // end of file for the copy, now that the worker is gone
	return errors.Join(err, <-sent)
}

// tree has a worker that sees what the container sees do one thing.
func (c *Container) tree(ctx context.Context, caller int, p *jobs.TreeParams, host jobs.Host, fds ...int) (*jobs.TreeResult, error) {
	for until := time.Now().Add(endingFor); ; time.Sleep(20 * time.Millisecond) {
		r, err := c.treeOnce(ctx, caller, p, host, fds...)
		if !errdefs.IsConflict(err) || c.state() == Removing || ctx.Err() != nil || time.Now().After(until) {
			return r, err
		}
	}
}

// endingFor is how long a container may be neither running nor ended.
const endingFor = 10 * time.Second

func (c *Container) treeOnce(ctx context.Context, caller int, p *jobs.TreeParams, host jobs.Host, fds ...int) (*jobs.TreeResult, error) {
	release, err := c.holdRoot(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	req := wire.ContainerStart{ID: c.id, Spec: c.View().Spec}
	req.Spec.Network, req.Spec.Sysctl, req.Spec.Process.Terminal = wire.Network{}, nil, false
	if p.Do == jobs.TreeExport || p.Do == jobs.TreeChanges || p.Do == jobs.TreeLayer || p.Do == jobs.TreeSize {
		req.Spec.Mounts = nil // what is mounted on the root is no part of it
	}
	start := func(socket int) ([]int, error) {
		pass := []int{socket}
		if c.rec.Caller && caller >= 0 {
			pass = append(pass, caller)
		}
		return c.e.cfg.Warden.Call(ctx, wire.OpContainerCopy, req, nil, pass...)
	}
	r, err := work.Run(ctx, start, &jobs.Job{Kind: jobs.Tree, Tree: p}, host, fds...)
	if errdefs.IsUnavailable(err) && ctx.Err() == nil {
		return nil, fmt.Errorf("container %s was started or removed meanwhile, or what copied was ended: %w", c.id[:12], err)
	}
	var said *wire.Error
	if errors.As(err, &said) {
		return nil, said // in the words of who has refused
	}
	if err != nil {
		return nil, err
	}
	return r.Tree, nil
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
	select {
	case c.copy <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
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
