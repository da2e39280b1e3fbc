// Package state keeps what brig-oci has to know of a container between two of its commands: a directory for each container
// below the directory of all, with a record and, until the container is started, the FIFO that it waits at.
//
// Zone: brig-oci (root). Input: records that brig-oci wrote, in a directory that is root's alone; ids from an engine, which
// are names of files. Output: the same, and the state that the kernel shows.
// Spec: OCI runtime-spec 1.3, runtime.md. Answers: A3 (a pid that means another process by now).
package state

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/oci/cgroup"
	"github.com/brig-engine/brig/internal/seccomp/seccompspec"
)

// Record is what is written down of a container.
type Record struct {
	Version     string                `json:"ociVersion"`
	ID          string                `json:"id"`
	PID         int                   `json:"pid"`
	Began       uint64                `json:"began"` // in ticks since the machine started: with PID it means one process
	Creating    bool                  `json:"creating,omitempty"`
	Bundle      string                `json:"bundle"`
	Root        string                `json:"root"`
	Created     time.Time             `json:"created"`
	Annotations map[string]string     `json:"annotations,omitempty"`
	Groups      *cgroup.Group         `json:"groups"`
	OwnPIDs     bool                  `json:"ownPIDs"` // a pid namespace of its own: all ends with its first process
	NoPivot     bool                  `json:"noPivot,omitempty"`
	NoKeyring   bool                  `json:"noKeyring,omitempty"`
	Process     *specs.Process        `json:"process"` // what exec takes for granted
	Hooks       *specs.Hooks          `json:"hooks,omitempty"`
	Filters     []seccompspec.Program `json:"filters,omitempty"`
}

// Paused is beside the states of the specification.
const Paused = specs.ContainerState("paused")

// Dir is a container's directory. Close lets others have it.
type Dir struct {
	Record
	path string
	lock *os.File
}

// checkID accepts what is one name of a file, and nothing that means another.
func checkID(id string) error {
	if len(id) == 0 || len(id) > 255 || id == "." || id == ".." ||
		strings.Trim(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-.") != "" {
		return fmt.Errorf("container id %q: letters, digits and _+-. are what it may have", id)
	}
	return nil
}

// Create makes the directory of a new container.
func Create(root, id string) (*Dir, error) {
	if err := checkID(id); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, err
	}
	d := &Dir{path: filepath.Join(root, id)}
	d.ID = id
	err := os.Mkdir(d.path, 0o711)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("container with given ID already exists: %s", id)
	}
	if err != nil {
		return nil, err
	}
	return d, d.take()
}

