// Package record keeps the engine's state on disk: one directory per object with one JSON record.
//
// Zone: brigd.
// Input: values of the packages of internal/daemon; at start, files that an earlier brigd wrote (its directory is
// 0700).
// Output: DIR/ID/record.json, replaced as a whole: temporary file, fsync, rename, fsync of the directory.
// Spec: rename(2), fsync(2).
// Answers: traps 39 (the caller says which write has to be durable; all others cost no fsync).
package record

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"

	"github.com/containerd/errdefs"
	"golang.org/x/sync/errgroup"
)

const (
	fileName    = "record.json"
	tmpName     = "record.tmp"
	damagedName = "record.damaged"
)

// ErrDamaged is what a reader says of a record that makes no sense. Load sets it aside: what it is the record of is not
// forgotten before a person has said so (brig system check --repair).
var ErrDamaged = errors.New("the record is damaged")

// Store is one directory of records. Calls for different objects may run at once; the owner of an object serializes its
// own.
type Store struct {
	dir string

	mu    sync.Mutex
	aside []string // by Load, which is the only one that does
}

// Open makes the directory when it is missing.
func Open(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("records: %w", err)
	}
	return &Store{dir: dir}, nil
}

// Write replaces the record of id. With durable set it survives a loss of power once Write has returned.
func (s *Store) Write(id string, v any, durable bool) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("record of %s: %w", id, err)
	}
	dir := filepath.Join(s.dir, id)
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return failed(id, err)
	}
	tmp := filepath.Join(dir, tmpName)
	err = writeFile(tmp, b, durable)
	if err == nil {
		err = os.Rename(tmp, filepath.Join(dir, fileName))
	}
	if err != nil {
		os.Remove(tmp)
		os.Remove(dir) // stays where an older record is in it
		return failed(id, err)
	}
	if !durable {
		return nil
	}
	// The object's directory may be new: its own name has to reach the disk too.
	return errors.Join(syncDir(dir), syncDir(s.dir))
}

// failed says why there is no record. A full disk is said in words that help: it is the reason that people meet.
func failed(id string, err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("no space left in the engine's directory. Next: brig ps -a, brig rm, brig rmi: %w",
			errdefs.ErrResourceExhausted)
	}
	return fmt.Errorf("record of %s: %w", id, err)
}

// Remove forgets id, or fails and has forgotten nothing. What is left of its directory is removed by the next Load. With
// durable set it stays forgotten after a loss of power.
func (s *Store) Remove(id string, durable bool) error {
	dir := filepath.Join(s.dir, id)
	err := os.Remove(filepath.Join(dir, fileName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget %s: %w", id, err)
	}
	err = os.RemoveAll(dir)
	if durable && err == nil {
		err = syncDir(s.dir)
	}
	if err != nil { // it is forgotten all the same; only a loss of power could bring it back
		slog.Warn("a record was removed, its directory may stay until the next start", "id", id, "error", err)
	}
	return nil
}

// Load gives every record to each. Temporary files and directories without a record are what a crash left behind, and
// removed. An error of each ends the walk.
func (s *Store) Load(each func(id string, b []byte) error) error { return s.load(1, each) }

// LoadConcurrently is Load for an each that several goroutines may call at once.
func (s *Store) LoadConcurrently(each func(id string, b []byte) error) error {
	return s.load(runtime.GOMAXPROCS(0), each)
}

func (s *Store) load(readers int, each func(id string, b []byte) error) error {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return fmt.Errorf("records: %w", err)
	}
	s.aside = nil
	group, ctx := errgroup.WithContext(context.Background())
	group.SetLimit(readers)
	for _, e := range entries {
		group.Go(func() error {
			if ctx.Err() != nil { // another one has ended the walk
				return nil
			}
			return s.loadOne(e.Name(), each)
		})
	}
	return group.Wait()
}

func (s *Store) loadOne(id string, each func(id string, b []byte) error) error {
	dir := filepath.Join(s.dir, id)
	b, err := os.ReadFile(filepath.Join(dir, fileName))
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Lstat(filepath.Join(dir, damagedName)); err == nil {
			s.setAside(id)
			return nil
		}
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("sweep %s: %w", dir, err)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("record of %s: %w", id, err)
	}
	if err := os.Remove(filepath.Join(dir, tmpName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("record of %s: %w", id, err)
	}
	err = each(id, b)
	if errors.Is(err, ErrDamaged) {
		slog.Error("a record cannot be read and is set aside. Next: brig system check", "id", id, "error", err)
		s.setAside(id)
		err = os.Rename(filepath.Join(dir, fileName), filepath.Join(dir, damagedName))
	}
	return err
}

func (s *Store) setAside(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.aside = append(s.aside, id)
}

// Damaged lists what was set aside and is still there.
func (s *Store) Damaged() (ids []string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range s.aside {
		_, missing := os.Lstat(filepath.Join(s.dir, id, damagedName))
		if missing == nil {
			ids = append(ids, id)
		} else if !errors.Is(missing, fs.ErrNotExist) {
			err = errors.Join(err, missing)
		}
	}
	return ids, err
}

func writeFile(path string, b []byte, durable bool) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil && durable {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Check holds what is on disk against what there is: for each id, whether a record is the right one. It tells which records
// are not, and which directories or files belong to nobody.
func (s *Store) Check(right map[string]func([]byte) bool) (broken map[string]string, strangers []string, err error) {
	broken = map[string]string{}
	for id, fits := range right {
		switch b, err := os.ReadFile(filepath.Join(s.dir, id, fileName)); {
		case errors.Is(err, fs.ErrNotExist):
			broken[id] = "its record is missing"
		case err != nil:
			broken[id] = "its record cannot be read: " + err.Error()
		case !fits(b):
			broken[id] = "its record is damaged"
		}
	}
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, nil, fmt.Errorf("records: %w", err)
	}
	for _, e := range entries {
		_, err := os.Lstat(filepath.Join(s.dir, e.Name(), damagedName))
		if right[e.Name()] == nil && err != nil {
			strangers = append(strangers, s.Path(e.Name()))
		}
	}
	return broken, strangers, nil
}

// Exactly fits the record of v, as Write writes it.
func Exactly(v any) func([]byte) bool {
	want, err := json.Marshal(v)
	return func(b []byte) bool { return err == nil && string(b) == string(want) }
}

// Path is where the directory of id is.
func (s *Store) Path(id string) string { return filepath.Join(s.dir, id) }
