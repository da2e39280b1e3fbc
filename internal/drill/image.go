package drill

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"runtime"
	"time"
)

// ImageName is what the drill's image is called in an engine.
const ImageName = "brig-probe:latest"

// commands are the names, hard links to brig-probe, under which the image has everyday commands.
func commands() []string {
	return []string{"cat", "echo", "env", "false", "hostname", "id", "ls", "serve", "sleep", "true"}
}

// layer is a tar layer and the diffID that the image's config claims for it.
type layer struct {
	tar   []byte
	claim string // "sha256:…"; "": the truth
}

// ImageTar is the drill's image as an archive that `load` of every engine understands: an OCI image layout that has
// Docker's manifest.json as well. The same program always gives the same bytes.
func ImageTar(program []byte) []byte {
	return writeImage(ImageName, []layer{{tar: programLayer(program)}})
}

// programLayer is the root file system: the program under its names, and the directories that engines mount upon.
func programLayer(program []byte) []byte {
	var buf bytes.Buffer
	t := tar.NewWriter(&buf)
	for _, dir := range []string{"bin/", "dev/", "etc/", "proc/", "root/", "run/", "sys/", "tmp/"} {
		mode := int64(0o755)
		if dir == "tmp/" {
			mode = 0o1777
		}
		put(t, tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: mode}, nil)
	}
	put(t, tar.Header{Typeflag: tar.TypeReg, Name: "bin/brig-probe", Mode: 0o755}, program)
	for _, name := range commands() {
		put(t, tar.Header{Typeflag: tar.TypeLink, Name: "bin/" + name, Linkname: "bin/brig-probe", Mode: 0o755}, nil)
	}
	file := tar.Header{Typeflag: tar.TypeReg, Mode: 0o644}
	file.Name = "etc/passwd"
	put(t, file, []byte("root:x:0:0:root:/root:/bin/false\n"))
	file.Name = "etc/group"
	put(t, file, []byte("root:x:0:\n"))
	t.Close()
	return buf.Bytes()
}

// put adds an entry. Writing a well-formed header to memory cannot fail; a malformed one is a bug of the drill.
func put(t *tar.Writer, h tar.Header, content []byte) {
	h.Size = int64(len(content))
	h.ModTime = time.Unix(0, 0)
	h.Format = tar.FormatPAX
	if err := t.WriteHeader(&h); err != nil {
		panic(fmt.Sprintf("drill: entry %q: %v", h.Name, err))
	}
	if _, err := t.Write(content); err != nil {
		panic(fmt.Sprintf("drill: entry %q: %v", h.Name, err))
	}
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func blobPath(dgst string) string { return "blobs/sha256/" + dgst[len("sha256:"):] }

type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int               `json:"size"`
	URLs        []string          `json:"urls,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// writeImage makes an archive of one image, whose config declares the volume, if there is one. A layer with a false claim
// is stored, and listed in the manifest, under the claimed digest.
func writeImage(name string, layers []layer, volume ...string) []byte {
	more := map[string]any{}
	for _, v := range volume {
		more["Volumes"] = map[string]any{v: struct{}{}}
	}
	return writeImageOf(name, layers, more)
}

// writeImageOf is writeImage with more defaults in the config ("User", "Labels").
func writeImageOf(name string, layers []layer, more map[string]any) []byte {
	var buf bytes.Buffer
	t := tar.NewWriter(&buf)
	var diffIDs []string
	var descs []descriptor
	var paths []string
	blobs := map[string][]byte{}
	for _, l := range layers {
		id := l.claim
		if id == "" {
			id = digest(l.tar)
		}
		diffIDs = append(diffIDs, id)
		descs = append(descs, descriptor{MediaType: "application/vnd.oci.image.layer.v1.tar", Digest: id, Size: len(l.tar)})
		paths = append(paths, blobPath(id))
		blobs[id] = l.tar
	}
	config := imageConfig(diffIDs, more)
	manifest := imageManifest(config, descs)
	index := encode(map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
		"manifests": []descriptor{{MediaType: manifestType, Digest: digest(manifest),
			Size: len(manifest), Annotations: map[string]string{
				"io.containerd.image.name": "docker.io/library/" + name, "org.opencontainers.image.ref.name": "latest"}}},
	})
	docker := encode([]map[string]any{{"Config": blobPath(digest(config)), "RepoTags": []string{name}, "Layers": paths}})

	for _, dir := range []string{"blobs/", "blobs/sha256/"} {
		put(t, tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: 0o755}, nil)
	}
	file := func(name string, content []byte) {
		put(t, tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644}, content)
	}
	for _, id := range diffIDs {
		file(blobPath(id), blobs[id])
	}
	file(blobPath(digest(config)), config)
	file(blobPath(digest(manifest)), manifest)
	file("index.json", index)
	file("manifest.json", docker)
	file("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`))
	t.Close()
	return buf.Bytes()
}

const manifestType = "application/vnd.oci.image.manifest.v1+json"

// imageConfig is the config of an image with these layers, and perhaps more defaults than every image of the drill has.
func imageConfig(diffIDs []string, more map[string]any) []byte {
	defaults := map[string]any{"Env": []string{"PATH=/bin"}, "Cmd": []string{"/bin/brig-probe"}}
	maps.Copy(defaults, more)
	return encode(map[string]any{
		"architecture": runtime.GOARCH, "os": "linux",
		"config": defaults,
		"rootfs": map[string]any{"type": "layers", "diff_ids": diffIDs},
	})
}

func imageManifest(config []byte, layers []descriptor) []byte {
	return encode(map[string]any{
		"schemaVersion": 2, "mediaType": manifestType,
		"config": descriptor{MediaType: "application/vnd.oci.image.config.v1+json", Digest: digest(config),
			Size: len(config)},
		"layers": layers,
	})
}

// encode is JSON with sorted keys; what is encoded here always can be.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("drill: " + err.Error())
	}
	return b
}
