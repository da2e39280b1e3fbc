package clients

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"runtime"
	"testing"
)

// applets are the names by which the image's busybox is called.
var applets = []string{"cat", "echo", "env", "false", "grep", "head", "hostname", "httpd", "id", "kill", "ls", "mkdir", "mkfifo",
	"nc", "nslookup", "pwd", "rm", "sh", "sleep", "stat", "tail", "test", "touch", "true", "wc", "wget"}

// boxLayer is the one layer of the image.
func boxLayer(t *testing.T) []byte {
	t.Helper()
	program, err := os.ReadFile("/bin/busybox")
	if err != nil {
		t.Fatalf("%v. Next: apt-get install busybox-static", err)
	}
	directory := func(name string, mode int64) tarEntry {
		return tarEntry{tar.Header{Name: name, Typeflag: tar.TypeDir, Mode: mode}, nil}
	}
	file := func(name, text string) tarEntry {
		return tarEntry{tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644}, []byte(text)}
	}
	entries := []tarEntry{
		directory("bin/", 0o755), directory("data/", 0o755), directory("etc/", 0o755), directory("root/", 0o755),
		directory("tmp/", 0o1777),
		file("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nworker:x:1000:1000::/data:/bin/sh\n"),
		file("etc/group", "root:x:0:\nworker:x:1000:\n"),
		file("data/hello", "from the image\n"),
		{tar.Header{Name: "bin/busybox", Typeflag: tar.TypeReg, Mode: 0o755}, program},
	}
	for _, a := range applets {
		entries = append(entries, tarEntry{tar.Header{Name: "bin/" + a, Typeflag: tar.TypeSymlink, Linkname: "busybox"}, nil})
	}
	return tarOf(t, entries)
}

// boxArchive is the image box as docker save writes one.
func boxArchive(t *testing.T) []byte {
	t.Helper()
	layer := boxLayer(t)
	config := jsonOf(t, map[string]any{
		"architecture": runtime.GOARCH, "os": "linux",
		"config":  map[string]any{"Env": []string{"PATH=/bin"}, "Cmd": []string{"sh"}},
		"rootfs":  map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + sum(layer)}},
		"history": []any{map[string]any{"created_by": "COPY root / # box"}},
	})
	name, blob := sum(config)+".json", sum(layer)+"/layer.tar"
	manifest := jsonOf(t, []any{map[string]any{"Config": name, "RepoTags": []string{"box:latest"}, "Layers": []string{blob}}})
	regular := func(name string, content []byte) tarEntry {
		return tarEntry{tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644}, content}
	}
	return tarOf(t, []tarEntry{regular(name, config), regular(blob, layer), regular("manifest.json", manifest)})
}

type tarEntry struct {
	tar.Header
	content []byte
}

func tarOf(t *testing.T, entries []tarEntry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		e.Size = int64(len(e.content))
		err := w.WriteHeader(&e.Header)
		if err == nil {
			_, err = w.Write(e.content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func jsonOf(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}
