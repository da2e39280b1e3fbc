package image

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/brig-engine/brig/internal/daemon/registry"
	"github.com/brig-engine/brig/internal/wire/jobs"
)

// parts is what becomes an image.
type parts struct {
	manifest *registry.Manifest // nil where the archive has none: one is made
	config   []byte
	layers   []source // lowest first
}

// ParseConfig decodes an image config, which is a stranger's, and holds it against what can run here.
func ParseConfig(b []byte) (*dockerspec.DockerOCIImage, error) {
	if len(b) > registry.MaxConfig {
		return nil, refuse("the image config has more than %d bytes", registry.MaxConfig)
	}
	var c dockerspec.DockerOCIImage
	if err := json.Unmarshal(b, &c); err != nil {
		return nil, refuse("the image config is no valid JSON: %v", err)
	}
	switch {
	case c.OS != "linux":
		return nil, refuse("the image is for %.32q; only images for linux can run here", c.OS)
	case c.Architecture == "":
		return nil, refuse("the image config names no architecture")
	case c.RootFS.Type != "layers":
		return nil, refuse("the image config has a root file system of the type %.32q, not layers", c.RootFS.Type)
	case c.Created != nil && (c.Created.UTC().Year() < 0 || c.Created.UTC().Year() > 9999):
		return nil, refuse("the image config has a date that cannot be written down")
	case len(c.RootFS.DiffIDs) > registry.MaxLayers:
		return nil, refuse("the image has %d layers, over the limit of %d", len(c.RootFS.DiffIDs), registry.MaxLayers)
	case len(c.RootFS.DiffIDs) == 0:
		return nil, refuse("the image has no layers, so there is nothing in it to run")
	}
	for _, d := range c.RootFS.DiffIDs {
		if err := registry.CheckDigest(d.String()); err != nil {
			return nil, fmt.Errorf("the image config: diff_ids: %w", err)
		}
	}
	return &c, nil
}

func refuse(text string, args ...any) error {
	return fmt.Errorf("%w: %w", fmt.Errorf(text, args...), errdefs.ErrInvalidArgument)
}

// ingest makes an image of its parts and pins all of it. Nobody finds it before it is committed.
func (o *operation) ingest(ctx context.Context, in parts, tell func(Event)) (*Image, error) {
	config, err := ParseConfig(in.config)
	if err != nil {
		return nil, err
	}
	if n := len(config.RootFS.DiffIDs); n != len(in.layers) {
		return nil, refuse("the image config describes %d layers, the manifest %d", n, len(in.layers))
	}
	img := &Image{ID: digest.FromBytes(in.config).String(), ConfigSize: int64(len(in.config)), Config: *config,
		Format: format}
	if old := o.existing(img.ID); old != nil {
		for _, src := range in.layers {
			tell(Event{ID: src.id(), Status: "Already exists"})
		}
		return old, nil
	}
	if config.Created != nil {
		img.Created = config.Created.UTC()
	}
	if img.Layers, err = o.layers(ctx, in, config, tell); err != nil {
		return nil, err
	}
	for _, l := range img.Layers {
		img.Size += l.Size
	}
	if in.manifest == nil {
		if in.manifest, err = img.makeManifest(); err != nil {
			return nil, err
		}
	}
	for n := range img.Layers {
		img.Layers[n].MediaType = in.manifest.Layers[n].MediaType
	}
	m := in.manifest
	img.Manifest, img.ManifestType, img.ManifestSize = m.Digest, m.MediaType, int64(len(m.Body))
	if err := o.sealBytes(ctx, m.Body, m.Digest); err != nil {
		return nil, fmt.Errorf("manifest %s: %w", m.Digest, err)
	}
	if err := o.sealBytes(ctx, in.config, img.ID); err != nil {
		return nil, fmt.Errorf("config %s: %w", img.ID, err)
	}
	return img, o.merge(ctx, img)
}

// existing pins and gives an image that is here already: its config's digest names every layer.
func (o *operation) existing(id string) *Image {
	o.s.mu.Lock()
	defer o.s.mu.Unlock()
	img := o.s.byID[id]
	if img != nil {
		for k := range img.keys() {
			o.pin(k)
		}
	}
	return img
}

