package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/distribution/reference"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	"github.com/moby/moby/api/types/events"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/brig-engine/brig/internal/daemon/registry"
)

// ImportOptions describe the image that is made of a root file system.
type ImportOptions struct {
	Name     reference.Named // may be nil
	Platform string
	Message  string
	Changes  []string // Dockerfile instructions
}

// maxImport is the largest root file system as it travels, in bytes.
const maxImport = 128 << 30

// Import makes an image of one layer out of a root file system, and returns its id. tell must not block.
func (s *Store) Import(ctx context.Context, rootfs io.Reader, opt ImportOptions, tell func(Event)) (string, error) {
	platform, err := registry.ParsePlatform(opt.Platform)
	if err != nil {
		return "", err
	}
	config := &dockerspec.DockerOCIImage{}
	if err := applyChanges(&config.Config, opt.Changes); err != nil {
		return "", err
	}
	o := s.begin()
	defer o.end()
	blob, size, err := o.receive(ctx, rootfs, tell)
	if err != nil {
		return "", err
	}
	src := source{digest: blob, size: size}
	l, err := o.layer(ctx, src, asLoading(tell))
	if err != nil {
		return "", err
	}
	now := time.Now().UTC()
	config.Created = &now
	config.Platform = ocispec.Platform{OS: "linux", Architecture: strings.Split(platform.String(), "/")[1],
		Variant: platform.Variant}
	config.RootFS = ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{digest.Digest(l.DiffID)}}
	config.History = []ocispec.History{{Created: &now, Comment: opt.Message}}
	b, err := json.Marshal(config)
	if err != nil {
		return "", fmt.Errorf("make an image config: %w", err)
	}
	img, err := o.ingest(ctx, parts{config: b, layers: []source{src}}, func(Event) {})
	if err != nil {
		return "", err
	}
	var names []string
	if opt.Name != nil {
		names = []string{opt.Name.String()}
	}
	if err := s.commit(img, "", names...); err != nil {
		return "", err
	}
	if opt.Name != nil {
		s.publish(events.ActionTag, img.ID, familiar(opt.Name.String()), img)
	}
	s.publish(events.ActionImport, img.ID, img.ID, img)
	return img.ID, nil
}

// receive seals what a client sends, as it is.
func (o *operation) receive(ctx context.Context, r io.Reader, tell func(Event)) (string, int64, error) {
	b, err := o.s.create(ctx)
	if err != nil {
		return "", 0, err
	}
	defer b.Close()
	var n int64
	for buf := make([]byte, 1<<20); ; {
		m, err := r.Read(buf)
		if n+int64(m) > maxImport {
			return "", 0, refuse("the root file system has more than %d bytes", int64(maxImport))
		}
		if _, werr := b.WriteAt(buf[:m], n); werr != nil {
			return "", 0, werr
		}
		n += int64(m)
		tell(Event{Status: "Importing", Current: n})
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", 0, fmt.Errorf("the root file system could not be read to its end: %w", err)
		}
	}
	if n == 0 {
		return "", 0, refuse("the root file system is empty: nothing came")
	}
	obj, err := o.seal(ctx, b, "")
	return obj.Digest, obj.Size, err
}
