package image

import (
	"context"
	"errors"
	"fmt"

	"github.com/containerd/errdefs"
)

// Hold keeps an image while a container is there.
func (s *Store) Hold(id, container string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byID[id] == nil {
		return fmt.Errorf("No such image: %.80s: %w", id, errdefs.ErrNotFound) //nolint:staticcheck // clients read it
	}
	if s.holds[id] == nil {
		s.holds[id] = map[string]struct{}{}
	}
	s.holds[id][container] = struct{}{}
	return nil
}

// Release is the opposite of Hold.
func (s *Store) Release(id, container string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if delete(s.holds[id], container); len(s.holds[id]) == 0 {
		delete(s.holds, id)
	}
}

// Count tells how many images there are.
func (s *Store) Count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.byID)
}

// Sweep removes objects that no image needs: what a crash has left behind. It may run while images are taken in.
func (s *Store) Sweep(ctx context.Context) error {
	s.mu.Lock()
	all := make([]key, 0, len(s.objects))
	for k := range s.objects {
		all = append(all, k)
	}
	s.mu.Unlock()
	_, err := s.collect(ctx, all)
	return err
}

// collect removes those of keys that neither an image nor an operation needs, and tells the bytes that were freed.
func (s *Store) collect(ctx context.Context, keys []key) (freed int64, err error) {
	s.gate.Lock()
	defer s.gate.Unlock()
	s.mu.Lock()
	var indexes, objects []key
	sizes := map[key]int64{}
	for _, k := range keys {
		size, there := s.objects[k]
		if !there || s.refs[k] > 0 || s.pins[k] > 0 {
			continue
		}
		delete(s.objects, k)
		sizes[k] = size
		if k.index {
			indexes = append(indexes, k)
		} else {
			objects = append(objects, k)
		}
	}
	for blob := range s.made {
		if _, there := s.objects[key{blob, false}]; !there {
			delete(s.made, blob)
		}
	}
	s.mu.Unlock()
	for _, k := range append(indexes, objects...) { // an object stays while an index needs it
		if e := s.remove(ctx, k); e != nil {
			err = errors.Join(err, fmt.Errorf("remove %s: %w", k.digest, e))
			s.mu.Lock()
			s.objects[k] = sizes[k]
			s.mu.Unlock()
			continue
		}
		freed += sizes[k]
	}
	return freed, err
}