// layers makes all layers, in parallel, and holds each against the config.
func (o *operation) layers(ctx context.Context, in parts, config *dockerspec.DockerOCIImage,
	tell func(Event)) ([]Layer, error) {
	out := make([]Layer, len(in.layers))
	g, ctx := errgroup.WithContext(ctx)
	for n, src := range in.layers {
		g.Go(func() error {
			l, err := o.layer(ctx, src, tell)
			if err != nil {
				return err
			}
			if want := config.RootFS.DiffIDs[n].String(); l.DiffID != want {
				return fmt.Errorf("layer %s: uncompressed it has the digest %s, the image config says %s: %w",
					src.digest, l.DiffID, want, errdefs.ErrDataLoss)
			}
			if l.BlobSize != src.size {
				return fmt.Errorf("layer %s has %d bytes, the manifest says %d: %w", src.digest, l.BlobSize, src.size,
					errdefs.ErrDataLoss)
			}
			out[n] = l
			return nil
		})
	}
	return out, g.Wait()
}

// makeManifest describes an image that came without a manifest. The same blobs always give the same bytes.
func (img *Image) makeManifest() (*registry.Manifest, error) {
	m := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageManifest,
		Config: ocispec.Descriptor{MediaType: ocispec.MediaTypeImageConfig, Digest: digest.Digest(img.ID),
			Size: img.ConfigSize},
		Layers: []ocispec.Descriptor{},
	}
	for _, l := range img.Layers {
		t, err := registry.LayerType(l.Compression)
		if err != nil {
			return nil, err
		}
		m.Layers = append(m.Layers, ocispec.Descriptor{MediaType: t, Digest: digest.Digest(l.Blob), Size: l.BlobSize})
	}
	b, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("make a manifest: %w", err)
	}
	return registry.ParseManifest(m.MediaType, b)
}

// merge has one worker make the image's index, and the warden have another one check it.
func (o *operation) merge(ctx context.Context, img *Image) error {
	s := o.s
	b, err := s.create(ctx)
	if err != nil {
		return err
	}
	defer b.Close()
	params := &jobs.MergeParams{MountPoints: mountPoints()}
	var data []string
	for _, l := range img.Layers {
		params.Layers = append(params.Layers, jobs.MergeLayer{DataSize: l.DataSize})
		data = append(data, l.Data)
	}
	h := &handout{s: s, ctx: ctx}
	defer h.close()
	file := func(f jobs.File) (int, error) {
		kind, at, _ := strings.Cut(f.Name, "/")
		n, err := strconv.Atoi(at)
		if err != nil || n < 0 || n >= len(img.Layers) || kind != "toc" && kind != "data" {
			return -1, refuse("a merge has no file %.64q", f.Name)
		}
		if kind == "toc" {
			return h.open(img.Layers[n].TOC)
		}
		return h.open(img.Layers[n].Data)
	}
	r, err := s.run(ctx, &jobs.Job{Kind: jobs.Merge, Merge: params}, jobs.Host{File: file}, b.fd)
	if err != nil {
		return fmt.Errorf("make the file system of %s: %w", img.ID, err)
	}
	x, err := o.sealIndex(ctx, b, data)
	if err != nil {
		return fmt.Errorf("the file system of %s: %w", img.ID, err)
	}
	img.Index = x.Digest
	for _, u := range r.Merge.Users {
		img.Users = append(img.Users, User(u))
	}
	for _, g := range r.Merge.Groups {
		img.Groups = append(img.Groups, Group(g))
	}
	if r.Merge.Accounts != "" {
		slog.Warn("the accounts of an image are incomplete", "image", short(img.ID), "reason", r.Merge.Accounts)
	}
	if img.Created.IsZero() {
		img.Created = time.Unix(0, 0).UTC()
	}
	return nil
}

// mountPoints are what every container mounts something on. In the index they cost nothing; made by each container in its
// own upper directory they would be a good part of its start.
func mountPoints() []jobs.MountPoint {
	return []jobs.MountPoint{{Path: "dev", Dir: true}, {Path: "proc", Dir: true}, {Path: "sys", Dir: true}, {Path: "etc", Dir: true},
		{Path: "etc/hosts"}, {Path: "etc/hostname"}, {Path: "etc/resolv.conf"}}
}
