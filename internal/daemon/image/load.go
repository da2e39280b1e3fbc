package image

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/distribution/reference"
	"github.com/moby/moby/api/types/events"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/daemon/registry"
	"github.com/brig-engine/brig/internal/wire/jobs"
)

// Load takes the images of an archive in. brigd never looks into the archive: it goes through a pipe into a worker.
// size is that of the archive in bytes, or 0. It returns a sentence for each image. tell must not block.
func (s *Store) Load(ctx context.Context, archive io.Reader, size int64, tell func(Event)) ([]string, error) {
	return s.load(ctx, archive, size, "", tell)
}

// load notes source with the names that it gives.
func (s *Store) load(ctx context.Context, archive io.Reader, size int64, source string, tell func(Event)) ([]string,
	error) {
	o := s.begin()
	defer o.end()
	tell = asLoading(tell)
	found, err := o.unpackArchive(ctx, archive, size, tell)
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, l := range found.Images {
		img, err := o.loaded(ctx, l, found.Blobs, tell)
		if err != nil {
			return lines, err
		}
		names, skipped := loadedNames(l)
		if err := s.commit(img, source, names...); err != nil {
			return lines, err
		}
		for _, n := range names {
			lines = append(lines, "Loaded image: "+familiar(n))
		}
		if len(names) == 0 {
			lines = append(lines, "Loaded image ID: "+img.ID)
		}
		for _, n := range skipped {
			lines = append(lines, fmt.Sprintf("The archive also has a name that cannot be used: %.128q", n))
		}
		s.publish(events.ActionLoad, img.ID, img.ID, img)
	}
	return lines, nil
}

// maxArchiveBlobs bounds the descriptors that one archive can make us hold.
const maxArchiveBlobs = 1024

// unpackArchive has a worker take the blobs out of an archive, and seals each.
func (o *operation) unpackArchive(ctx context.Context, archive io.Reader, size int64,
	tell func(Event)) (*jobs.LoadResult, error) {
	pr, pw, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("pipe: %w", err)
	}
	defer pr.Close()
	feed := make(chan error, 1)
	go func() {
		_, err := io.Copy(pw, archive)
		feed <- err
		pw.Close()
	}()
	var blobs []*blank
	defer func() {
		for _, b := range blobs {
			b.Close()
		}
	}()
	host := jobs.Host{
		Progress: func(p jobs.Progress) {
			tell(Event{Status: "Reading the archive", Current: p.Done, Total: p.Total})
		},
		File: func(f jobs.File) (int, error) {
			if f.Name != fmt.Sprintf("blob/%d", len(blobs)) {
				return -1, refuse("an archive has no file %.64q", f.Name)
			}
			if len(blobs) == maxArchiveBlobs {
				return -1, refuse("the archive has more than %d blobs", maxArchiveBlobs)
			}
			b, err := o.s.create(ctx)
			if err != nil {
				return -1, err
			}
			blobs = append(blobs, b)
			return b.fd, nil
		},
	}
	job := &jobs.Job{Kind: jobs.Load, Load: &jobs.LoadParams{Size: size}}
	r, err := o.s.run(ctx, job, host, int(pr.Fd()))
	pr.Close() // the copy ends now at the latest
	if err != nil {
		if ferr := broken(feed); ferr != nil {
			err = fmt.Errorf("the archive could not be read to its end: %w", ferr)
		}
		return nil, err
	}
	if len(r.Load.Blobs) != len(blobs) {
		return nil, refuse("the worker tells of %d blobs, and took %d files", len(r.Load.Blobs), len(blobs))
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(cap(o.s.jobs))
	for n, b := range blobs {
		g.Go(func() error {
			want := r.Load.Blobs[n].Digest
			if err := registry.CheckDigest(want); err != nil {
				return err
			}
			obj, err := o.seal(ctx, b, want)
			if err == nil && obj.Size != r.Load.Blobs[n].Size {
				err = refuse("it has %d bytes, not %d", obj.Size, r.Load.Blobs[n].Size)
			}
			if err != nil {
				return fmt.Errorf("blob %s: %w", want, err)
			}
			return nil
		})
	}
	return r.Load, g.Wait()
}

