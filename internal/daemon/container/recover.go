package container

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/daemon/health"
	"github.com/brig-engine/brig/internal/daemon/record"
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
	if err := e.load(ctx); err != nil {
		return err
	}
	if err := e.loadVitals(); err != nil {
		return err
	}
	e.each(func(c *Container) {
		running, known := list[c.id]
		c.recover(running, known)
	})
	e.sweep(ctx, list)
	return nil
}

// load reads the records of both stores.
func (e *Engine) load(ctx context.Context) error {
	var one sync.Mutex // records are decoded side by side, and entered one at a time
	for _, store := range []*record.Store{e.durable, e.volatile} {
		err := store.LoadConcurrently(func(id string, b []byte) error {
			var r Record
			if err := json.Unmarshal(b, &r); err != nil || r.ID != id || len(id) != 64 {
				return fmt.Errorf("container: %w: %v", record.ErrDamaged, err)
			}
			one.Lock()
			defer one.Unlock()
			if r.Networks == nil {
				r.Networks = e.cfg.Networks.Default(string(r.Host.NetworkMode))
			}
			c := e.newContainer(r)
			if err := e.reserve(c, r.Name); err != nil {
				// Two records with one name: a rename was cut off. The id still finds it.
				if err := e.reserve(c, ""); err != nil {
					return err
				}
			}
			e.byID[id] = c
			if r.Doomed { // what was left of it
				return nil
			}
			if _, err := c.acquire(ctx); err != nil {
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

func (c *Container) recover(running, known bool) {
	if c.rec.Doomed {
		c.life.Lock()
		defer c.life.Unlock()
		c.warnIf(c.forget(true))
		return
	}
	if running {
		err := c.attachRunning()
		if err == nil {
			c.reapply()
			c.cutRecording()
			return // what was executed in it is finished by the warden: its clients went with the last brigd
		}
		// It may have ended, and brigd before it could write that down, or after.
		if !errdefs.IsNotFound(err) && !errdefs.IsFailedPrecondition(err) && !errdefs.IsConflict(err) {
			c.warn(fmt.Errorf("take over: %w", err))
		}
	}
	if !running && c.state() == Running && !c.e.boot.Load() && c.rec.mayRestart() {
		c.cutOff(wire.Exit{}) // the warden has not heard of it since the engine started
		return
	}
	if !running && c.state() != Running {
		// A --rm container of which the warden has traces has run, and was about to be forgotten.
		if c.rec.Host.AutoRemove && (known && !c.rec.Touched || c.state() == Exited) {
			c.recoverSpools()
			c.log.End()
			c.life.Lock()
			defer c.life.Unlock()
			c.warnIf(c.forget(true))
		}
		return
	}
	c.recoverSpools()
	exit, known := c.e.askExit(wire.OpProcessFinish, wire.ProcessRef{ID: c.id}, c.warn)
	if !known {
		return
	}
	c.life.Lock()
	defer c.life.Unlock()
	switch running := c.rec.State == Running; {
	case !running && exit.At <= c.rec.Exit.At && !c.rec.Host.AutoRemove: // that is known, and what came after
	case running && exit.At < c.rec.Started.UnixNano() && c.rec.mayRestart():
		c.cutOff(exit) // it is the end of the run before
	default:
		c.finished(c.run, exit)
	}
}

// attachRunning takes over the streams and the end of a container that runs.
func (c *Container) attachRunning() error {
	var st wire.Started
	fds, err := c.e.cfg.Warden.Call(context.Background(), wire.OpContainerAttach, wire.ContainerRef{ID: c.id}, &st)
	if err != nil {
		return err
	}
	c.mu.Lock()
	known := c.rec.State == Running
	c.rec.State, c.rec.Due = Running, time.Time{}
	if !known { // its start was not written, or was undone
		c.rec.Exit, c.rec.Error, c.rec.Finished = wire.Exit{}, "", time.Time{}
	}
	if !known && c.rec.Health != nil { // it is of the run before
		c.rec.Health = health.Begin(c.rec.Health)
	}
	c.mu.Unlock()
	if !known { // its end is the next thing to be noted
		if err := c.write(false); err != nil {
			c.warn(err)
		}
	}
	if err := c.takeOver(&st, fds); err != nil {
		return err
	}
	c.rejoin()
	return nil
}

// recoverSpools logs what a killed brigd had taken from a container that has ended since.
func (c *Container) recoverSpools() {
	c.log.Begin()
	c.log.Ending()
	for _, stream := range []byte{1, 2} {
		p := &pump{stream: stream, log: c.log, warn: c.warn, spool: c.e.spoolPath(c.id, stream)}
		p.flush()
	}
}

// sweep removes containers without a record, and logs and spools of containers that are no more.
func (e *Engine) sweep(ctx context.Context, known map[string]bool) {
	damaged, err := e.durable.Damaged()
	if err != nil {
		slog.Error("sweep", "error", err)
		return
	}
	spared := func(id string) bool { return e.byID[id] != nil || slices.Contains(damaged, id) }
	for id, running := range known {
		if spared(id) {
			continue
		}
		slog.Warn("a container without a record is removed", "id", id)
		if running {
			req := wire.ContainerSignal{ID: id, Signal: int(unix.SIGKILL)}
			_, err := e.cfg.Warden.Call(ctx, wire.OpContainerSignal, req, nil)
			_, ferr := e.cfg.Warden.Call(ctx, wire.OpProcessFinish, wire.ProcessRef{ID: id}, &wire.Exit{})
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
			if n := x.Name(); len(n) == idLen && spared(n[:64]) {
				continue
			}
			if err := os.RemoveAll(filepath.Join(dir, x.Name())); err != nil {
				slog.Error("sweep", "error", err)
			}
		}
	}
}
