package warden

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/pidfd"
	"github.com/brig-engine/brig/internal/wire"
)

// container is what the warden holds for one container. mu serialises start, exec, finish and remove of it.
type container struct {
	id string

	mu       sync.Mutex
	note     *note // nil: not started since the machine was
	cleaning sync.WaitGroup
	copiers  sync.Map // control groups of the workers that see what it sees
}

// locked gives the entry of an id, locked, making it if there is none. An entry that was removed while somebody waited
// for its lock is not the container's any more, so it is looked up again. The order of locks is c.mu, w.mu.
func (w *Warden) locked(id string) *container {
	for {
		w.mu.Lock()
		c := w.live[id]
		if c == nil {
			c = &container{id: id}
			w.live[id] = c
		}
		w.mu.Unlock()
		c.mu.Lock()
		if w.current(c) {
			return c
		}
		c.mu.Unlock()
	}
}

// current tells whether an entry is the one that its id stands for.
func (w *Warden) current(c *container) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.live[c.id] == c
}

// all lists the entries at this moment.
func (w *Warden) all() []*container {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Collect(maps.Values(w.live))
}

// known locks and returns a container that has a note.
func (w *Warden) known(id string) (*container, error) {
	w.mu.Lock()
	c := w.live[id]
	w.mu.Unlock()
	if c != nil {
		c.mu.Lock()
		if c.note != nil && w.current(c) {
			return c, nil
		}
		c.mu.Unlock()
	}
	return nil, fmt.Errorf("container %s was not started: %w", short(id), errdefs.ErrNotFound)
}

// running is known for a container whose process 1 was not reaped.
func (w *Warden) running(id string) (*container, error) {
	c, err := w.known(id)
	if err != nil {
		return nil, err
	}
	if c.note.Exit != nil {
		c.mu.Unlock()
		return nil, fmt.Errorf("container %s is not running: %w", short(id), errdefs.ErrConflict)
	}
	return c, nil
}

func short(id string) string { return id[:min(len(id), 12)] }

// directory is the container's own: upper and work of its root. It lies in one of 256 others, which ext4 spreads over
// the disk if it is told to (package launch).
func (w *Warden) directory(id string) string {
	return filepath.Join(w.disk.Base, "containers", id[:2], id)
}

// onDisk names the containers that have a directory.
func (w *Warden) onDisk() (ids []string, err error) {
	err = filepath.WalkDir(filepath.Join(w.disk.Base, "containers"), func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !containerID(d.Name()) {
			return err
		}
		ids = append(ids, d.Name())
		return fs.SkipDir
	})
	return ids, err
}

// rangeOf reads from the owner of its work directory which ids a container has: the file system is the record. The
// error is os.ErrNotExist for a container that was never started.
func (w *Warden) rangeOf(id string) (uint32, error) {
	var st unix.Stat_t
	err := unix.Lstat(filepath.Join(w.directory(id), "work"), &st)
	if err == nil && !sandboxBase(st.Uid) { // a crash between the making of the directory and its change of owner: it is empty
		err = unix.ENOENT
	}
	if err != nil {
		return 0, &os.PathError{Op: "find the ids of", Path: "container " + short(id), Err: err}
	}
	return st.Uid, nil
}

func (w *Warden) containerSignal(c *container, q wire.ContainerSignal) (wire.Reply, error) {
	if q.Signal == int(unix.SIGKILL) {
		return wire.Reply{}, w.parent.Open(q.ID).Kill()
	}
	if q.Signal < 1 || q.Signal > 64 {
		return wire.Reply{}, fmt.Errorf("there is no signal %d: %w", q.Signal, errdefs.ErrInvalidArgument)
	}
	return wire.Reply{}, pidfd.Signal(c.note.pidfd, unix.Signal(q.Signal))
}

func (w *Warden) containerList() (any, error) {
	ids, err := w.onDisk()
	if err != nil {
		return nil, err
	}
	running := wire.ContainerList{}
	for _, id := range ids {
		running[id] = false
	}
	for _, c := range w.all() {
		if c, err := w.known(c.id); err == nil {
			if _, there := running[c.id]; there || c.note.Exit == nil {
				running[c.id] = true
			}
			c.mu.Unlock()
		}
	}
	return running, nil
}

// streamDir is where the named pipes of a container, or of a process executed in it, are.
func (w *Warden) streamDir(key string) string {
	id, exec, executed := strings.Cut(key, ".")
	if executed {
		exec = "exec-" + exec
	}
	return filepath.Join(w.cfg.Run, "fifo", id, exec)
}

// key names what belongs to a container at the keeper.
func key(id, what string) string { return id + "." + what }

func portName(i int) string { return "port." + strconv.Itoa(i) }
