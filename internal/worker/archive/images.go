package archive

import (
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/brig-engine/brig/internal/wire/jobs"
	"github.com/brig-engine/brig/internal/worker/toc"
)

const (
	maxImages = 256
	maxLayers = 512
	maxNames  = 128
	maxName   = 512
	maxNested = 4 // an index in an index
	maxListed = 4096
)

// The media types that this package tells apart.
const (
	typeOCIIndex       = "application/vnd.oci.image.index.v1+json"
	typeOCIManifest    = "application/vnd.oci.image.manifest.v1+json"
	typeOCIConfig      = "application/vnd.oci.image.config.v1+json"
	typeOCILayer       = "application/vnd.oci.image.layer.v1.tar"
	typeDockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
	typeDockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
)

const (
	nameContainerd = "io.containerd.image.name"
	nameOCI        = "org.opencontainers.image.ref.name"
)

// descriptor points to a blob.
type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int64             `json:"size"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// document is an index or a manifest. One that could be read as both is refused (CVE-2021-41190).
type document struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType,omitempty"`
	Config        *descriptor  `json:"config,omitempty"`
	Layers        []descriptor `json:"layers,omitempty"`
	Manifests     []descriptor `json:"manifests,omitempty"`
	FSLayers      any          `json:"fsLayers,omitempty"`
	History       any          `json:"history,omitempty"`
}

// dockerImage is one element of manifest.json.
type dockerImage struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// images finds the images in what was read: those of index.json, and those of manifest.json that index.json has not.
func (l *loader) images() ([]jobs.LoadedImage, error) {
	var out []jobs.LoadedImage
	index, manifest := l.find("index.json"), l.find("manifest.json")
	if index != nil {
		if l.find("oci-layout") == nil {
			return nil, toc.Invalid("the archive has index.json but no oci-layout")
		}
		doc, err := parse(index)
		if err == nil && (doc.Config != nil || doc.Layers != nil) {
			err = toc.Invalid("not an index")
		}
		if err == nil {
			out, err = l.walk(out, doc, nil, 0)
		}
		if err != nil {
			return nil, fmt.Errorf("index.json: %w", err)
		}
	}
	if manifest != nil {
		var list []dockerImage
		if err := decode(manifest, &list); err != nil {
			return nil, fmt.Errorf("manifest.json: %w", err)
		}
		for n, d := range list {
			var err error
			if out, err = l.docker(out, d); err != nil {
				return nil, fmt.Errorf("manifest.json, image %d: %w", n, err)
			}
		}
	}
	if len(out) == 0 {
		return nil, toc.Invalid("the archive has no image (neither index.json nor manifest.json names one that is there); " +
			"a root file system is taken in with import")
	}
	return out, nil
}

func decode(m *member, v any) error {
	if m.body == nil {
		return toc.Exceeded("bytes in a JSON document", maxJSON)
	}
	if err := json.Unmarshal(m.body, v); err != nil {
		return toc.Invalid("%w", err)
	}
	return nil
}

func parse(m *member) (*document, error) {
	d := &document{}
	if err := decode(m, d); err != nil {
		return nil, err
	}
	switch {
	case d.SchemaVersion != 2 || d.FSLayers != nil || d.History != nil:
		return nil, toc.Invalid("schema version %d is not supported", d.SchemaVersion)
	case d.Manifests != nil && (d.Config != nil || d.Layers != nil):
		return nil, toc.Invalid("a document that is both an index and a manifest")
	}
	return d, nil
}

// walk collects the images of an index. Manifests that are listed but not there are other platforms' and left out.
func (l *loader) walk(out []jobs.LoadedImage, doc *document, names []string, depth int) ([]jobs.LoadedImage, error) {
	if depth > maxNested {
		return nil, toc.Exceeded("levels of indexes", maxNested)
	}
	for _, d := range doc.Manifests {
		if l.walked++; l.walked > maxListed {
			return nil, toc.Exceeded("manifests in all indexes", maxListed)
		}
		m, err := l.blob(d)
		if err != nil {
			return nil, err
		}
		if m == nil || d.Annotations["vnd.docker.reference.type"] == "attestation-manifest" {
			continue
		}
		own := names
		if name := firstOf(d.Annotations[nameContainerd], d.Annotations[nameOCI]); name != "" {
			own = append(slices.Clone(names), name)
		}
		sub, err := parse(m)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", d.Digest, err)
		}
		if kind := firstOf(sub.MediaType, d.MediaType); kind != d.MediaType || isIndex(kind) != (sub.Config == nil) {
			return nil, toc.Invalid("%s is not the %s that it is listed as", d.Digest, d.MediaType)
		}
		if isIndex(d.MediaType) {
			out, err = l.walk(out, sub, own, depth+1)
		} else {
			out, err = l.manifest(out, m, sub, own)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", d.Digest, err)
		}
	}
	return out, nil
}

