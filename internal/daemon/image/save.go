package image

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/moby/moby/api/types/events"

	"github.com/brig-engine/brig/internal/daemon/registry"
	"github.com/brig-engine/brig/internal/daemon/work"
	"github.com/brig-engine/brig/internal/wire/jobs"
)

// Saving is an archive that is about to be written. Its images cannot go away before Close.
type Saving struct {
	s      *Store
	o      *operation
	images []jobs.SaveImage
	ids    []string
	blobs  map[string]bool // what the worker may ask for
}

// PrepareSave finds the images. refs are names, or ids; a repository without a tag stands for all of its tags.
func (s *Store) PrepareSave(ctx context.Context, refs []string) (*Saving, error) {
	if len(refs) == 0 {
		return nil, refuse("no image is named")
	}
	v := &Saving{s: s, o: s.begin(), blobs: map[string]bool{}}
	for _, ref := range refs {
		if err := v.add(ctx, ref); err != nil {
			v.Close()
			return nil, err
		}
	}
	return v, nil
}

func (v *Saving) add(ctx context.Context, ref string) error {
	if n, err := reference.ParseNormalizedNamed(ref); err == nil && reference.IsNameOnly(n) {
		tags := v.s.tagsOf(n.Name())
		for _, name := range tags {
			if err := v.addOne(ctx, name); err != nil {
				return err
			}
		}
		if len(tags) > 0 {
			return nil
		}
	}
	return v.addOne(ctx, ref)
}

func (v *Saving) addOne(ctx context.Context, ref string) error {
	img, name, err := v.s.find(ref)
	if err != nil {
		return err
	}
	if v.o.existing(img.ID) == nil {
		return fmt.Errorf("No such image: %.256s: %w", ref, errdefs.ErrNotFound) //nolint:staticcheck // clients read it
	}
	var names []string // none: null in the archive, as Docker writes it
	if name != "" && !isDigest(name) {
		names = []string{name}
	}
	if at := slices.Index(v.ids, img.ID); at >= 0 {
		v.images[at].Names = append(v.images[at].Names, names...)
		return nil
	}
	body, err := v.s.read(ctx, img.Manifest, registry.MaxManifest)
	if err != nil {
		return err
	}
	out := jobs.SaveImage{Names: names, Config: img.ID, ConfigSize: img.ConfigSize, OS: img.Config.OS,
		Architecture: img.Config.Architecture, Variant: img.Config.Variant, Manifest: body, ManifestType: img.ManifestType}
	v.blobs["config/"+img.ID] = true
	for _, l := range img.Layers {
		out.Layers = append(out.Layers, jobs.SaveLayer{Blob: l.Blob, BlobSize: l.BlobSize, DiffID: l.DiffID, Size: l.Size,
			DataSize: l.DataSize})
		v.blobs["blob/"+l.Blob] = true
	}
	v.images, v.ids = append(v.images, out), append(v.ids, img.ID)
	return nil
}

// Write has a worker write the archive to w.
func (v *Saving) Write(ctx context.Context, w io.Writer) error {
	err := work.Outward(ctx, w, 0, func(ctx context.Context, fd int) error {
		h := &handout{s: v.s, ctx: ctx}
		defer h.close()
		file := func(f jobs.File) (int, error) {
			if !v.blobs[f.Name] {
				return -1, refuse("the archive has no file %.100q", f.Name)
			}
			_, digest, _ := strings.Cut(f.Name, "/")
			return h.open(digest)
		}
		job := &jobs.Job{Kind: jobs.Save, Save: &jobs.SaveParams{Images: v.images}}
		_, err := v.s.run(ctx, job, jobs.Host{File: file}, fd)
		return err
	})
	if err != nil {
		return err
	}
	for _, id := range v.ids {
		v.s.publish(events.ActionSave, id, id, v.o.existing(id))
	}
	return nil
}

// Close lets the images go.
func (v *Saving) Close() { v.o.end() }
