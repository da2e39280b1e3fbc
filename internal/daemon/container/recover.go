package container

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/wire"
)

// recoverers is how many containers are taken over at once.
const recoverers = 16

// recover rebuilds memory from the records and the warden's list: what runs is taken over, what ended meanwhile is
// finished, records and containers that have no counterpart are swept.
func (e *Engine) recover(ctx context.Context) error {
	for _, dir := range []string{filepath.Join(e.cfg.RunDir, "spool"), filepath.Join(e.cfg.StateDir, "logs")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	var list wire.ContainerList
	if _, err := e.cfg.Warden.Call(ctx, wire.OpContainerList, nil, &list); err != nil {
		return fmt.Errorf("list containers: %w", err)
	}
	known := map[string]wire.ContainerState{}
	for _, s := range list.Containers {
		known[s.ID] = s
	}
	if err := e.load(ctx); err != nil {
		return err
	}
	e.each(func(c *Container) { c.recover(known[c.id]) })
	e.sweep(ctx, known)
	return nil
}

// load reads the records of both stores.
func (e *Engine) load(ctx context.Context) error {
	for _, store := range []interface {
		Load(func(string, []byte) error) error
		Remove(string) error
	}{e.durable, e.volatile} {
		err := store.Load(func(id string, b []byte) error {
			var r Record
			if err := json.Unmarshal(b, &r); err != nil || r.ID != id || len(id) != 64 {
				slog.Error("a record cannot be read and is dropped", "id", id, "error", err)
				return store.Remove(id)
			}
			c := e.newContainer(r)
			if err := e.reserve(c, r.Name); err != nil {
				// Two records with one name: a rename was cut off. The id still finds it.
				if err := e.reserve(c, ""); err != nil {
					return err
				}
			}
			e.byID[id] = c
			if err := c.acquire(ctx); err != nil {
				c.warn(fmt.Errorf("what this container needs is not complete: %w", err))
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (e *Engine) each(do func(*Container)) {
	work := make(chan *Container)
	var wg sync.WaitGroup
	for range recoverers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for c := range work {
				do(c)
			}
		}()
	}
	all := make([]*Container, 0, len(e.byID))
	for _, c := range e.byID {
		all = append(all, c)
	}
	for _, c := range all {
		work <- c
	}
	close(work)
	wg.Wait()
}

func (c *Container) recover(s wire.ContainerState) {
	if s.Running {
		err := c.attachRunning()
		if err == nil {
			return // what was executed in it is finished by the warden: its clients went with the last brigd
		}
		if !errdefs.IsNotFound(err) && !errdefs.IsFailedPrecondition(err) {
			c.warn(fmt.Errorf("take over: %w", err))
		}
	}
	if !s.Running && c.state() != Running {
		// A --rm container of which the warden has traces has run, and was about to be forgotten.
		if c.rec.Host.AutoRemove && (s.ID != "" && !c.rec.Touched || c.state() == Exited) {
			c.recoverSpools()
			c.life.Lock()
			defer c.life.Unlock()
			c.forget(true)
		}
		return
	}
	c.recoverSpools()
	exit, known := c.e.askExit(wire.OpContainerFinish, wire.ContainerRef{ID: c.id}, c.warn)
	if !known {
		return
	}
	c.life.Lock()
	defer c.life.Unlock()
	c.finished(c.run, exit)
}

// attachRunning takes over the streams and the end of a container that runs.
func (c *Container) attachRunning() error {
	var st wire.Started
	fds, err := c.e.cfg.Warden.Call(context.Background(), wire.OpContainerAttach, wire.ContainerRef{ID: c.id}, &st)
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.rec.State = Running
	c.mu.Unlock()
	return c.takeOver(&st, fds)
}

// recoverSpools logs what a killed brigd had taken from a container that has ended since.
func (c *Container) recoverSpools() {
	for _, stream := range []byte{1, 2} {
		p := &pump{stream: stream, log: c.log, warn: c.warn, spool: c.e.spoolPath(c.id, stream)}
		p.flush()
	}
}

// sweep removes containers without a record, and logs and spools of containers that are no more.
func (e *Engine) sweep(ctx context.Context, known map[string]wire.ContainerState) {
	for id, s := range known {
		if e.byID[id] != nil {
			continue
		}
		slog.Warn("a container without a record is removed", "id", id)
		if s.Running {
			req := wire.ContainerSignal{ID: id, Signal: int(unix.SIGKILL), All: true}
			_, err := e.cfg.Warden.Call(ctx, wire.OpContainerSignal, req, nil)
			_, ferr := e.cfg.Warden.Call(ctx, wire.OpContainerFinish, wire.ContainerRef{ID: id}, &wire.Exit{})
			if err := errors.Join(err, ferr); err != nil {
				slog.Error("sweep", "id", id, "error", err)
			}
		}
		if err := e.deleteTraces(id); err != nil {
			slog.Error("sweep", "id", id, "error", err)
		}
	}
	for dir, idLen := range map[string]int{filepath.Join(e.cfg.StateDir, "logs"): 64, filepath.Join(e.cfg.RunDir,
		"spool"): 66} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			slog.Error("sweep", "error", err)
			continue
		}
		for _, x := range entries {
			if n := x.Name(); len(n) == idLen && e.byID[n[:64]] != nil {
				continue
			}
			if err := os.RemoveAll(filepath.Join(dir, x.Name())); err != nil {
				slog.Error("sweep", "error", err)
			}
		}
	}
}