// asLoading gives the progress of layers the words that fit an archive.
func asLoading(tell func(Event)) func(Event) {
	return func(e Event) {
		if e.ID != "" {
			if e.Status != "Extracting" {
				return
			}
			e.Status = "Loading layer"
		}
		tell(e)
	}
}

// broken gives the error of a client that went away in the middle of its archive, if that is what has happened. An
// archive that the worker did not want to the end is no such error.
func broken(feed <-chan error) error {
	select {
	case err := <-feed:
		if !errors.Is(err, unix.EPIPE) {
			return err
		}
	default:
	}
	return nil
}

// loaded makes an image of what the worker has found; its claims are checked against the sealed blobs.
func (o *operation) loaded(ctx context.Context, l jobs.LoadedImage, blobs []jobs.LoadedBlob,
	tell func(Event)) (*Image, error) {
	sizes := map[string]int64{}
	for _, b := range blobs {
		sizes[b.Digest] = b.Size
	}
	for _, d := range append([]string{l.Config}, l.Layers...) {
		if _, there := sizes[d]; !there {
			return nil, refuse("the worker names the blob %.80q, which it did not hand over", d)
		}
	}
	var in parts
	var err error
	if in.config, err = o.s.read(ctx, l.Config, registry.MaxConfig); err != nil {
		return nil, err
	}
	if in.manifest, err = o.loadedManifest(ctx, l, sizes); err != nil {
		return nil, err
	}
	for _, d := range l.Layers {
		in.layers = append(in.layers, source{digest: d, size: sizes[d]})
	}
	return o.ingest(ctx, in, tell)
}

// loadedManifest gives the archive's own manifest, which must say what the worker says; nil if there is none.
func (o *operation) loadedManifest(ctx context.Context, l jobs.LoadedImage,
	sizes map[string]int64) (*registry.Manifest, error) {
	if l.Manifest == "" {
		return nil, nil
	}
	if _, there := sizes[l.Manifest]; !there {
		return nil, refuse("the worker names the manifest %.80q, which it did not hand over", l.Manifest)
	}
	body, err := o.s.read(ctx, l.Manifest, registry.MaxManifest)
	if err != nil {
		return nil, err
	}
	var own struct{ MediaType string } // tools may leave it out, and have it only in the index
	if err := json.Unmarshal(body, &own); err != nil {
		return nil, refuse("manifest %s is no valid JSON: %v", l.Manifest, err)
	}
	m, err := registry.ParseManifest(cmp.Or(own.MediaType, ocispec.MediaTypeImageManifest), body)
	if err != nil {
		return nil, fmt.Errorf("manifest %s: %w", l.Manifest, err)
	}
	var layers []string
	for _, d := range m.Layers {
		layers = append(layers, d.Digest.String())
		if d.Size != sizes[d.Digest.String()] {
			return nil, refuse("manifest %s: the layer %s has %d bytes, not %d", l.Manifest, d.Digest,
				sizes[d.Digest.String()], d.Size)
		}
	}
	if m.Config.Digest.String() != l.Config || !slices.Equal(layers, l.Layers) {
		return nil, refuse("manifest %s does not name the blobs that the worker has found for it", l.Manifest)
	}
	return m, nil
}

// loadedNames gives the full references that an archive may set. A bare word is no name: it is the tag that OCI
// archives note without a repository.
func loadedNames(l jobs.LoadedImage) (names, skipped []string) {
	for _, s := range l.Names {
		n, err := reference.ParseNormalizedNamed(s)
		if err != nil || len(s) > maxReference || reference.IsNameOnly(n) {
			skipped = append(skipped, s)
			continue
		}
		if full, err := ParseName(s); err != nil || isDigest(full.String()) {
			skipped = append(skipped, s) // a digest is the registry's word, not the archive's
		} else if !slices.Contains(names, full.String()) {
			names = append(names, full.String())
		}
	}
	return names, skipped
}
