package image_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/brig-engine/brig/internal/daemon/api"
	"github.com/brig-engine/brig/internal/daemon/event"
	"github.com/brig-engine/brig/internal/daemon/image"
	"github.com/brig-engine/brig/internal/daemon/image/serve"
	"github.com/brig-engine/brig/internal/daemon/registry"
	"github.com/brig-engine/brig/internal/daemon/registry/registrytest"
)

var update = flag.Bool("update", false, "write the golden files")

// world is an engine's images, behind their API, and a registry.
type world struct {
	t      *testing.T
	warden *fakeWarden
	state  string
	store  *image.Store
	bus    *event.Bus
	reg    *registrytest.Registry
	http   *http.Client
	socket string
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, warden: newWarden(t), state: t.TempDir(), reg: registrytest.New(t, false)}
	w.restart()
	return w
}

// restart opens the store again, as a new brigd does.
func (w *world) restart() {
	w.t.Helper()
	var err error
	w.bus = &event.Bus{}
	both := w.warden.client(w.t)
	w.store, err = image.Open(context.Background(), image.Config{Warden: both, Objects: both, Bus: w.bus,
		StateDir: w.state,
		Registry: registry.Options{Pause: time.Millisecond}})
	if err != nil {
		w.t.Fatal(err)
	}
	w.socket = filepath.Join(w.t.TempDir(), "s")
	l, err := net.Listen("unix", w.socket)
	if err != nil {
		w.t.Fatal(err)
	}
	srv := &http.Server{Handler: (&api.Server{Images: serve.Handler(w.store)}).Handler()}
	go func() { _ = srv.Serve(l) }() // ends with Close
	w.http = &http.Client{Transport: &http.Transport{DialContext: dial(w.socket)}}
	w.t.Cleanup(func() {
		w.http.CloseIdleConnections()
		srv.Close()
	})
}

// call makes one request and returns status and body.
func (w *world) call(method, path string, body io.Reader, header ...string) (int, string) {
	w.t.Helper()
	req, err := http.NewRequest(method, "http://brig"+path, body)
	if err != nil {
		w.t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := w.http.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// ok is call for what must succeed, in the stream too.
func (w *world) ok(method, path string, body io.Reader, header ...string) string {
	w.t.Helper()
	code, b := w.call(method, path, body, header...)
	if code >= 300 || strings.Contains(b, "errorDetail") {
		w.t.Fatalf("%s %s: %d %s", method, path, code, b)
	}
	return b
}

func (w *world) pull(ref string) string {
	w.t.Helper()
	name, tag, _ := strings.Cut(ref, "@")
	if tag == "" {
		at := strings.LastIndexByte(ref, ':')
		name, tag = ref[:at], ref[at+1:]
	}
	return w.ok("POST", "/images/create?"+url.Values{"fromImage": {name}, "tag": {tag}}.Encode(), nil)
}

// file is one entry of a layer.
type file struct{ name, body string }

func tarOf(files ...file) []byte {
	var b bytes.Buffer
	tw := tar.NewWriter(&b)
	for _, f := range files {
		h := &tar.Header{Name: f.name, Mode: 0o644, Size: int64(len(f.body)), Typeflag: tar.TypeReg, ModTime: time.Unix(0, 0)}
		if strings.HasSuffix(f.name, "/") {
			h.Typeflag, h.Mode = tar.TypeDir, 0o755
		}
		if err := tw.WriteHeader(h); err != nil {
			panic(err)
		}
		fmt.Fprint(tw, f.body)
	}
	if err := tw.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func zip(b []byte) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, _ = z.Write(b)
	if err := z.Close(); err != nil {
		panic(err)
	}
	return out.Bytes()
}

// configOf is a config for plain tars.
func configOf(tars ...[]byte) []byte {
	created := time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)
	c := map[string]any{
		"os": "linux", "architecture": runtime.GOARCH, "created": created, "author": "ann",
		"config": map[string]any{"Cmd": []string{"sh"}, "Env": []string{"PATH=/bin"}, "Labels": map[string]string{"a": "b"}},
	}
	var ids []digest.Digest
	history := []ocispec.History{}
	for n, b := range tars {
		ids = append(ids, digest.FromBytes(b))
		history = append(history, ocispec.History{Created: &created, CreatedBy: fmt.Sprintf("COPY %d", n)},
			ocispec.History{Created: &created, CreatedBy: "ENV x=y", EmptyLayer: true})
	}
	c["rootfs"] = map[string]any{"type": "layers", "diff_ids": ids}
	c["history"] = history
	return must(json.Marshal(c))
}

var (
	base = tarOf(file{"etc/", ""}, file{"etc/passwd", "root:x:0:0:root:/root:/bin/sh\napp:x:7:7::/home/app:/bin/sh\n"},
		file{"etc/group", "root:x:0:\napp:x:7:ann\n"})
	top = tarOf(file{"hello", "hello, world\n"})
)

// publish puts an image of these plain tars into the registry, compressed.
func (w *world) publish(repo, tag string, tars ...[]byte) ocispec.Descriptor {
	var layers []ocispec.Descriptor
	for _, b := range tars {
		layers = append(layers, w.reg.AddBlob(ocispec.MediaTypeImageLayerGzip, zip(b)))
	}
	return w.reg.AddImage(repo, tag, configOf(tars...), layers...)
}

// dockerArchive is what docker save wrote before OCI layouts.
func dockerArchive(name string, config []byte, tars ...[]byte) []byte {
	id := digest.FromBytes(config).Encoded()
	entry := map[string]any{"Config": id + ".json", "RepoTags": []string{name}}
	files := []file{{id + ".json", string(config)}}
	var layers []string
	for n, b := range tars {
		layers = append(layers, fmt.Sprintf("%d/layer.tar", n))
		files = append(files, file{layers[n], string(b)})
	}
	entry["Layers"] = layers
	return tarOf(append(files, file{"manifest.json", string(must(json.Marshal([]any{entry})))})...)
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; look at the change, then run with -update. got:\n%s", path, got)
	}
}

func indent(s string) string {
	var b bytes.Buffer
	if err := json.Indent(&b, []byte(s), "", "  "); err != nil {
		return s
	}
	return b.String()
}
