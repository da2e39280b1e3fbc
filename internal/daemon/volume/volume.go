// Package volume keeps the records of named and anonymous volumes. Their bytes belong to the warden.
//
// Zone: brigd.
// Input: names, labels and options that a caller chose; records that an earlier brigd wrote.
// Output: volumes that the warden made, one record each.
// Spec: /volumes of the Docker Engine API, with the driver "local".
// Answers: A3 (a name is a name, never a path: it is checked here and again by the warden).
package volume

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/events"

	"github.com/brig-engine/brig/internal/daemon/event"
	"github.com/brig-engine/brig/internal/daemon/record"
	"github.com/brig-engine/brig/internal/wire"
)

// Warden is the part of client.Client that this package needs.
type Warden interface {
	Call(ctx context.Context, op wire.Op, request, reply any, fds ...int) ([]int, error)
}

// Volume is one record.
type Volume struct {
	Name      string            `json:"name"`
	Labels    map[string]string `json:"labels,omitempty"`
	Options   map[string]string `json:"options,omitempty"` // see ParseOptions
	Anonymous bool              `json:"anonymous,omitempty"`
	Created   time.Time         `json:"created"`
}

// Disk says how much a volume may hold, in bytes.
type Disk struct {
	Volume    int64  // that says nothing itself
	Total     int64  // of the engine's disk; 0: unknown
	Unbounded string // why nothing is bounded; "" where it is
}

// Store holds all volumes. A volume that a container holds cannot be removed.
type Store struct {
	Disk Disk // set before the first volume is made

	warden  Warden
	records *record.Store
	bus     *event.Bus

	mu   sync.Mutex
	all  map[string]*entry
	busy map[string]chan struct{} // being made or removed
}

type entry struct {
	Volume
	holders map[string]struct{} // ids of containers
}

