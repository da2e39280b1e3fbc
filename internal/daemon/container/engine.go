package container

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/events"

	"github.com/brig-engine/brig/internal/daemon/event"
	"github.com/brig-engine/brig/internal/daemon/image"
	"github.com/brig-engine/brig/internal/daemon/log"
	"github.com/brig-engine/brig/internal/daemon/policy"
	"github.com/brig-engine/brig/internal/daemon/record"
	"github.com/brig-engine/brig/internal/daemon/volume"
	"github.com/brig-engine/brig/internal/wire"
)

// Warden is the part of client.Client that this package needs.
type Warden interface {
	Call(ctx context.Context, op wire.Op, request, reply any, fds ...int) ([]int, error)
}

// Images is what containers need of images.
type Images interface {
	// Lookup finds an image by reference, id, or prefix of an id; errdefs.ErrNotFound when there is none.
	Lookup(ref string) (*image.Image, error)
	// Hold keeps the image with this id while the container is there.
	Hold(id, container string) error
	Release(id, container string)
	// Commit makes an image of another one and a layer, which layer writes to an empty file.
	Commit(ctx context.Context, opt image.CommitOptions, layer func(ctx context.Context, fd int) error) (string, error)
}

// Config is what an Engine works with.
type Config struct {
	Warden  Warden
	Images  Images
	Volumes *volume.Store
	Bus     *event.Bus
	Host    policy.Host
	// Filter compiles a seccomp profile, hands it to the warden and returns its digest. caps is the bounding set.
	Filter func(ctx context.Context, profile string, caps uint64) (string, error)
	// Proxy serves the loopback clients of published ports: one listening socket per bound port that has one. It takes
	// the sockets over and closes them when the returned function is called.
	Proxy func(st wire.Started, listeners []int) (stop func())
	// StateDir survives the machine, RunDir does not. Both are brigd's own.
	StateDir, RunDir string
}

// Engine holds all containers.
type Engine struct {
	cfg      Config
	durable  *record.Store
	volatile *record.Store
	watch    *watcher
	starts   chan struct{} // admits twice as many starts at once as there are processors

	mu    sync.RWMutex
	byID  map[string]*Container
	names map[string]string // name → id
	execs map[string]*Exec

	background sync.WaitGroup
}

// Container is one container.
type Container struct {
	e       *Engine
	id      string
	log     *log.Log
	removed chan struct{} // closed when the container was forgotten

	life sync.Mutex
	// copy is held by who makes a root for a container that does not run: there is one at a time.
	copy chan struct{}
	save sync.Mutex // one write of the record at a time

	mu        sync.Mutex
	rec       Record
	run       *session // the run that is under way, or the next one
	execs     []*Exec
	unsynced  bool
	stopProxy func()
	lastExit  wire.Exit
}

// NewEngine reads the records and takes over what runs.
func NewEngine(ctx context.Context, cfg Config) (*Engine, error) {
	e := &Engine{cfg: cfg, byID: map[string]*Container{}, names: map[string]string{}, execs: map[string]*Exec{}}
	e.starts = make(chan struct{}, max(2, 2*cfg.Host.CPUs))
	var err error
	if e.durable, err = record.Open(filepath.Join(cfg.StateDir, "containers")); err != nil {
		return nil, err
	}
	if e.volatile, err = record.Open(filepath.Join(cfg.RunDir, "containers")); err != nil {
		return nil, err
	}
	if e.watch, err = newWatcher(); err != nil {
		return nil, err
	}
	if err := e.recover(ctx); err != nil {
		e.watch.close()
		return nil, err
	}
	return e, nil
}

// Close waits for deletions and writes under way and stops to watch. Containers go on.
func (e *Engine) Close() {
	e.background.Wait()
	e.watch.close()
}

// Find gives a container by id, name, or unique beginning of an id.
func (e *Engine) Find(ref string) (*Container, error) {
	ref = strings.TrimPrefix(ref, "/")
	e.mu.RLock()
	defer e.mu.RUnlock()
	if c := e.byID[ref]; c != nil {
		return c, nil
	}
	if c := e.byID[e.names[ref]]; c != nil {
		return c, nil
	}
	var found *Container
	if len(ref) > 0 && strings.Trim(ref, "0123456789abcdef") == "" {
		for id, c := range e.byID {
			if !strings.HasPrefix(id, ref) {
				continue
			}
			if found != nil {
				return nil, fmt.Errorf("%.64s is the beginning of more than one container's id: %w", ref,
					errdefs.ErrInvalidArgument)
			}
			found = c
		}
	}
	if found == nil {
		return nil, fmt.Errorf("No such container: %.256s: %w", ref,
			errdefs.ErrNotFound) //nolint:staticcheck // clients read it
	}
	return found, nil
}

// List gives all containers, newest first.
func (e *Engine) List() []View {
	e.mu.RLock()
	all := make([]*Container, 0, len(e.byID))
	for _, c := range e.byID {
		all = append(all, c)
	}
	e.mu.RUnlock()
	views := make([]View, len(all))
	for i, c := range all {
		views[i] = c.View()
	}
	slices.SortFunc(views, func(a, b View) int {
		if n := b.Created.Compare(a.Created); n != 0 {
			return n
		}
		return strings.Compare(a.ID, b.ID)
	})
	return views
}

// View gives the container as it is now.
func (c *Container) View() View {
	c.mu.Lock()
	defer c.mu.Unlock()
	v := View{Record: c.rec}
	if c.rec.State == Running {
		v.Run = c.run.info()
	}
	for _, x := range c.execs {
		if x.running() {
			v.Execs = append(v.Execs, x.id)
		}
	}
	return v
}

// ID is 64 hex digits.
func (c *Container) ID() string { return c.id }

// Log is the container's log.
func (c *Container) Log() *log.Log { return c.log }

func (c *Container) state() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rec.State
}

func (c *Container) store() *record.Store {
	if c.rec.Host.AutoRemove { // never changes
		return c.e.volatile
	}
	return c.e.durable
}

// write puts the record on disk. Records of --rm containers live in the volatile directory and need no fsync.
func (c *Container) write(durable bool) error {
	c.save.Lock()
	defer c.save.Unlock()
	c.mu.Lock()
	rec := c.rec
	if rec.State == Removing {
		c.mu.Unlock()
		return nil
	}
	if durable {
		c.unsynced = false
	}
	c.mu.Unlock()
	return c.store().Write(c.id, rec, durable && !rec.Host.AutoRemove)
}

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

func (c *Container) warn(err error) { slog.Error("container", "id", c.id[:12], "error", err) }

func (e *Engine) logDir(id string) string { return filepath.Join(e.cfg.StateDir, "logs", id) }

func (e *Engine) spoolPath(id string, stream byte) string {
	return filepath.Join(e.cfg.RunDir, "spool", fmt.Sprintf("%s.%d", id, stream))
}

// syncLater makes a new record durable unless a start does it first.
func (c *Container) syncLater() {
	c.e.background.Add(1)
	time.AfterFunc(100*time.Millisecond, func() {
		defer c.e.background.Done()
		c.mu.Lock()
		need := c.unsynced && c.rec.State != Removing
		c.mu.Unlock()
		if !need {
			return
		}
		if err := c.write(true); err != nil {
			c.warn(err)
		}
	})
}
