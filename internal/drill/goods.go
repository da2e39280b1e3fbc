package drill

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"sync"
)

// goods are what a registry has: manifests by tag or digest, blobs by digest. Nothing of it needs to be true.
type goods struct {
	mu        sync.Mutex
	manifests map[string][]byte
	blobs     map[string][]byte
}

func newGoods() *goods { return &goods{manifests: map[string][]byte{}, blobs: map[string][]byte{}} }

// ware is one image of a registry.
type ware struct {
	tag              string
	manifest, config string // their digests
}

const gzipLayer = "application/vnd.oci.image.layer.v1.tar+gzip"

// crate is a layer of one file, which is new each time: an engine does not ask for a layer that it has.
type crate struct {
	inside []byte // the tar archive
	packed []byte // as it travels. Gzip in name only, so that all crates have one size
}

func newCrate() crate {
	var inside, packed bytes.Buffer
	t := tar.NewWriter(&inside)
	put(t, tar.Header{Typeflag: tar.TypeReg, Name: "canary", Mode: 0o644}, []byte(newToken()))
	t.Close()
	z, err := gzip.NewWriterLevel(&packed, gzip.NoCompression)
	if err != nil {
		panic("drill: " + err.Error()) // the level exists
	}
	z.Write(inside.Bytes())
	z.Close()
	return crate{inside.Bytes(), packed.Bytes()}
}

// offer puts an image on the shelf whose layer is in a crate, as l describes it; what l leaves open is the truth.
func (s *goods) offer(tag string, c crate, l descriptor) ware {
	if l.MediaType == "" {
		l.MediaType = gzipLayer
	}
	if l.Digest == "" {
		l.Digest = digest(c.packed)
	}
	l.Size = len(c.packed)
	config := imageConfig([]string{digest(c.inside)}, nil)
	manifest := imageManifest(config, []descriptor{l})
	w := ware{tag, digest(manifest), digest(config)}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.manifests[tag], s.manifests[w.manifest] = manifest, manifest
	s.blobs[w.config], s.blobs[l.Digest] = config, c.packed
	return w
}

// swap serves another image's manifest for a digest.
func (s *goods) swap(promised, other ware) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.manifests[promised.manifest] = s.manifests[other.manifest]
}

func (s *goods) manifest(ref string) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.manifests[ref]
}

func (s *goods) blob(dgst string) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.blobs[dgst]
}

// claimed is the digest that the registry announces for what a reference leads to: the one that was asked for.
func (s *goods) claimed(ref string) string {
	if len(ref) == len(digest(nil)) {
		return ref
	}
	return digest(s.manifest(ref))
}
