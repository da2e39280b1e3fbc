package network

import (
	"context"

	"github.com/brig-engine/brig/internal/daemon/damage"
	"github.com/brig-engine/brig/internal/daemon/record"
)

// Check holds the records against what this store knows.
func (s *Store) Check() (found []damage.Damage, checked int, err error) {
	right, all := map[string]func([]byte) bool{}, map[string]Network{}
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, n := range s.byID {
		if !n.Builtin {
			right[id], all[id] = record.Exactly(n), n
		}
	}
	broken, strangers, err := s.records.Check(right)
	if err != nil {
		return nil, 0, err
	}
	for id, what := range broken {
		found = append(found, damage.Damage{Kind: "network", Object: all[id].Name, What: what, Next: damage.Repairable,
			Mend: func(context.Context) error { return s.records.Write(id, all[id], true) }})
	}
	damaged, err := s.records.Damaged()
	for _, id := range damaged {
		found = append(found, damage.Damage{Kind: "network", Object: id[:min(12, len(id))],
			What: "its record cannot be read, so there is no such network any more; what is left of it is removed",
			Next: damage.Repairable, Mend: func(context.Context) error { return s.records.Remove(id, true) }})
	}
	for _, path := range strangers {
		found = append(found, damage.Stranger(path))
	}
	return found, len(all), err
}
