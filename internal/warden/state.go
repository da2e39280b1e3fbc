package warden

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/wire"
)

// process is the record of a process that the warden started. What has a name in JSON is in the note, too; the rest a
// later warden finds by itself.
type process struct {
	Started wire.Started `json:"started"`
	Exit    *wire.Exit   `json:"exit,omitempty"`

	key    string // begins the names of its streams
	pidfd  int    // -1 when it was reaped
	pty    int    // terminal's master; -1 without
	orphan bool   // nobody asks for it any more; it is reaped when it ends
}

// note is the record of one container that runs, or that ended and was not started again, in RUN/containers/ID.json:
// enough for a later warden to find it again. It lives on a volatile file system: after a restart of the machine there
// is none, and no process either. An idle container costs a pidfd, its terminal if it has one, and a socket per
// published port.
type note struct {
	process
	ID string `json:"id"`
	// Ceiling is the confinement of process 1, without arguments and environment: no execution gets more.
	Ceiling wire.Process        `json:"ceiling"`
	Execs   map[string]*process `json:"execs"`
	Caller  *caller             `json:"caller,omitempty"`  // who started it
	Runtime []string            `json:"runtime,omitempty"` // how to call the one that made it; Brig if there is none
	ports   []int               // sockets that reserve published ports
	held    []int               // its mount namespace
}

// hold has the mounts of a container stay for a moment longer than process 1: the end of that, which somebody waits for,
// would otherwise wait twice for every processor.
func (n *note) hold() {
	if fd, err := unix.Open(fmt.Sprintf("/proc/%d/ns/mnt", n.Started.PID), unix.O_RDONLY|unix.O_CLOEXEC, 0); err == nil {
		n.held = []int{fd}
	}
}

// notes is the directory of them.
type notes struct{ dir string }

func (d notes) path(id string) string { return filepath.Join(d.dir, id+".json") }

func (d notes) write(n *note) error { return wire.WriteJSON(d.path(n.ID), n) }

func readJSON(path string, v any) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return wire.DecodeStrict(b, v)
}

// remove is no error where there is none.
func (d notes) remove(id string) error { return os.RemoveAll(d.path(id)) }

// all reads every note. One that cannot be read is an error: its container must not be forgotten silently.
func (d notes) all() ([]*note, error) {
	entries, err := os.ReadDir(d.dir)
	if err != nil {
		return nil, err
	}
	var list []*note
	for _, e := range entries {
		id, ok := strings.CutSuffix(e.Name(), ".json")
		if !ok || !containerID(id) {
			os.Remove(filepath.Join(d.dir, e.Name())) // left by a crash in write
			continue
		}
		var n note
		if err := readJSON(d.path(id), &n); err != nil || n.ID != id {
			return nil, fmt.Errorf("note of %s: %w", id, errors.Join(err, errors.New("cannot be read")))
		}
		list = append(list, &n)
	}
	return list, nil
}

// keep is this process's side of the keeper's service: descriptors that a successor will need.
type keep struct{ conn *wire.Conn }

// openKeep takes over the connection to the keeper and reads what it kept for us.
func openKeep(fd int) (*keep, map[string]int, error) {
	conn, err := wire.FileConn(fd, "keeper")
	if err != nil {
		return nil, nil, err
	}
	have := map[string]int{}
	for {
		f, fds, err := conn.Receive()
		if err != nil {
			return nil, nil, fmt.Errorf("read what the keeper holds: %w", err)
		}
		switch {
		case f.Op == wire.KeepEnd:
			return &keep{conn}, have, nil
		case f.Op == wire.KeepHave && len(fds) == len(f.Keys):
			for i, key := range f.Keys {
				have[key] = fds[i]
			}
		default:
			wire.CloseAll(fds)
			return nil, nil, fmt.Errorf("the keeper sent %q with %d keys and %d descriptors", f.Op, len(f.Keys), len(fds))
		}
	}
}

// hold gives the keeper copies of fds. The message is in its socket when this returns, and survives us.
func (k *keep) hold(keys []string, fds ...int) error {
	return k.conn.Send(&wire.Frame{Op: wire.KeepHold, Keys: keys}, fds)
}

func (k *keep) drop(keys ...string) error {
	if len(keys) == 0 {
		return nil
	}
	return k.conn.Send(&wire.Frame{Op: wire.KeepDrop, Keys: keys}, nil)
}

// watch ends this process when the keeper is gone: without it nobody would start us again.
func (k *keep) watch() {
	for {
		_, fds, err := k.conn.Receive()
		wire.CloseAll(fds)
		if err != nil {
			fmt.Fprintln(os.Stderr, "brig-warden: the keeper is gone")
			unix.Kill(unix.Getpid(), unix.SIGKILL)
		}
	}
}
