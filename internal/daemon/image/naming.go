package image

import (
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// An image and its names are several records, and a crash may come between any two. So the record of a new image says at
// first what names it is to get:
//
//	image, with Pending ──▶ name ──▶ name ──▶ image, without Pending
//
// A brigd that finds Pending gives the names; an error takes back what was given.

// commit makes the image durable and gives it names; from then on it can be found.
func (s *Store) commit(img *Image, source string, names ...string) error {
	s.change.Lock()
	defer s.change.Unlock()
	s.mu.Lock()
	known := s.byID[img.ID] != nil
	s.mu.Unlock()
	var pending []nameRecord
	for _, name := range names {
		pending = append(pending, nameRecord{Name: name, Image: img.ID, At: time.Now().UTC(), Source: source})
	}
	if known {
		return s.nameAll(pending)
	}
	rec := *img
	rec.Names, rec.Digests, rec.Tagged, rec.Pending = nil, nil, time.Time{}, pending
	if err := s.images.Write(hexOf(img.ID), rec, true); err != nil {
		return err
	}
	rec.Pending = nil
	s.mu.Lock()
	s.add(&rec)
	s.mu.Unlock()
	if err := s.nameAll(pending); err != nil {
		s.mu.Lock()
		s.drop(img.ID)
		s.mu.Unlock()
		if rerr := s.images.Remove(hexOf(img.ID), true); rerr != nil {
			slog.Error("an image without its names stays until the next start", "id", img.ID, "error", rerr)
		}
		return err
	}
	s.settled(&rec)
	return nil
}

// settled writes the record of an image that has all of its names. What a loss of power does to this is done again.
func (s *Store) settled(rec *Image) {
	if err := s.images.Write(hexOf(rec.ID), rec, false); err != nil {
		slog.Warn("an image is named once more at the next start", "id", rec.ID, "error", err)
	}
}

// nameAll gives all names, or leaves all as they were. The caller holds change.
func (s *Store) nameAll(names []nameRecord) error {
	var old []nameRecord
	for _, n := range names {
		s.mu.Lock()
		was := s.byName[n.Name]
		s.mu.Unlock()
		was.Name = n.Name
		if err := s.name(n); err != nil {
			for _, o := range slices.Backward(old) {
				if rerr := s.name(o); rerr != nil {
					slog.Error("a name could not be given back", "name", o.Name, "error", rerr)
				}
			}
			return fmt.Errorf("name %s: %w", n.Name, err)
		}
		old = append(old, was)
	}
	return nil
}

// name has a name mean an image, or none.
func (s *Store) name(n nameRecord) error {
	var err error
	if n.Image == "" {
		err = s.names.Remove(nameID(n.Name), true)
	} else {
		err = s.names.Write(nameID(n.Name), n, true)
	}
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.byName[n.Name].Image
	if n.Image == "" {
		delete(s.byName, n.Name)
	} else {
		s.byName[n.Name] = n
	}
	s.rename(old)
	s.rename(n.Image)
	return nil
}

// finishNaming gives the names that a crash has kept from images. Called when nobody else is there yet.
func (s *Store) finishNaming() {
	for id, img := range s.byID {
		if len(img.Pending) == 0 {
			continue
		}
		rec := *img
		rec.Names, rec.Digests, rec.Tagged, rec.Pending = nil, nil, time.Time{}, nil
		if err := s.nameAll(img.Pending); err != nil {
			slog.Error("an image stays without its names", "id", id, "error", err)
			continue
		}
		s.byID[id] = &rec
		s.rename(id)
		s.settled(&rec)
	}
}
