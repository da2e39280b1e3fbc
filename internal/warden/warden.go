package warden

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"log"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/clone"
	"github.com/brig-engine/brig/internal/kernel/memfile"
	"github.com/brig-engine/brig/internal/kernel/path"
	"github.com/brig-engine/brig/internal/kernel/pidfd"
	"github.com/brig-engine/brig/internal/warden/cgroup"
	"github.com/brig-engine/brig/internal/warden/code"
	"github.com/brig-engine/brig/internal/warden/disk"
	"github.com/brig-engine/brig/internal/warden/plan"
	"github.com/brig-engine/brig/internal/wire"
	"github.com/brig-engine/brig/internal/wire/client"
)

// Config is what the keeper tells its warden. The numbers are inherited descriptors.
type Config struct {
	Root, Run, Libexec string
	Listener           int // the API's listening socket, for brigd
	Keeper             int
	Ready              int // where brigd writes that it serves
	Deaths             int // of wardens, in the minute before
}

// Warden is the state of this process.
type Warden struct {
	cfg   Config
	began time.Time
	facts wire.HelloReply

	keep    *keep
	disk    *disk.Disk
	volumes volumes
	notes   notes
	parent  *cgroup.Parent
	router  *router
	filters filters
	images  images
	ranges  *ranges
	pool    chan *sandbox // that are ready, see fillPool
	host    plan.Host
	null    int // /dev/null
	proc    int // a procfs of the engine's own
	scratch string
	overlay sync.Mutex

	programs map[string]*os.File
	init     *os.File // process 1 of containers that want one
	workers  atomic.Uint64

	starts     chan struct{}
	stopping   atomic.Bool
	background sync.WaitGroup

	mu    sync.Mutex
	live  map[string]*container
	brigd int // pidfd; -1 between two
}

// Run is the life of the warden. It returns nil when it was told to stop and everything is down.
func Run(cfg Config) error {
	runtime.LockOSThread() // none that visits a container's network may be the first: it would outlive the visit
	if err := harden(); err != nil {
		return err
	}
	if err := clone.Prepare(); err != nil { // hardened as this process is, and as small as it ever was
		return err
	}
	w, err := open(cfg)
	if err != nil {
		fmt.Fprintln(os.NewFile(uintptr(cfg.Ready), "ready"), err) // whoever starts an engine hears why there will be none
		return err
	}
	go w.keep.watch()
	signal.Ignore(unix.SIGHUP, unix.SIGPIPE, unix.SIGINT)
	go w.stopAtSignal()
	go w.growDisk()
	if w.noRouter() == nil {
		go w.fillPool()
		go w.router.supervise()
	}
	err = w.superviseBrigd()
	if err != nil && !w.stopping.Load() && len(w.all()) > 0 {
		return err // the next warden adopts what runs
	}
	w.stopping.Store(true)
	return errors.Join(err, w.close())
}

// stopAtSignal has brigd stop the containers, and ends it if that takes too long.
func (w *Warden) stopAtSignal() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGTERM)
	<-signals
	w.stopping.Store(true)
	w.signalBrigd(unix.SIGTERM)
	time.Sleep(stopPatience)
	w.signalBrigd(unix.SIGKILL)
}

func (w *Warden) log(format string, args ...any) { log.Printf("brig-warden: "+format, args...) }

// open makes everything that the warden needs, and finds what an earlier one left.
func open(cfg Config) (w *Warden, err error) {
	w = &Warden{cfg: cfg, began: time.Now(), live: map[string]*container{}, brigd: -1,
		pool: make(chan *sandbox, 15), ranges: newRanges(), starts: make(chan struct{}, 2*runtime.NumCPU())}
	w.images.mounts = map[string]int{}
	var have map[string]int
	if w.keep, have, err = openKeep(cfg.Keeper); err != nil {
		return nil, err
	}
	if err := inOrder(w.openMachine, w.openDirectories, w.openPrograms, w.openFilters); err != nil {
		return nil, err
	}
	w.openRouter(have)
	return w, w.adopt(have)
}

// openDirectories opens those that who started the engine has made.
func (w *Warden) openDirectories() (err error) {
	if w.disk, err = disk.Open(w.cfg.Root, w.facts.Disk); err != nil {
		return fmt.Errorf("containers and volumes are in %s/disk.img, which does not serve: %w. Next: brig engine start", w.cfg.Root, err)
	}
	w.volumes = volumes{w.disk}
	w.notes.dir = filepath.Join(w.cfg.Run, "containers")
	if w.facts.OverlayByPath {
		w.scratch = filepath.Join(w.cfg.Run, "scratch")
	}
	return nil
}

func (w *Warden) openPrograms() (err error) {
	w.programs = map[string]*os.File{}
	for _, name := range []string{"brigd", "brig-worker", "brig-router", "brig-store"} {
		if w.programs[name], err = memfile.Program(filepath.Join(w.cfg.Libexec, name)); err != nil {
			return err
		}
	}
	b, err := code.Read("init")
	if err == nil {
		w.init, err = memfile.Seal("init", bytes.NewReader(b))
	}
	if err == nil { // a container could attach extended attributes for another one to read: its mode closes what seals leave open
		err = w.init.Chmod(0o555)
	}
	if err != nil {
		return err
	}
	w.null, err = unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	return cmp.Or(err, setLabel(path.Proc(int(w.init.Fd())), w.label(imageFiles, "s0")))
}

