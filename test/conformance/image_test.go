package conformance

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"runtime"
	"testing"
	"time"
)

// applets are the names by which the image's busybox is called.
var applets = []string{"sh", "true", "false", "cat", "sleep", "id", "echo", "ls", "touch", "env", "pwd", "rm", "mkdir", "stat",
	"kill", "ps", "hostname", "head", "seq", "grep", "readlink", "chmod", "nc", "wget", "test", "wc", "tr", "sort"}

// made is the time of all that is in the image.
var made = time.Unix(1700000000, 0).UTC()

// tarOf packs entries.
type tarOf struct {
	t testing.TB
	b bytes.Buffer
	w *tar.Writer
}

func newTar(t testing.TB) *tarOf {
	o := &tarOf{t: t}
	o.w = tar.NewWriter(&o.b)
	return o
}

func (o *tarOf) add(h tar.Header, content []byte) {
	o.t.Helper()
	h.ModTime, h.Size = made, int64(len(content))
	if err := o.w.WriteHeader(&h); err != nil {
		o.t.Fatal(err)
	}
	if _, err := o.w.Write(content); err != nil {
		o.t.Fatal(err)
	}
}

func (o *tarOf) file(name string, content []byte) {
	o.t.Helper()
	o.add(tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644}, content)
}

func (o *tarOf) bytes() []byte {
	o.t.Helper()
	if err := o.w.Close(); err != nil {
		o.t.Fatal(err)
	}
	return o.b.Bytes()
}

// boxLayer is the one layer of the image.
func boxLayer(t testing.TB) []byte {
	program, err := os.ReadFile("/bin/busybox")
	if err != nil {
		t.Fatalf("%v. Next: apt-get install busybox-static", err)
	}
	l := newTar(t)
	for _, d := range []string{"bin/", "data/", "dev/", "etc/", "home/", "proc/", "root/", "sys/"} {
		l.add(tar.Header{Name: d, Typeflag: tar.TypeDir, Mode: 0o755}, nil)
	}
	l.add(tar.Header{Name: "tmp/", Typeflag: tar.TypeDir, Mode: 0o1777}, nil)
	l.file("etc/passwd", []byte("root:x:0:0:root:/root:/bin/sh\nworker:x:1000:1000::/data:/bin/sh\n"))
	l.file("etc/group", []byte("root:x:0:\nworker:x:1000:\nextra:x:2000:worker\n"))
	l.file("data/hello", []byte("from the image\n"))
	l.add(tar.Header{Name: "bin/busybox", Typeflag: tar.TypeReg, Mode: 0o755}, program)
	for _, a := range applets {
		l.add(tar.Header{Name: "bin/" + a, Typeflag: tar.TypeSymlink, Linkname: "busybox", Mode: 0o777}, nil)
	}
	return l.bytes()
}

// boxArchive is the image box as docker save writes one.
func boxArchive(t testing.TB) []byte {
	t.Helper()
	layer := boxLayer(t)
	config := mustJSON(t, map[string]any{
		"architecture": runtime.GOARCH, "os": "linux", "created": made,
		"config": map[string]any{"Env": []string{"PATH=/bin"}, "Cmd": []string{"sh"}, "WorkingDir": "/",
			"Labels": map[string]string{"made": "here"}},
		"rootfs":  map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + sum(layer)}},
		"history": []any{map[string]any{"created": made, "created_by": "COPY root / # box"}},
	})
	a := newTar(t)
	a.file(sum(config)+".json", config)
	a.file(sum(layer)+"/layer.tar", layer)
	a.file("manifest.json", mustJSON(t, []any{map[string]any{
		"Config": sum(config) + ".json", "RepoTags": []string{"box:latest"}, "Layers": []string{sum(layer) + "/layer.tar"},
	}}))
	return a.bytes()
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

func mustJSON(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