// Open finds a container and waits until nobody else works on it.
func Open(root, id string) (*Dir, error) {
	if err := checkID(id); err != nil {
		return nil, err
	}
	d := &Dir{path: filepath.Join(root, id)}
	if err := d.take(); errors.Is(err, fs.ErrNotExist) {
		return nil, missing(id)
	} else if err != nil {
		return nil, err
	}
	if err := d.read(); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

// Look reads the record of a container that somebody may be working on.
func Look(root, id string) (*Dir, error) {
	if err := checkID(id); err != nil {
		return nil, err
	}
	d := &Dir{path: filepath.Join(root, id)}
	return d, d.read()
}

func missing(id string) error {
	return fmt.Errorf("container does not exist: %s: %w", id, fs.ErrNotExist)
}

func (d *Dir) take() (err error) {
	if d.lock, err = os.Open(d.path); err != nil {
		return err
	}
	for err = unix.EINTR; err == unix.EINTR; {
		err = unix.Flock(int(d.lock.Fd()), unix.LOCK_EX)
	}
	return err
}

// Close lets others have the container.
func (d *Dir) Close() {
	if d.lock != nil {
		d.lock.Close()
		d.lock = nil
	}
}

func (d *Dir) read() error {
	b, err := os.ReadFile(filepath.Join(d.path, "state.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return missing(filepath.Base(d.path))
	}
	if err != nil {
		return err
	}
	d.Record, err = Decode(b)
	return err
}

// Decode reads a record.
func Decode(b []byte) (r Record, err error) {
	if err = json.Unmarshal(b, &r); err == nil && (r.Groups == nil || len(r.Groups.Dirs) == 0 || r.Process == nil || checkID(r.ID) != nil) {
		err = errors.New("it is incomplete")
	}
	if err != nil {
		return r, fmt.Errorf("read the state of a container: %w", err)
	}
	return r, nil
}

// Write writes the record down. A state that is lost with the machine is of a container that is lost with it: no sync.
func (d *Dir) Write() error {
	b, err := json.Marshal(d.Record)
	if err != nil {
		return err
	}
	return Replace(filepath.Join(d.path, "state.json"), b, 0o600)
}

// Replace writes a file at once or not at all.
func Replace(name string, content []byte, mode os.FileMode) error {
	next := filepath.Join(filepath.Dir(name), "."+filepath.Base(name)+".new")
	if err := os.WriteFile(next, content, mode); err != nil {
		return err
	}
	return os.Rename(next, name)
}

// Remove forgets the container.
func (d *Dir) Remove() error {
	err := os.RemoveAll(d.path)
	d.Close()
	return err
}

func (d *Dir) fifo() string { return filepath.Join(d.path, "start") }

// MakeFIFO makes the FIFO of start and opens it for both directions: a reader and a writer exist as long as somebody has
// this descriptor (T18).
func (d *Dir) MakeFIFO() (int, error) {
	if err := unix.Mkfifo(d.fifo(), 0o600); err != nil {
		return -1, fmt.Errorf("make the FIFO of start: %w", err)
	}
	fd, err := unix.Open(d.fifo(), unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open the FIFO of start: %w", err)
	}
	return fd, nil
}

// Start lets the container go on, and waits until its program has been executed, or it has ended.
func (d *Dir) Start() error {
	fd, err := unix.Open(d.fifo(), unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("the container does not wait to be started: %w", err)
	}
	defer unix.Close(fd)
	if _, err := unix.Write(fd, []byte{0}); err != nil {
		return fmt.Errorf("start: %w", err)
	}
	if err := unix.Unlink(d.fifo()); err != nil {
		return err
	}
	// The container's end is closed by execve.
	set := []unix.PollFd{{Fd: int32(fd)}}
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); {
		if n, err := unix.Poll(set, 100); n > 0 || err != nil && err != unix.EINTR {
			return nil
		}
	}
	return nil
}

// Began reads when a process has begun, and whether it is one that lives.
func Began(pid int) (ticks uint64, lives bool) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	_, rest, ok := strings.Cut(string(b[bytes.LastIndexByte(b, ')')+1:]), " ")
	f := strings.Fields(rest)
	if err != nil || !ok || len(f) < 20 {
		return 0, false
	}
	ticks, err = strconv.ParseUint(f[19], 10, 64)
	return ticks, err == nil && f[0] != "Z" && f[0] != "X"
}

// Status asks the kernel.
func (d *Dir) Status() specs.ContainerState {
	began, lives := Began(d.PID)
	if !lives || began != d.Began {
		if d.Creating && d.PID == 0 {
			return specs.StateCreating
		}
		return specs.StateStopped
	}
	if d.Creating {
		return specs.StateCreating
	}
	if _, err := os.Lstat(d.fifo()); err == nil {
		return specs.StateCreated
	}
	if d.Groups.Frozen() {
		return Paused
	}
	return specs.StateRunning
}

// Open1 opens the container's first process, if it is still the one that is written down.
func (d *Dir) Open1() (pidfd int, err error) {
	fd, err := unix.PidfdOpen(d.PID, 0)
	if err == nil {
		if began, lives := Began(d.PID); lives && began == d.Began {
			return fd, nil
		}
		unix.Close(fd)
	}
	return -1, errors.New("container not running")
}

// OCI is what hooks are told.
func (d *Dir) OCI(status specs.ContainerState) *specs.State {
	s := &specs.State{Version: specs.Version, ID: d.ID, Status: status, Pid: d.PID, Bundle: d.Bundle, Annotations: d.Annotations}
	if status == specs.StateStopped {
		s.Pid = 0
	}
	return s
}

// List names the containers.
func List(root string) (ids []string, err error) {
	entries, err := os.ReadDir(root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for _, e := range entries {
		if e.IsDir() {
			ids = append(ids, e.Name())
		}
	}
	return ids, err
}
