package image

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/moby/moby/api/types/events"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/brig-engine/brig/internal/daemon/registry"
)

// parallelPushes is how many blobs one push uploads at once.
const parallelPushes = 3

// Pushed tells what was pushed under a tag.
type Pushed struct {
	Tag    string
	Digest string
	Size   int
}

// Push sends images to a registry exactly as they were received, so that their digests stay. repo is a repository; tag
// "" means all tags of it that are here. tell must not block.
func (s *Store) Push(ctx context.Context, repo reference.Named, tag string, auth registry.Auth, tell func(Event),
	done func(Pushed)) error {
	names, err := s.namesToPush(repo, tag)
	if err != nil {
		return err
	}
	c := registry.New(repo, auth, s.cfg.Registry)
	defer c.Close()
	tell(Event{Status: fmt.Sprintf("The push refers to repository [%s]", repo.Name())})
	o := s.begin() // what is being pushed stays
	defer o.end()
	for _, name := range names {
		img, err := s.Lookup(name)
		if errdefs.IsNotFound(err) {
			return notHere(repo)
		}
		if err != nil {
			return err
		}
		if o.existing(img.ID) == nil {
			return notHere(repo)
		}
		tag := strings.TrimPrefix(name, repo.Name()+":")
		if err := s.push(ctx, c, img, tag, tell); err != nil {
			return fmt.Errorf("%s: %w", familiar(name), err)
		}
		if err := s.commit(img, "", repo.Name()+"@"+img.Manifest); err != nil {
			return err
		}
		tell(Event{Status: fmt.Sprintf("%s: digest: %s size: %d", tag, img.Manifest, img.ManifestSize)})
		done(Pushed{tag, img.Manifest, int(img.ManifestSize)})
		s.publish(events.ActionPush, familiar(name), reference.FamiliarName(repo), img)
	}
	return nil
}

func (s *Store) namesToPush(repo reference.Named, tag string) ([]string, error) {
	if tag != "" {
		n, err := reference.WithTag(repo, tag)
		if err != nil {
			return nil, refuse("invalid tag %.128q", tag)
		}
		return []string{n.String()}, nil
	}
	names := s.tagsOf(repo.Name())
	if len(names) == 0 {
		return nil, notHere(repo)
	}
	return names, nil
}

func notHere(repo reference.Named) error {
	return fmt.Errorf("An image does not exist locally with the tag: %s: %w", //nolint:staticcheck // clients read it
		reference.FamiliarName(repo), errdefs.ErrNotFound)
}

// tagsOf gives the full references with a tag in one repository.
func (s *Store) tagsOf(repo string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for name := range s.byName {
		if strings.HasPrefix(name, repo+":") && !isDigest(name) {
			names = append(names, name)
		}
	}
	return reference.Sort(names)
}

// push sends blobs first, the manifest last.
func (s *Store) push(ctx context.Context, c *registry.Client, img *Image, tag string, tell func(Event)) error {
	body, err := s.read(ctx, img.Manifest, registry.MaxManifest)
	if err != nil {
		return err
	}
	m, err := registry.ParseManifest(img.ManifestType, body)
	if err != nil {
		return err
	}
	// Docker does not show the config. It goes first, alone: nothing is told of layers before the registry has answered.
	if err := s.pushBlob(ctx, c, m.Config, func(Event) {}); err != nil {
		return err
	}
	seen := map[digest.Digest]bool{m.Config.Digest: true}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallelPushes)
	for _, d := range m.Layers {
		if seen[d.Digest] {
			continue
		}
		seen[d.Digest] = true
		tell(Event{ID: short(d.Digest.String()), Status: "Preparing"})
		g.Go(func() error { return s.pushBlob(gctx, c, d, tell) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return c.PutManifest(ctx, tag, m)
}

func (s *Store) pushBlob(ctx context.Context, c *registry.Client, d ocispec.Descriptor, tell func(Event)) error {
	id := short(d.Digest.String())
	has, err := c.HasBlob(ctx, d)
	if err != nil {
		return err
	}
	if has {
		tell(Event{ID: id, Status: "Layer already exists"})
		return nil
	}
	f, err := s.open(ctx, d.Digest.String())
	if err != nil {
		return err
	}
	defer f.Close()
	progress := func(n int64) { tell(Event{ID: id, Status: "Pushing", Current: n, Total: d.Size}) }
	if err := c.PushBlob(ctx, d, io.ReaderAt(f), progress); err != nil {
		return err
	}
	tell(Event{ID: id, Status: "Pushed"})
	return nil
}
