package archive

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/brig-engine/brig/internal/wire/jobs"
	"github.com/brig-engine/brig/internal/worker/toc"
)

// saver writes an archive that is an OCI image layout and a docker-archive at once: the same blobs, two tables.
type saver struct {
	w        *tar.Writer
	n        *counterW
	open     func(name string) (*os.File, error)
	limits   jobs.Limits
	progress func(done, total int64)
	total    int64
	seen     map[string]bool // digests that were written
}

type counterW struct {
	w io.Writer
	n int64
}

func (c *counterW) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}

// platform is what an index says of a manifest.
type platform struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
	Variant      string `json:"variant,omitempty"`
}

// listed is a descriptor in index.json.
type listed struct {
	descriptor
	Platform *platform `json:"platform,omitempty"`
}

// blob is one member of the archive that comes from files: a blob as it is, or the tar of a layer made again.
type blob struct {
	digest   string
	size     int64
	body     []byte // if it was made here
	name     string // to ask for
	made     bool   // from toc and data
	dataSize int64
}

// Save writes the images to w. open gives files by name, and Save closes them: see jobs.Save.
func Save(w io.Writer, p jobs.SaveParams, limits jobs.Limits, open func(name string) (*os.File, error),
	progress func(done, total int64)) (*jobs.SaveResult, error) {
	n := &counterW{w: w}
	s := &saver{w: tar.NewWriter(n), n: n, open: open, limits: limits, progress: progress, seen: map[string]bool{}}
	var blobs []blob
	index := []listed{}
	docker := []dockerImage{}
	for i, image := range p.Images {
		b, manifest, err := s.image(image)
		if err != nil {
			return nil, fmt.Errorf("image %d: %w", i, err)
		}
		blobs = append(blobs, b...)
		index = append(index, listNames(image, manifest)...)
		docker = append(docker, dockerEntry(image))
	}
	for _, b := range blobs {
		s.total += b.size
	}
	head := []struct {
		name string
		v    any
	}{
		{"oci-layout", map[string]string{"imageLayoutVersion": "1.0.0"}},
		{"index.json", map[string]any{"schemaVersion": 2, "mediaType": typeOCIIndex, "manifests": index}},
		{"manifest.json", docker},
	}
	for _, h := range head {
		body, err := json.Marshal(h.v)
		if err != nil {
			return nil, err
		}
		if err := s.put(h.name, body); err != nil {
			return nil, err
		}
	}
	for _, b := range blobs {
		if err := s.blob(b); err != nil {
			return nil, fmt.Errorf("%s: %w", b.digest, err)
		}
	}
	if err := s.w.Close(); err != nil {
		return nil, outError(err)
	}
	return &jobs.SaveResult{Size: n.n}, nil
}

// image lists the blobs of one image and its manifest.
func (s *saver) image(image jobs.SaveImage) ([]blob, listed, error) {
	blobs := []blob{{digest: image.Config, size: image.ConfigSize, name: "config/" + image.Config}}
	manifest := document{SchemaVersion: 2, MediaType: typeOCIManifest,
		Config: &descriptor{MediaType: typeOCIConfig, Digest: image.Config, Size: image.ConfigSize}}
	for _, l := range image.Layers {
		if image.Manifest != nil {
			blobs = append(blobs, blob{digest: l.Blob, size: l.BlobSize, name: "blob/" + l.Blob})
			continue
		}
		blobs = append(blobs, blob{digest: l.DiffID, size: l.Size, name: l.DiffID, made: true, dataSize: l.DataSize})
		manifest.Layers = append(manifest.Layers, descriptor{MediaType: typeOCILayer, Digest: l.DiffID, Size: l.Size})
	}
	body, kind := image.Manifest, image.ManifestType
	if body == nil {
		var err error
		if body, err = json.Marshal(manifest); err != nil {
			return nil, listed{}, err
		}
		kind = typeOCIManifest
	}
	for _, b := range blobs {
		if !isDigest(b.digest) {
			return nil, listed{}, toc.Invalid("the digest %.100q", b.digest)
		}
	}
	sum := sha256.Sum256(body)
	m := blob{digest: "sha256:" + hex.EncodeToString(sum[:]), size: int64(len(body)), body: body}
	d := listed{descriptor: descriptor{MediaType: kind, Digest: m.digest, Size: m.size}}
	if image.Architecture != "" && image.OS != "" {
		d.Platform = &platform{image.Architecture, image.OS, image.Variant}
	}
	return append([]blob{m}, blobs...), d, nil
}

