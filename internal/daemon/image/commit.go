package image

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/distribution/reference"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	"github.com/moby/moby/api/types/container"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// CommitOptions describe the image that is made of a container.
type CommitOptions struct {
	Name            reference.Named // may be nil
	Author, Comment string
	Changes         []string // Dockerfile instructions
	// Base is the id of the container's image, Config what the container runs with.
	Base   string
	Config *container.Config
}

// Ref is the name as it is told.
func (o *CommitOptions) Ref() string {
	if o.Name == nil {
		return ""
	}
	return o.Name.String()
}

// Commit makes an image of another one and a layer, which layer has a worker write to an empty file. From then on the
// layer is as any other that comes to the store: sealed, taken apart, indexed and checked by workers that did not write it.
func (s *Store) Commit(ctx context.Context, opt CommitOptions, layer func(ctx context.Context, fd int) error) (string, error) {
	o := s.begin()
	defer o.end()
	base := o.existing(opt.Base)
	if base == nil {
		return "", refuse("the image of the container, %s, is gone", short(opt.Base))
	}
	config, err := commitConfig(base, &opt)
	if err != nil {
		return "", err
	}
	src, l, err := o.changed(ctx, layer)
	if err != nil {
		return "", err
	}
	var sources []source
	for _, l := range base.Layers {
		sources = append(sources, source{digest: l.Blob, size: l.BlobSize})
	}
	config.RootFS.DiffIDs = append(slices.Clone(config.RootFS.DiffIDs), digest.Digest(l.DiffID))
	b, err := json.Marshal(config)
	if err != nil {
		return "", fmt.Errorf("make an image config: %w", err)
	}
	img, err := o.ingest(ctx, parts{config: b, layers: append(sources, src)}, func(Event) {})
	if err != nil {
		return "", err
	}
	var names []string
	if opt.Name != nil {
		names = []string{opt.Name.String()}
	}
	return img.ID, s.commit(img, "", names...)
}

// changed has the layer written, and seals it as it is.
func (o *operation) changed(ctx context.Context, layer func(ctx context.Context, fd int) error) (source, Layer, error) {
	b, err := o.s.create(ctx)
	if err != nil {
		return source{}, Layer{}, err
	}
	defer b.Close()
	if err := layer(ctx, b.fd); err != nil {
		return source{}, Layer{}, err
	}
	obj, err := o.seal(ctx, b, "")
	if err != nil {
		return source{}, Layer{}, err
	}
	src := source{digest: obj.Digest, size: obj.Size}
	l, err := o.layer(ctx, src, func(Event) {})
	return src, l, err
}

// commitConfig is the config of the base with what the container runs with, and the changes that were asked for.
func commitConfig(base *Image, opt *CommitOptions) (*dockerspec.DockerOCIImage, error) {
	c := base.Config
	out, run := &c.Config, opt.Config
	out.User, out.Env, out.Cmd, out.Entrypoint = run.User, slices.Clone(run.Env), run.Cmd, run.Entrypoint
	out.WorkingDir, out.StopSignal, out.Labels = run.WorkingDir, run.StopSignal, maps.Clone(run.Labels)
	out.Volumes, out.ExposedPorts = maps.Clone(out.Volumes), maps.Clone(out.ExposedPorts)
	for v := range run.Volumes {
		out.Volumes = put(out.Volumes, v)
	}
	for p := range run.ExposedPorts {
		out.ExposedPorts = put(out.ExposedPorts, p.String())
	}
	if err := applyChanges(out, opt.Changes); err != nil {
		return nil, err
	}
	now := time.Now().UTC()
	c.Created, c.Author = &now, opt.Author
	c.History = append(slices.Clone(c.History), ocispec.History{Created: &now, Author: opt.Author, Comment: opt.Comment,
		CreatedBy: strings.Join(append(slices.Clone(run.Entrypoint), run.Cmd...), " ")})
	return &c, nil
}

func put(set map[string]struct{}, key string) map[string]struct{} {
	if set == nil {
		set = map[string]struct{}{}
	}
	set[key] = struct{}{}
	return set
}
