package drill

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
)

func unpackImage(t *testing.T, archive []byte) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	r := tar.NewReader(bytes.NewReader(archive))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if files[h.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}

func decode(t *testing.T, b []byte, to any) {
	t.Helper()
	if err := json.Unmarshal(b, to); err != nil {
		t.Fatal(err)
	}
}

// Docker reads manifest.json, OCI tools read index.json: both must lead to the same blobs, under their true digests.
func TestImageIsTrueInBothFormats(t *testing.T) {
	archive := ImageTar([]byte("a program"))
	if !bytes.Equal(archive, ImageTar([]byte("a program"))) {
		t.Error("the same program gives different bytes")
	}
	files := unpackImage(t, archive)
	for name, content := range files {
		if hex, ok := strings.CutPrefix(name, "blobs/sha256/"); ok && hex != "" && digest(content) != "sha256:"+hex {
			t.Errorf("%s is not its digest", name)
		}
	}
	var docker []struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	var index struct{ Manifests []descriptor }
	var manifest struct {
		Config descriptor
		Layers []descriptor
	}
	decode(t, files["manifest.json"], &docker)
	decode(t, files["index.json"], &index)
	decode(t, files[blobPath(index.Manifests[0].Digest)], &manifest)
	if docker[0].Config != blobPath(manifest.Config.Digest) ||
		docker[0].Layers[0] != blobPath(manifest.Layers[0].Digest) ||
		docker[0].RepoTags[0] != ImageName {
		t.Errorf("%+v and %+v differ", docker, manifest)
	}
	layer := files[docker[0].Layers[0]]
	if manifest.Layers[0].Size != len(layer) {
		t.Errorf("size %d of %d", manifest.Layers[0].Size, len(layer))
	}
	root := unpackImage(t, layer)
	if string(root["bin/brig-probe"]) != "a program" {
		t.Error("the program is not in the image")
	}
	for _, name := range commands() {
		if _, ok := root["bin/"+name]; !ok {
			t.Errorf("/bin/%s is missing", name)
		}
	}
}

func TestFalseClaimIsStoredUnderTheClaim(t *testing.T) {
	good, evil := programLayer([]byte("good")), programLayer([]byte("evil"))
	files := unpackImage(t, writeImage("x:latest", []layer{{tar: evil, claim: digest(good)}}))
	if !bytes.Equal(files[blobPath(digest(good))], evil) {
		t.Error("the poisoned layer is not where its digest would be")
	}
}

func TestDigestsInMessagesAreShort(t *testing.T) {
	long := digest([]byte("x"))
	got := shortDigests("layer " + long + ", not " + long + " bad cafe")
	if want := "layer " + long[:19] + "…, not " + long[:19] + "… bad cafe"; got != want {
		t.Errorf("%q", got)
	}
}
