package image

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/moby/moby/api/types/events"
	api "github.com/moby/moby/api/types/image"
)

// Tag gives an image one more name, which must have a tag.
func (s *Store) Tag(ref string, name reference.Named) error {
	img, err := s.Lookup(ref)
	if err != nil {
		return err
	}
	if isDigest(name.String()) {
		return refuse("refusing to create a tag with a digest reference")
	}
	o := s.begin()
	defer o.end()
	if o.existing(img.ID) == nil {
		return fmt.Errorf("No such image: %.256s: %w", ref, errdefs.ErrNotFound) //nolint:staticcheck // clients read it
	}
	if err := s.commit(img, "", name.String()); err != nil {
		return err
	}
	s.publish(events.ActionTag, img.ID, familiar(name.String()), img)
	return nil
}

// Remove takes a name away, and the image with its last name; or the image with all of its names, if ref is an id. An
// image that a container uses stays, whatever force says: without force that is an error, with force only its names go.
func (s *Store) Remove(ctx context.Context, ref string, force bool) ([]api.DeleteResponse, error) {
	img, name, err := s.find(ref)
	if err != nil {
		return nil, err
	}
	s.change.Lock()
	names, whole, err := s.plan(img.ID, name, force)
	if err != nil {
		s.change.Unlock()
		return nil, err
	}
	gone, err := s.forget(img, names, whole)
	s.change.Unlock()
	if err != nil || !whole {
		return gone, err
	}
	_, err = s.collect(ctx, keyList(img))
	return gone, err
}

// plan says which names go, and whether the image does. The caller holds change.
func (s *Store) plan(id, name string, force bool) (names []string, whole bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	img := s.byID[id]
	if img == nil {
		return nil, false, fmt.Errorf("No such image: %.80s: %w", id,
			errdefs.ErrNotFound) //nolint:staticcheck // clients read it
	}
	user := s.user(id)
	all := append(slices.Clone(img.Names), img.Digests...)
	if name == "" {
		switch {
		case !force && (len(repositories(all)) > 1 || len(img.Names) > 1):
			return nil, false, conflict("unable to delete %s (must be forced) - image is referenced in multiple repositories",
				short(id))
		case user != "":
			return nil, false, conflict("unable to delete %s (cannot be forced) - image is being used by container %s",
				short(id), user)
		}
		return all, true, nil
	}
	names = []string{name}
	if repo := repository(name); !slices.ContainsFunc(img.Names, func(n string) bool {
		return n != name &&
			repository(n) == repo
	}) {
		for _, d := range img.Digests { // with the last tag of a repository its digests go too
			if d != name && repository(d) == repo && !isDigest(name) {
				names = append(names, d)
			}
		}
	}
	whole = len(names) == len(all)
	if whole && user != "" {
		if !force {
			return nil, false, conflict("unable to remove repository reference %q (must force) - "+
				"container %s is using its referenced image %s",
				familiar(name), user, short(id))
		}
		whole = false
	}
	return names, whole, nil
}

// user names one container that uses an image. The caller holds mu.
func (s *Store) user(id string) string {
	first := ""
	for c := range s.holds[id] {
		if first == "" || c < first {
			first = c
		}
	}
	return first[:min(len(first), 12)]
}

func repository(name string) string {
	if repo, _, ok := strings.Cut(name, "@"); ok {
		return repo
	}
	return name[:strings.LastIndexByte(name, ':')]
}

func repositories(names []string) map[string]bool {
	set := map[string]bool{}
	for _, n := range names {
		set[repository(n)] = true
	}
	return set
}

// forget removes records: the image's first, so that a crash leaves names that lead nowhere and are dropped, never an
// image that is not whole. The caller holds change.
func (s *Store) forget(img *Image, names []string, whole bool) ([]api.DeleteResponse, error) {
	var gone []api.DeleteResponse
	if whole {
		s.mu.Lock()
		if s.user(img.ID) != "" { // a container came in between
			s.mu.Unlock()
			return nil, conflict("unable to delete %s - image is being used by a container", short(img.ID))
		}
		known := s.byID[img.ID]
		s.drop(img.ID)
		s.mu.Unlock()
		if err := s.images.Remove(hexOf(img.ID), true); err != nil {
			s.mu.Lock()
			s.add(known)
			s.mu.Unlock()
			return nil, err
		}
	}
	for _, n := range names {
		if err := s.name(nameRecord{Name: n}); err != nil {
			if !whole {
				return gone, err
			}
			slog.Warn("the name of an image that is gone stays until the next start", "name", n, "error", err)
			s.mu.Lock()
			delete(s.byName, n)
			s.mu.Unlock()
		}
		gone = append(gone, api.DeleteResponse{Untagged: familiar(n)})
		s.publish(events.ActionUnTag, img.ID, img.ID, img)
	}
	if whole {
		gone = append(gone, api.DeleteResponse{Deleted: img.ID})
		s.publish(events.ActionDelete, img.ID, img.ID, nil) // as in Docker, which has forgotten the labels
	}
	return gone, nil
}

// drop makes an image unknown. Its objects stay until they are collected. The caller holds mu.
func (s *Store) drop(id string) {
	img := s.byID[id]
	if img == nil {
		return
	}
	delete(s.byID, id)
	for k := range img.keys() {
		if s.refs[k]--; s.refs[k] <= 0 {
			delete(s.refs, k)
		}
	}
}

func keyList(img *Image) []key {
	var keys []key
	for k := range img.keys() {
		keys = append(keys, k)
	}
	return keys
}

// Prune removes images that no container uses: those without a tag, or with all set every one. keep may spare some.
func (s *Store) Prune(ctx context.Context, all bool, keep func(*Image) bool) (api.PruneReport, error) {
	report := api.PruneReport{ImagesDeleted: []api.DeleteResponse{}}
	for _, img := range s.all() {
		if len(img.Names) > 0 && !all || keep(img) {
			continue
		}
		gone, freed, err := s.pruneOne(ctx, img)
		if err != nil {
			return report, err
		}
		report.ImagesDeleted = append(report.ImagesDeleted, gone...)
		report.SpaceReclaimed += uint64(freed)
	}
	if s.cfg.Bus != nil {
		s.cfg.Bus.Publish(events.ImageEventType, events.ActionPrune, "",
			map[string]string{"reclaimed": fmt.Sprint(report.SpaceReclaimed)})
	}
	return report, nil
}

// pruneOne removes one image if it still is what was looked at and nobody uses it.
func (s *Store) pruneOne(ctx context.Context, img *Image) ([]api.DeleteResponse, int64, error) {
	s.change.Lock()
	s.mu.Lock()
	now, user := s.byID[img.ID], s.user(img.ID)
	s.mu.Unlock()
	if now == nil || user != "" || len(now.Names) != len(img.Names) {
		s.change.Unlock()
		return nil, 0, nil
	}
	gone, err := s.forget(now, append(slices.Clone(now.Names), now.Digests...), true)
	s.change.Unlock()
	if errdefs.IsConflict(err) {
		return nil, 0, nil
	}
	if err != nil {
		return gone, 0, err
	}
	freed, err := s.collect(ctx, keyList(now))
	return gone, freed, err
}

func conflict(format string, args ...any) error {
	return fmt.Errorf("conflict: "+format+": %w", append(args, errdefs.ErrConflict)...)
}