// Open reads the records and compares them with what the warden has: a volume without a record gets one (its bytes must
// not be lost), a record without a volume is dropped.
func Open(ctx context.Context, dir string, w Warden, bus *event.Bus) (*Store, error) {
	rec, err := record.Open(dir)
	if err != nil {
		return nil, err
	}
	s := &Store{warden: w, records: rec, bus: bus, all: map[string]*entry{}, busy: map[string]chan struct{}{}}
	var have wire.VolumeList
	if _, err := w.Call(ctx, wire.OpVolumeList, nil, &have); err != nil {
		return nil, fmt.Errorf("list volumes: %w", err)
	}
	there := map[string]bool{}
	for _, n := range have {
		there[n] = true
	}
	err = rec.Load(func(id string, b []byte) error {
		var v Volume
		if err := json.Unmarshal(b, &v); err != nil || v.Name != id || !there[id] {
			return rec.Remove(id, false)
		}
		delete(there, id)
		s.all[id] = &entry{Volume: v, holders: map[string]struct{}{}}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for n := range there {
		v := Volume{Name: n, Created: time.Now().UTC()}
		if err := rec.Write(n, v, false); err != nil { // it gets one at the next start; a full disk must not prevent this one
			slog.Error("a volume has no record", "name", n, "error", err)
		}
		s.all[n] = &entry{Volume: v, holders: map[string]struct{}{}}
	}
	return s, nil
}

// CheckName allows [a-zA-Z0-9][a-zA-Z0-9_.-]{1,254}.
func CheckName(n string) error {
	ok := len(n) >= 2 && len(n) <= 255
	for i := 0; i < len(n) && ok; i++ {
		c := n[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		ok = letter || i > 0 && (c == '_' || c == '.' || c == '-')
	}
	if !ok {
		return fmt.Errorf("a volume's name has 2 to 255 letters, digits, _ . - and begins with a letter or digit: %w",
			errdefs.ErrInvalidArgument)
	}
	return nil
}

// Ensure makes v unless it is there, and lets holder hold it ("" for nobody). It returns the volume as it is, and whether
// it was made.
func (s *Store) Ensure(ctx context.Context, v Volume, holder string) (_ Volume, made bool, err error) {
	if err := CheckName(v.Name); err != nil {
		return Volume{}, false, err
	}
	_, size, err := ParseOptions(v.Options)
	if err != nil {
		return Volume{}, false, err
	}
	release, err := s.claim(ctx, v.Name)
	if err != nil {
		return Volume{}, false, err
	}
	defer release()
	s.mu.Lock()
	e := s.all[v.Name]
	if e != nil {
		s.hold(e, holder)
		s.mu.Unlock()
		return e.Volume, false, nil
	}
	s.mu.Unlock()
	v.Created = time.Now().UTC().Truncate(time.Second)
	if size, err = s.bound(size); err != nil {
		return Volume{}, false, err
	}
	if err := s.create(context.WithoutCancel(ctx), v, size); err != nil {
		return Volume{}, false, err
	}
	s.mu.Lock()
	e = &entry{Volume: v, holders: map[string]struct{}{}}
	s.hold(e, holder)
	s.all[v.Name] = e
	s.mu.Unlock()
	s.bus.Publish(events.VolumeEventType, events.ActionCreate, v.Name, map[string]string{"driver": "local"})
	return v, true, nil
}

// bound decides about the size of a new volume.
func (s *Store) bound(asked int64) (int64, error) {
	switch d := s.Disk; {
	case asked == 0 && d.Unbounded != "":
		return 0, nil
	case asked == 0:
		return d.Volume, nil
	case d.Unbounded != "":
		return 0, invalid("size=%d: disk space cannot be bounded here: %s", asked, d.Unbounded)
	case d.Total > 0 && asked > d.Total:
		return 0, invalid("size=%d: the disk of the engine has %d bytes in all", asked, d.Total)
	}
	return asked, nil
}

// create makes a volume and its record, or neither.
func (s *Store) create(ctx context.Context, v Volume, size int64) error {
	ref := wire.VolumeRef{Name: v.Name, Size: size}
	_, err := s.warden.Call(ctx, wire.OpVolumeCreate, ref, nil)
	if err != nil {
		err = fmt.Errorf("make volume %s: %w", v.Name, err)
	} else {
		err = s.records.Write(v.Name, v, !v.Anonymous)
	}
	if err != nil {
		if _, rerr := s.warden.Call(ctx, wire.OpVolumeRemove, ref, nil); rerr != nil {
			slog.Error("a volume that could not be made is left", "name", v.Name, "error", rerr)
		}
	}
	return err
}

func (s *Store) hold(e *entry, holder string) {
	if holder != "" {
		e.holders[holder] = struct{}{}
	}
}

// claim keeps two calls from making or removing the same volume at once.
func (s *Store) claim(ctx context.Context, name string) (release func(), err error) {
	for {
		s.mu.Lock()
		wait, taken := s.busy[name]
		if !taken {
			done := make(chan struct{})
			s.busy[name] = done
			s.mu.Unlock()
			return func() {
				s.mu.Lock()
				delete(s.busy, name)
				s.mu.Unlock()
				close(done)
			}, nil
		}
		s.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Release lets holder go of name.
func (s *Store) Release(name, holder string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.all[name]; e != nil {
		delete(e.holders, holder)
	}
}

// Remove deletes a volume that nobody holds. The bytes go first: a crash leaves a record, which Open drops.
func (s *Store) Remove(ctx context.Context, name string) error {
	release, err := s.claim(ctx, name)
	if err != nil {
		return err
	}
	defer release()
	s.mu.Lock()
	e := s.all[name]
	switch {
	case e == nil:
		s.mu.Unlock()
		return fmt.Errorf("get %s: no such volume: %w", name, errdefs.ErrNotFound)
	case len(e.holders) > 0:
		ids := slices.Sorted(maps.Keys(e.holders))
		s.mu.Unlock()
		return fmt.Errorf("remove %s: volume is in use - %v: %w", name, ids, errdefs.ErrConflict)
	}
	delete(s.all, name)
	s.mu.Unlock()
	if _, err := s.warden.Call(context.WithoutCancel(ctx), wire.OpVolumeRemove, wire.VolumeRef{Name: name},
		nil); err != nil {
		s.mu.Lock()
		s.all[name] = e
		s.mu.Unlock()
		return fmt.Errorf("remove volume %s: %w", name, err)
	}
	if err := s.records.Remove(name, true); err != nil {
		return err
	}
	s.bus.Publish(events.VolumeEventType, events.ActionDestroy, name, map[string]string{"driver": "local"})
	return nil
}

// Get finds a volume by its name.
func (s *Store) Get(name string) (Volume, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.all[name]
	if e == nil {
		return Volume{}, fmt.Errorf("get %s: no such volume: %w", name, errdefs.ErrNotFound)
	}
	return e.Volume, nil
}

// List gives all volumes by name, with the number of containers that hold each.
func (s *Store) List() (all []Volume, holders []int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range slices.Sorted(maps.Keys(s.all)) {
		all = append(all, s.all[n].Volume)
		holders = append(holders, len(s.all[n].holders))
	}
	return all, holders
}
