package container

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/containerd/errdefs"

	"github.com/brig-engine/brig/internal/daemon/event"
	"github.com/brig-engine/brig/internal/daemon/image"
	"github.com/brig-engine/brig/internal/daemon/log"
	"github.com/brig-engine/brig/internal/daemon/metrics"
	"github.com/brig-engine/brig/internal/daemon/network"
	"github.com/brig-engine/brig/internal/daemon/policy"
	"github.com/brig-engine/brig/internal/daemon/record"
	"github.com/brig-engine/brig/internal/daemon/recorder"
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
	// Networks are those that there are; Names is what the forwarder hears of who is in them.
	Networks *network.Store
	Names    *network.Names
	Bus      *event.Bus
	Host     policy.Host
	// Filter compiles a seccomp profile.
	Filter func(Filter) (*wire.Filter, error)
	// Recorder has the system calls of containers that are recorded; nil: none is.
	Recorder *recorder.Recorder
	// Proxy serves the loopback clients of published ports: one listening socket per bound port that has one. It takes
	// the sockets over and closes them when the returned function is called.
	Proxy func(st wire.Started, listeners []int) (stop func())
	// Metrics and LogMeter hear what is done; nil: nobody does.
	Metrics  *metrics.Metrics
	LogMeter *log.Meter
	// Receivers are the machine's own receivers of logs.
	Receivers log.Receivers
	// StateDir survives the machine, RunDir does not. Both are brigd's own.
	StateDir, RunDir string
}

// Filter is what a system-call filter is made of.
type Filter struct {
	Profile string        // Docker's JSON, or policy.BuiltinProfile; "": all calls
	Of      *wire.Process // whose it is: its bounding set and its instruction sets count
	Narrows bool          // it takes away from the default
	Record  bool          // what it allows is recorded
}

// Engine holds all containers.
type Engine struct {
	cfg      Config
	durable  *record.Store
	volatile *record.Store
	watch    *watcher
	starts   chan struct{} // admits twice as many starts at once as there are processors
	probes   chan struct{} // the same for probes of health checks
	copies   chan struct{} // admits workers that copy, each of which may take gigabytes
	vitals   *record.Store // how health checks stand
	time     *os.File      // the machine's /proc/stat

	// boot: the engine has just started, not this brigd alone; until NewEngine decides who comes up.
	boot     atomic.Bool
	awake    atomic.Bool // restarts may take place
	closing  atomic.Bool // no restart takes place any more
	consents consents

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
	// commit is held by who has the container stand still for a while, copies by who has a worker in it: see copies below.
	commit, copies chan struct{}

	save sync.Mutex // one write of the record at a time

	mu        sync.Mutex
	rec       Record
	run       *session // the run that is under way, or the next one
	execs     []*Exec
	execBytes int // of all of them
	unsynced  bool
	stopProxy func()
	lastExit  wire.Exit
	thaws     int         // how often it was let go on
	timer     *time.Timer // of a restart
	turn      int         // a timer of another turn does nothing
	renewing  int         // how many are restarting it by hand
	monitor   *monitor    // of the health of the run under way
	vital     *vital      // found by a new brigd
}

// NewEngine reads the records and takes over what runs.
func NewEngine(ctx context.Context, cfg Config) (*Engine, error) {
	e := &Engine{cfg: cfg, byID: map[string]*Container{}, names: map[string]string{}, execs: map[string]*Exec{}}
	e.starts = make(chan struct{}, max(2, 2*cfg.Host.CPUs))
	e.probes = make(chan struct{}, max(2, 2*cfg.Host.CPUs))
	e.copies = make(chan struct{}, maxCopies)
	var err error
	if e.durable, err = record.Open(filepath.Join(cfg.StateDir, "containers")); err != nil {
		return nil, err
	}
	if e.volatile, err = record.Open(filepath.Join(cfg.RunDir, "containers")); err != nil {
		return nil, err
	}
	if e.vitals, err = record.Open(filepath.Join(cfg.RunDir, "health")); err != nil {
		return nil, err
	}
	if _, err := os.Stat(e.mark()); err != nil {
		e.boot.Store(true)
	}
	if e.time, err = os.Open("/proc/stat"); err != nil { // Landlock allows this one file, which may be another after a while
		return nil, err
	}
	if e.watch, err = newWatcher(); err != nil {
		return nil, err
	}
	err = e.recover(ctx)
	if err == nil {
		err = e.comeUp()
	}
	if err != nil {
		e.time.Close()
		e.watch.close()
		return nil, err
	}
	e.wantCallers()
	e.wake()
	return e, nil
}

// Close waits for deletions and writes under way and stops to watch. Containers go on.
func (e *Engine) Close() {
	e.closing.Store(true)
	e.background.Wait()
	e.closeConsents()
	e.time.Close()
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
	all := slices.Collect(maps.Values(e.byID))
	e.mu.RUnlock()
	slices.SortFunc(all, func(a, b *Container) int { // by what never changes: a View is too large to be moved about
		return cmp.Or(b.rec.Created.Compare(a.rec.Created), strings.Compare(a.id, b.id))
	})
	views := make([]View, len(all))
	for i, c := range all {
		views[i] = c.View()
	}
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

// logInfo is what the log may tell about the container.
func (c *Container) logInfo() log.Info {
	c.mu.Lock()
	defer c.mu.Unlock()
	return policy.LogInfo(c.id, c.rec.Name, c.rec.ImageID, &c.rec.Config, &c.rec.Host, c.rec.Spec.Process.Args, c.rec.Created)
}

func (c *Container) state() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rec.State
}

func (c *Container) paused() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rec.Paused
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
