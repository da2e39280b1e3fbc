package image

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/distribution/reference"
	api "github.com/moby/moby/api/types/image"
)

// Filter chooses images for a list. The zero value chooses all.
type Filter struct {
	References    []string // patterns for names; one must match
	Dangling      *bool    // true: without a tag; false: with a name of any kind
	Labels        []string // KEY or KEY=VALUE; all must match
	NotLabels     []string // none may match
	Before, Since []string // images, by any reference; all must match
	Until         time.Time
}

// all gives the images, newest first.
func (s *Store) all() []*Image {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]*Image, 0, len(s.byID))
	for _, img := range s.byID {
		list = append(list, img)
	}
	slices.SortFunc(list, func(a, b *Image) int {
		return cmp.Or(b.Created.Compare(a.Created), strings.Compare(a.ID, b.ID))
	})
	return list
}

// List describes the images that f chooses, newest first. shared also computes what they have in common.
func (s *Store) List(f Filter, shared bool) ([]*api.Summary, error) {
	match, err := s.matcher(f)
	if err != nil {
		return nil, err
	}
	all := s.all()
	users := layerUsers(all)
	out := []*api.Summary{}
	for _, img := range all {
		tags, digests, ok := f.names(img)
		if !ok || !match(img) {
			continue
		}
		sum := &api.Summary{ID: img.ID, Created: img.Created.Unix(), Labels: img.Config.Config.Labels, Size: img.Size,
			RepoTags: tags, RepoDigests: digests, Containers: s.holders(img.ID), SharedSize: -1}
		if shared {
			sum.SharedSize = 0
			for blob, size := range layerSizes(img) {
				if users[blob] > 1 {
					sum.SharedSize += size
				}
			}
		}
		out = append(out, sum)
	}
	return out, nil
}

// holders tells how many containers an image has.
func (s *Store) holders(id string) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int64(len(s.holds[id]))
}

// layerUsers counts the images of each layer.
func layerUsers(all []*Image) map[string]int {
	users := map[string]int{}
	for _, img := range all {
		for blob := range layerSizes(img) {
			users[blob]++
		}
	}
	return users
}

// Usage describes all images for a report of disk space. layers is the size of all layers, each counted once.
func (s *Store) Usage() (layers int64, list []*api.Summary, err error) {
	sizes := map[string]int64{}
	for _, img := range s.all() {
		maps.Copy(sizes, layerSizes(img))
	}
	for _, size := range sizes {
		layers += size
	}
	list, err = s.List(Filter{}, true)
	return layers, list, err
}

func layerSizes(img *Image) map[string]int64 {
	sizes := map[string]int64{}
	for _, l := range img.Layers {
		sizes[l.Blob] = l.Size
	}
	return sizes
}

// names gives the short names of an image that match the pattern, if there is one.
func (f Filter) names(img *Image) (tags, digests []string, ok bool) {
	tags, digests = f.matching(img.Names), f.matching(img.Digests)
	return tags, digests, len(f.References) == 0 || len(tags)+len(digests) > 0
}

func (f Filter) matching(names []string) []string {
	out := []string{}
	for _, full := range names {
		n, err := reference.ParseNormalizedNamed(full)
		if err != nil {
			continue
		}
		if len(f.References) == 0 || slices.ContainsFunc(f.References, func(p string) bool {
			ok, err := reference.FamiliarMatch(p, n)
			return err == nil && ok
		}) {
			out = append(out, reference.FamiliarString(n))
		}
	}
	return out
}

// matcher checks the filter's values once.
func (s *Store) matcher(f Filter) (func(*Image) bool, error) {
	for _, p := range f.References {
		if n, err := reference.ParseNormalizedNamed("a"); err == nil {
			if _, err := reference.FamiliarMatch(p, n); err != nil {
				return nil, refuse("invalid filter 'reference=%.128s'", p)
			}
		}
	}
	var before, since time.Time
	for _, ref := range f.Before {
		img, err := s.Lookup(ref)
		if err != nil {
			return nil, err
		}
		if before.IsZero() || img.Created.Before(before) {
			before = img.Created
		}
	}
	for _, ref := range f.Since {
		img, err := s.Lookup(ref)
		if err != nil {
			return nil, err
		}
		if img.Created.After(since) {
			since = img.Created
		}
	}
	return func(img *Image) bool {
		switch {
		case f.Dangling != nil && *f.Dangling && len(img.Names) > 0,
			f.Dangling != nil && !*f.Dangling && len(img.Names)+len(img.Digests) == 0,
			!before.IsZero() && !img.Created.Before(before),
			!since.IsZero() && !img.Created.After(since),
			!f.Until.IsZero() && !img.Created.Before(f.Until):
			return false
		}
		return f.MatchLabels(img)
	}, nil
}

// MatchLabels tells whether the labels of an image are as the filter wants them.
func (f Filter) MatchLabels(img *Image) bool {
	has := func(q string) bool {
		k, v, withValue := strings.Cut(q, "=")
		got, there := img.Config.Config.Labels[k]
		return there && (!withValue || got == v)
	}
	for _, q := range f.Labels {
		if !has(q) {
			return false
		}
	}
	return !slices.ContainsFunc(f.NotLabels, has)
}