// listNames gives the descriptor of an image once for each of its names.
func listNames(image jobs.SaveImage, d listed) []listed {
	if len(image.Names) == 0 {
		return []listed{d}
	}
	var out []listed
	for _, name := range image.Names {
		one := d
		one.Annotations = map[string]string{nameContainerd: name}
		if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
			one.Annotations[nameOCI] = name[i+1:]
		}
		out = append(out, one)
	}
	return out
}

// dockerEntry describes an image in manifest.json, where names of Docker's own registry are in their short form.
func dockerEntry(image jobs.SaveImage) dockerImage {
	d := dockerImage{Config: blobPath(image.Config), Layers: []string{}}
	for _, name := range image.Names {
		if short, ok := strings.CutPrefix(name, "docker.io/"); ok {
			name = strings.TrimPrefix(short, "library/")
		}
		d.RepoTags = append(d.RepoTags, name)
	}
	for _, l := range image.Layers {
		if image.Manifest != nil {
			d.Layers = append(d.Layers, blobPath(l.Blob))
		} else {
			d.Layers = append(d.Layers, blobPath(l.DiffID))
		}
	}
	return d
}

func blobPath(digest string) string { return "blobs/sha256/" + strings.TrimPrefix(digest, "sha256:") }

func isDigest(s string) bool {
	hex, ok := strings.CutPrefix(s, "sha256:")
	return ok && len(hex) == 64 && strings.Trim(hex, "0123456789abcdef") == ""
}

// header starts one member.
func (s *saver) header(name string, size int64) error {
	return outError(s.w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o644}))
}

func (s *saver) put(name string, body []byte) error {
	if err := s.header(name, int64(len(body))); err != nil {
		return err
	}
	_, err := s.w.Write(body)
	return outError(err)
}

// blob writes one blob, once, and holds what was written against its digest.
func (s *saver) blob(b blob) error {
	if s.seen[b.digest] {
		return nil
	}
	s.seen[b.digest] = true
	if b.body != nil {
		return s.put(blobPath(b.digest), b.body)
	}
	if err := s.header(blobPath(b.digest), b.size); err != nil {
		return err
	}
	if b.made {
		return s.layer(b)
	}
	f, err := s.open(b.name)
	if err != nil {
		return err
	}
	defer f.Close()
	in, err := toc.Whole(f)
	if err != nil {
		return err
	}
	sum := sha256.New()
	for left := b.size; left > 0; s.tick() {
		n := min(left, 1<<20)
		if _, err := io.CopyN(io.MultiWriter(s.w, sum), in, n); err == io.EOF {
			return toc.Invalid("the blob is shorter than %d bytes", b.size)
		} else if err != nil {
			return fmt.Errorf("copy blob: %w", err)
		}
		left -= n
	}
	if got := "sha256:" + hex.EncodeToString(sum.Sum(nil)); got != b.digest {
		return toc.Invalid("the blob has the digest %s", got)
	}
	return nil
}

// layer writes the tar of a layer, made again.
func (s *saver) layer(b blob) error {
	table, err := s.open("toc/" + b.name)
	if err != nil {
		return err
	}
	defer table.Close()
	data, err := s.open("data/" + b.name)
	if err != nil {
		return err
	}
	defer data.Close()
	whole, err := toc.Whole(table)
	if err != nil {
		return err
	}
	r, err := Export(s.w, whole, data, jobs.ExportParams{DataSize: b.dataSize}, s.limits, func(int64,
		int64) {
		s.tick()
	})
	if err == nil && (r.DiffID != b.digest || r.Size != b.size) {
		err = toc.Invalid("the table of contents is of %s (%d bytes)", r.DiffID, r.Size)
	}
	return err
}

func (s *saver) tick() {
	if s.progress != nil {
		s.progress(s.n.n, s.total)
	}
}