func isIndex(mediaType string) bool { return mediaType == typeOCIIndex || mediaType == typeDockerList }

func firstOf(list ...string) string {
	for _, s := range list {
		if s != "" {
			return s
		}
	}
	return ""
}

// blob finds what a descriptor points to; nil if it is not in the archive.
func (l *loader) blob(d descriptor) (*member, error) {
	hex, ok := strings.CutPrefix(d.Digest, "sha256:")
	if !ok || len(hex) != 64 || strings.Trim(hex, "0123456789abcdef") != "" {
		return nil, toc.Invalid("the digest %.100q", d.Digest)
	}
	m := l.find("blobs/sha256/" + hex)
	if m != nil && m.size != d.Size {
		return nil, toc.Invalid("%s has %d bytes, not %d", d.Digest, m.size, d.Size)
	}
	return m, nil
}

// manifest adds the image of one OCI or Docker manifest.
func (l *loader) manifest(out []jobs.LoadedImage, m *member, doc *document, names []string) ([]jobs.LoadedImage,
	error) {
	image := jobs.LoadedImage{Manifest: m.digest, Names: names}
	for _, d := range append([]descriptor{*doc.Config}, doc.Layers...) {
		b, err := l.blob(d)
		if err == nil && b == nil {
			err = toc.Invalid("the archive lacks the blob %s (%s)", d.Digest, d.MediaType)
		}
		if err == nil {
			err = l.use(b)
		}
		if err != nil {
			return nil, err
		}
		if image.Config == "" {
			image.Config = b.digest
			continue
		}
		image.Layers = append(image.Layers, b.digest)
		image.MediaTypes = append(image.MediaTypes, d.MediaType)
	}
	if err := l.use(m); err != nil {
		return nil, err
	}
	return add(out, image)
}

// docker adds the image of one element of manifest.json, or only its names if index.json had it.
func (l *loader) docker(out []jobs.LoadedImage, d dockerImage) ([]jobs.LoadedImage, error) {
	image := jobs.LoadedImage{Names: d.RepoTags}
	for n, name := range append([]string{d.Config}, d.Layers...) {
		clean, err := toc.Clean(name)
		if err != nil {
			return nil, err
		}
		m := l.find(clean)
		if m == nil {
			return nil, toc.Invalid("the archive lacks %.200q", name)
		}
		base := strings.TrimSuffix(path.Base(clean), ".json")
		if n == 0 && len(base) == 64 && m.digest != "sha256:"+base {
			return nil, toc.Invalid("the config %.200q has the digest %s: it was changed or damaged", name, m.digest)
		}
		if err := l.use(m); err != nil {
			return nil, err
		}
		if n == 0 {
			image.Config = m.digest
		} else {
			image.Layers = append(image.Layers, m.digest)
		}
	}
	return add(out, image)
}

// add adds an image; where the same one is there already, it only gets the names.
func add(out []jobs.LoadedImage, image jobs.LoadedImage) ([]jobs.LoadedImage, error) {
	for i := range out {
		if out[i].Config != image.Config || !slices.Equal(out[i].Layers, image.Layers) ||
			image.Manifest != "" && out[i].Manifest != image.Manifest {
			continue
		}
		for _, name := range image.Names {
			if !slices.Contains(out[i].Names, name) {
				out[i].Names = append(out[i].Names, name)
			}
		}
		return out, checkImage(out[i])
	}
	if len(out) >= maxImages {
		return nil, toc.Exceeded("images in an archive", maxImages)
	}
	return append(out, image), checkImage(image)
}

func checkImage(image jobs.LoadedImage) error {
	if len(image.Layers) > maxLayers {
		return toc.Exceeded("layers in an image", maxLayers)
	}
	if len(image.Names) > maxNames {
		return toc.Exceeded("names of an image", maxNames)
	}
	for _, n := range image.Names {
		if len(n) > maxName {
			return toc.Exceeded("bytes in the name of an image", maxName)
		}
	}
	return nil
}