const deviceNodes = unix.LANDLOCK_ACCESS_FS_MAKE_CHAR | unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK

// close takes everything down after brigd has stopped the containers.
func (w *Warden) close() error {
	for _, c := range w.all() {
		w.background.Go(func() { w.end(c) }) // one whose process namespace others have joined ends after them
	}
	w.background.Wait()
	err := w.router.close()
	w.removeGroup("brigd")
	w.removeGroup("brig-store")
	for _, name := range []string{"containers", "fifo", "exits", "scratch", "daemon", "router.json", wire.MachineFile} {
		err = errors.Join(err, os.RemoveAll(filepath.Join(w.cfg.Run, name)))
	}
	return errors.Join(err, w.parent.Remove())
}

// end kills what brigd could not stop.
func (w *Warden) end(c *container) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.note
	if n == nil || n.Exit != nil {
		return
	}
	w.parent.Open(c.id).Kill()
	w.reap(n, &n.process)
	w.takeDown(n)
}

// reap waits for what was executed in a container whose processes were killed, and for last: process 1 of the pid namespace
// that they are in, their container's or one that it has joined, ends only when they are reaped.
func (w *Warden) reap(n *note, last ...*process) {
	if n == nil {
		return
	}
	for _, p := range append(slices.Collect(maps.Values(n.Execs)), last...) {
		if p.pidfd < 0 {
			continue
		}
		if done, _ := pidfd.Ended(p.pidfd, 5*time.Second); !done {
			w.log("process %d of container %s does not die", p.Started.PID, short(n.ID))
			continue
		}
		w.reaped(p)
	}
}

const (
	// servedPatience is for operations under way when a brigd ends; the longest is the check of an index.
	servedPatience = 6 * time.Minute
	// stopPatience is for a brigd that was told to stop all containers.
	stopPatience = 2 * time.Minute
)

// superviseBrigd keeps a brigd running until this process is told to stop.
func (w *Warden) superviseBrigd() error {
	for {
		ended, err := w.runBrigd()
		if err != nil {
			return err
		}
		time.Sleep(100 * time.Millisecond)
		if w.stopping.Load() {
			return nil
		}
		w.log("brigd ended (%v); starting another one", ended)
	}
}

// runStore starts a brig-store and takes it for the warden's own. It gives its end, and brigd's end of their connection.
func (w *Warden) runStore() (end func(), brigd int, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, -1, fmt.Errorf("socket pair: %w", err)
	}
	defer unix.Close(pair[1])
	var asks *wire.Conn
	serves, fd, err := connected("brig-store", func(workers int) (fd int, err error) {
		asks, fd, err = connected("brig-store", func(warden int) (int, error) { return w.startStore(warden, workers, pair[1]) })
		return fd, err
	})
	if err != nil {
		unix.Close(pair[0])
		return nil, -1, err
	}
	own := client.New(asks, "brig-store")
	go wire.Serve(serves, wire.StoreAsks, of(w.workerStart))
	w.images.mu.Lock()
	w.images.store = own
	w.images.mu.Unlock()
	return func() {
		own.Close()
		serves.Close()
		pidfd.Signal(fd, unix.SIGKILL)
		pidfd.Wait(fd, false)
		unix.Close(fd)
	}, pair[0], nil
}

// runBrigd starts one brigd, which ends with its brig-store, serves it, and returns how it ended.
func (w *Warden) runBrigd() (pidfd.Status, error) {
	endStore, store, err := w.runStore()
	if err != nil {
		return pidfd.Status{}, err
	}
	defer endStore()
	conn, fd, err := connected("brigd", func(theirs int) (int, error) { return w.startBrigd(theirs, store) })
	unix.Close(store)
	if err != nil {
		return pidfd.Status{}, err
	}
	defer conn.Close()
	defer unix.Close(fd)
	w.setBrigd(fd)
	if w.stopping.Load() { // it came too late for the signal that the others got
		w.signalBrigd(unix.SIGTERM)
	}
	w.orphanExecs()
	served, handlers := make(chan struct{}), w.table()
	go func() {
		defer close(served)
		wire.Serve(conn, wire.Known, func(r *wire.Request) (wire.Reply, error) { return handlers[r.Op](r) })
		// It has ended, or has sent what no brigd of this build sends: there is no talking on with it.
		conn.Close()
		if !w.stopping.Load() {
			pidfd.Signal(fd, unix.SIGKILL)
		}
	}()
	if err := await(fd); err != nil {
		return pidfd.Status{}, err
	}
	conn.Close()
	select {
	case <-served:
	case <-time.After(servedPatience):
		return pidfd.Status{}, errors.New("an operation of the brigd that ended does not end")
	}
	w.setBrigd(-1)
	if err := w.killWorkers(); err != nil {
		w.log("%v", err)
	}
	return pidfd.Wait(fd, false)
}

func (w *Warden) signalBrigd(s unix.Signal) {
	w.mu.Lock()
	defer w.mu.Unlock()
	pidfd.Signal(w.brigd, s) // fails between two
}

func (w *Warden) setBrigd(fd int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.brigd = fd
}
