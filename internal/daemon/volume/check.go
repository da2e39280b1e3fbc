package volume

import (
	"context"
	"fmt"
	"time"

	"github.com/brig-engine/brig/internal/daemon/damage"
	"github.com/brig-engine/brig/internal/daemon/record"
	"github.com/brig-engine/brig/internal/wire"
)

// Check holds the records and what the warden has against what this store knows.
func (s *Store) Check(ctx context.Context) (found []damage.Damage, checked int, err error) {
	var have wire.VolumeList
	if _, err := s.warden.Call(ctx, wire.OpVolumeList, nil, &have); err != nil {
		return nil, 0, fmt.Errorf("list volumes: %w", err)
	}
	there := map[string]bool{}
	for _, n := range have {
		there[n] = true
	}
	s.mu.Lock()
	all, busy := map[string]Volume{}, map[string]bool{}
	for n, e := range s.all {
		all[n] = e.Volume
	}
	for n := range s.busy {
		busy[n] = true
	}
	s.mu.Unlock()
	right := map[string]func([]byte) bool{}
	add := func(name, what string, mend func(context.Context) error) {
		if !busy[name] {
			found = append(found, damage.Damage{Kind: "volume", Object: name, What: what, Next: damage.Repairable, Mend: mend})
		}
	}
	for n, v := range all {
		right[n] = record.Exactly(v)
		if !there[n] {
			add(n, "its directory is gone, and with it its data; a new one is empty", func(ctx context.Context) error {
				_, err := s.warden.Call(ctx, wire.OpVolumeCreate, wire.VolumeRef{Name: n}, nil)
				return err
			})
		}
	}
	for n := range there {
		if _, known := all[n]; !known {
			add(n, "there is a directory that no record belongs to; it gets one", func(context.Context) error { return s.take(n) })
		}
	}
	broken, strangers, err := s.records.Check(right)
	for n, what := range broken {
		add(n, what, func(context.Context) error { return s.records.Write(n, all[n], true) })
	}
	for _, path := range strangers {
		found = append(found, damage.Stranger(path))
	}
	return found, len(all), err
}

// take gives a volume without a record one: its bytes must not be lost.
func (s *Store) take(name string) error {
	v := Volume{Name: name, Created: time.Now().UTC()}
	if err := s.records.Write(name, v, true); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all[name] == nil {
		s.all[name] = &entry{Volume: v, holders: map[string]struct{}{}}
	}
	return nil
}
