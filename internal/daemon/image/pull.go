package image

import (
	"context"
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/moby/moby/api/types/events"

	"github.com/brig-engine/brig/internal/daemon/registry"
)

// PullOptions say what to pull, and as whom.
type PullOptions struct {
	Name     reference.Named // of ParseName
	Platform string          // os/arch[/variant]; "" is this machine's
	Auth     registry.Auth
}

// Pull takes an image in from a registry. The manifest's verdict comes before any layer is fetched; the name is set
// last. tell must not block.
func (s *Store) Pull(ctx context.Context, p PullOptions, tell func(Event)) error {
	platform, err := registry.ParsePlatform(p.Platform)
	if err != nil {
		return err
	}
	c := registry.New(p.Name, p.Auth, s.cfg.Registry)
	defer c.Close()
	ref := refOf(p.Name)
	r, err := c.Resolve(ctx, ref, platform)
	if errdefs.IsNotFound(err) {
		return err // it names the image
	}
	if err != nil {
		return fmt.Errorf("%s: %w", reference.FamiliarString(p.Name), err)
	}
	config, err := ParseConfig(r.Config)
	if err != nil {
		return fmt.Errorf("%s: %w", reference.FamiliarString(p.Name), err)
	}
	if p.Platform != "" && !platform.Matches(config.OS, config.Architecture, config.Variant) {
		return refuse("image with reference %s was found but does not match the specified platform: "+
			"wanted %s, actual: %.32s/%.32s",
			reference.FamiliarString(p.Name), platform, config.OS, config.Architecture)
	}
	tell(Event{ID: ref, Status: "Pulling from " + reference.Path(p.Name)})
	o := s.begin()
	defer o.end()
	in := parts{manifest: r.Manifest, config: r.Config}
	for _, d := range r.Manifest.Layers {
		tell(Event{ID: short(d.Digest.String()), Status: "Pulling fs layer"})
		in.layers = append(in.layers, source{d.Digest.String(), d.Size, func(ctx context.Context, b *blank,
			done func(int64)) error {
			return c.Fetch(ctx, d, b, done)
		}})
	}
	img, err := o.ingest(ctx, in, tell)
	if err != nil {
		return fmt.Errorf("%s: %w", reference.FamiliarString(p.Name), err)
	}
	return s.named(img, p.Name, r.Digest, tell)
}

// named gives a pulled image its name and its digest's, and says whether that is news.
func (s *Store) named(img *Image, name reference.Named, digest string, tell func(Event)) error {
	byDigest := reference.TrimNamed(name).String() + "@" + digest
	names := []string{byDigest}
	if full := name.String(); full != byDigest {
		names = append(names, full)
	}
	s.mu.Lock()
	news := false
	for _, n := range names {
		news = news || s.byName[n].Image != img.ID
	}
	s.mu.Unlock()
	if err := s.commit(img, "", names...); err != nil {
		return err
	}
	short := reference.FamiliarString(name)
	tell(Event{Status: "Digest: " + digest})
	if news {
		tell(Event{Status: "Status: Downloaded newer image for " + short})
	} else {
		tell(Event{Status: "Status: Image is up to date for " + short})
	}
	s.publish(events.ActionPull, short, reference.FamiliarName(name), img)
	return nil
}
