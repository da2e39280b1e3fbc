// image packs one static program into the image that the engine brings along: an OCI archive that is also a Docker
// archive, with the same bytes for the same program.
//
//	go run ./dist/image -o image.tar bin/brig-probe
package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const tag = "brig-probe:latest"

// names are the other names of the program, as hard links: it looks at the name by which it was called.
var names = []string{"true", "false", "sleep", "echo", "cat", "id", "ls", "hostname", "env", "serve"}

// entry is one file of an archive.
type entry struct {
	name, link string
	mode       int64
	dir        bool
	content    []byte
}

func main() {
	out := flag.String("o", "image.tar", "archive to write")
	flag.Parse()
	if err := run(*out, flag.Arg(0)); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func run(out, program string) error {
	bin, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	archive, err := build(bin)
	if err != nil {
		return err
	}
	return os.WriteFile(out, archive, 0o644)
}

func build(program []byte) ([]byte, error) {
	layer, err := pack(layerEntries(program))
	if err != nil {
		return nil, err
	}
	config, err := json.Marshal(imageConfig(layer))
	if err != nil {
		return nil, err
	}
	manifest, err := json.Marshal(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageManifest,
		Config:    descriptor(ocispec.MediaTypeImageConfig, config),
		Layers:    []ocispec.Descriptor{descriptor(ocispec.MediaTypeImageLayer, layer)},
	})
	if err != nil {
		return nil, err
	}
	root := descriptor(ocispec.MediaTypeImageManifest, manifest)
	root.Annotations = map[string]string{ocispec.AnnotationRefName: "latest", "io.containerd.image.name": "docker.io/library/" + tag}
	index, err := json.Marshal(ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageIndex,
		Manifests: []ocispec.Descriptor{root},
	})
	if err != nil {
		return nil, err
	}
	docker, err := json.Marshal([]map[string]any{{
		"Config": blobName(config), "RepoTags": []string{tag}, "Layers": []string{blobName(layer)},
	}})
	if err != nil {
		return nil, err
	}
	return pack([]entry{
		{name: "blobs/", dir: true}, {name: "blobs/sha256/", dir: true},
		{name: blobName(config), content: config}, {name: blobName(layer), content: layer}, {name: blobName(manifest), content: manifest},
		{name: "index.json", content: index}, {name: "manifest.json", content: docker},
		{name: ocispec.ImageLayoutFile, content: []byte(`{"imageLayoutVersion":"1.0.0"}`)},
	})
}

func layerEntries(program []byte) []entry {
	list := []entry{
		{name: "bin/", dir: true}, {name: "dev/", dir: true}, {name: "etc/", dir: true}, {name: "proc/", dir: true},
		{name: "sys/", dir: true}, {name: "tmp/", dir: true, mode: 0o1777},
		{name: "etc/passwd", mode: 0o644, content: []byte("root:x:0:0:root:/:/bin/false\nnobody:x:65534:65534:nobody:/:/bin/false\n")},
		{name: "etc/group", mode: 0o644, content: []byte("root:x:0:\nnogroup:x:65534:\n")},
		{name: "bin/brig-probe", mode: 0o755, content: program},
	}
	for _, n := range names {
		list = append(list, entry{name: "bin/" + n, mode: 0o755, link: "bin/brig-probe"})
	}
	return list
}

func imageConfig(layer []byte) ocispec.Image {
	epoch := time.Unix(0, 0).UTC()
	return ocispec.Image{
		Created:  &epoch,
		Platform: ocispec.Platform{Architecture: runtime.GOARCH, OS: "linux"},
		Config:   ocispec.ImageConfig{Env: []string{"PATH=/bin"}, Cmd: []string{"brig-probe"}},
		RootFS:   ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{digest.FromBytes(layer)}},
		History:  []ocispec.History{{Created: &epoch, CreatedBy: "make"}},
	}
}

func descriptor(mediaType string, content []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))}
}

func blobName(content []byte) string {
	sum := sha256.Sum256(content)
	return "blobs/sha256/" + hex.EncodeToString(sum[:])
}

func pack(entries []entry) ([]byte, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Linkname: e.link, Mode: e.mode, Size: int64(len(e.content)), ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR}
		switch {
		case e.dir:
			h.Typeflag = tar.TypeDir
		case e.link != "":
			h.Typeflag = tar.TypeLink
		default:
			h.Typeflag = tar.TypeReg
		}
		if h.Mode == 0 {
			h.Mode = 0o755
		}
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := io.Copy(w, bytes.NewReader(e.content)); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
