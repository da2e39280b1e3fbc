package registry

import (
	"encoding/json"
	"fmt"
	"mime"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Limits of what a registry may describe.
const (
	MaxManifest = 4 << 20 // bytes of a manifest or index
	MaxConfig   = 8 << 20 // bytes of an image config
	MaxLayers   = 512
	maxEntries  = 1024      // manifests in an index
	maxBlob     = 128 << 30 // bytes of a layer as it travels
)

// Docker's names of what the image-spec names too.
const (
	typeDockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
	typeDockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	typeDockerConfig   = "application/vnd.docker.container.image.v1+json"
	typeDockerLayer    = "application/vnd.docker.image.rootfs.diff.tar"
)

// Manifest is one image as a registry describes it.
type Manifest struct {
	MediaType string
	Digest    string // of Body, sha256:hex
	Body      []byte
	Config    ocispec.Descriptor
	Layers    []ocispec.Descriptor // lowest first
}

// index is a list of manifests for several platforms.
type index struct {
	mediaType string
	digest    string
	size      int64
	manifests []ocispec.Descriptor
}

// document has the fields of every kind of document, so that one that pretends to be two kinds is seen.
type document struct {
	SchemaVersion int                  `json:"schemaVersion"`
	MediaType     string               `json:"mediaType"`
	Config        *ocispec.Descriptor  `json:"config"`
	Layers        []ocispec.Descriptor `json:"layers"`
	Manifests     []ocispec.Descriptor `json:"manifests"`
	FSLayers      json.RawMessage      `json:"fsLayers"`
}

// ParseManifest decodes the manifest of one image. mediaType is what the sender said it is; "" leaves it to the
// document.
func ParseManifest(mediaType string, body []byte) (*Manifest, error) {
	m, _, err := parse(mediaType, body)
	if err == nil && m == nil {
		err = invalid("an index stands where the manifest of one image should be")
	}
	return m, err
}

// parse decodes a manifest or an index: exactly one of the two is returned.
func parse(mediaType string, body []byte) (*Manifest, *index, error) {
	if len(body) > MaxManifest {
		return nil, nil, invalid("the manifest has more than %d bytes", MaxManifest)
	}
	var d document
	if err := json.Unmarshal(body, &d); err != nil {
		return nil, nil, invalid("the manifest is no valid JSON: %v", err)
	}
	if err := unambiguous(body); err != nil {
		return nil, nil, err
	}
	kind, err := d.kind(mediaType)
	if err != nil {
		return nil, nil, err
	}
	sum := digest.FromBytes(body).String()
	switch kind {
	case ocispec.MediaTypeImageIndex, typeDockerList:
		if d.Config != nil || d.Layers != nil {
			return nil, nil, invalid("the document is both an index and a manifest (CVE-2021-41190)")
		}
		if len(d.Manifests) > maxEntries {
			return nil, nil, invalid("the index lists %d manifests, over the limit of %d", len(d.Manifests), maxEntries)
		}
		return nil, &index{kind, sum, int64(len(body)), d.Manifests}, nil
	default:
		if d.Manifests != nil {
			return nil, nil, invalid("the document is both a manifest and an index (CVE-2021-41190)")
		}
		m := &Manifest{MediaType: kind, Digest: sum, Body: body, Layers: d.Layers}
		if d.Config == nil {
			return nil, nil, invalid("the manifest names no config")
		}
		m.Config = *d.Config
		return m, nil, m.check()
	}
}

// kind says what a document is: what the sender calls it and what it calls itself must agree.
func (d *document) kind(mediaType string) (string, error) {
	if mediaType != "" {
		if m, _, err := mime.ParseMediaType(mediaType); err == nil {
			mediaType = m
		}
	}
	if isSchema1(mediaType) || isSchema1(d.MediaType) || d.SchemaVersion == 1 || d.FSLayers != nil {
		return "", fmt.Errorf("the image is in Docker's schema 1 format, which nothing verifies; it is not supported. "+
			"Next: have it pushed again by a current tool: %w", errdefs.ErrNotImplemented)
	}
	if d.SchemaVersion != 2 {
		return "", invalid("the manifest has schema version %d, not 2", d.SchemaVersion)
	}
	switch mediaType {
	case "", "application/json", "application/octet-stream", "text/plain":
		mediaType = d.MediaType // the sender does not know
	}
	if d.MediaType != "" && d.MediaType != mediaType {
		return "", invalid("the document is sent as %.100q and calls itself %.100q", mediaType, d.MediaType)
	}
	switch mediaType {
	case ocispec.MediaTypeImageIndex, typeDockerList, ocispec.MediaTypeImageManifest, typeDockerManifest:
		return mediaType, nil
	case "":
		return "", invalid("the manifest does not say what it is (no media type)")
	}
	return "", invalid("%.100q is not the type of an image manifest", mediaType)
}

func isSchema1(t string) bool {
	return strings.HasPrefix(t, "application/vnd.docker.distribution.manifest.v1+")
}

// check holds a manifest against the list of what is allowed.
func (m *Manifest) check() error {
	if err := checkDescriptor(m.Config, MaxConfig); err != nil {
		return fmt.Errorf("config: %w", err)
	}
	if t := m.Config.MediaType; t != typeDockerConfig && t != ocispec.MediaTypeImageConfig {
		return invalid("the config is %.100q: this is no container image", t)
	}
	if len(m.Layers) > MaxLayers {
		return invalid("the image has %d layers, over the limit of %d", len(m.Layers), MaxLayers)
	}
	for n, l := range m.Layers {
		if err := checkDescriptor(l, maxBlob); err != nil {
			return fmt.Errorf("layer %d: %w", n, err)
		}
		if err := checkLayerType(l.MediaType); err != nil {
			return fmt.Errorf("layer %d: %w", n, err)
		}
	}
	return nil
}

// checkLayerType allows the three encodings of a layer, in both spellings.
func checkLayerType(t string) error {
	for _, base := range []string{ocispec.MediaTypeImageLayer, typeDockerLayer} {
		switch t {
		case base, base + "+gzip", base + "+zstd", base + ".gzip", base + ".zstd":
			return nil
		}
	}
	if strings.Contains(t, ".foreign.") || strings.Contains(t, ".nondistributable.") {
		return fmt.Errorf("%.100q has to be fetched from elsewhere; layers come from the image's own registry only: %w",
			t, errdefs.ErrNotImplemented)
	}
	return invalid("%.100q is not a type of layer that is supported (tar, tar+gzip, tar+zstd)", t)
}

func checkDescriptor(d ocispec.Descriptor, limit int64) error {
	if err := CheckDigest(d.Digest.String()); err != nil {
		return err
	}
	if d.Size < 0 || d.Size > limit {
		return invalid("%s has %d bytes, over the limit of %d", d.Digest, d.Size, limit)
	}
	return nil
}

// CheckDigest admits sha256 digests only: they are what the store names objects by.
func CheckDigest(s string) error {
	d, err := digest.Parse(s)
	if err != nil || d.Algorithm() != digest.SHA256 {
		return invalid("%.100q is not a sha256 digest", s)
	}
	return nil
}

// LayerType is the media type of a layer in one of the encodings that a worker reports.
func LayerType(compression string) (string, error) {
	switch compression {
	case "none":
		return ocispec.MediaTypeImageLayer, nil
	case "gzip":
		return ocispec.MediaTypeImageLayerGzip, nil
	case "zstd":
		return ocispec.MediaTypeImageLayerZstd, nil
	}
	return "", invalid("a layer in the encoding %.32q", compression)
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %w", fmt.Errorf(format, args...), errdefs.ErrInvalidArgument)
}
