package image_test

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/brig-engine/brig/internal/daemon/registry/registrytest"
)

// What was pulled is pushed with the same digests, and so is what an archive of it brings elsewhere.
func TestDigestsStayThroughPullSaveLoadPush(t *testing.T) {
	w := newWorld(t)
	d := w.publish("team/app", "1", base, top)
	ref := w.reg.Host + "/team/app"
	w.pull(ref + ":1")
	w.ok("POST", "/images/"+ref+":1/tag?repo="+ref+"&tag=copy", nil)
	out := w.ok("POST", "/images/"+ref+"/push?tag=copy", nil)
	for _, want := range []string{"Layer already exists", "copy: digest: " + d.Digest.String(), `"Digest":"` +
		d.Digest.String()} {
		if !strings.Contains(out, want) {
			t.Errorf("push lacks %q:\n%s", want, out)
		}
	}
	saved := w.ok("GET", "/images/"+ref+":copy/get", nil)
	other := newWorld(t)
	if out := other.ok("POST", "/images/load", strings.NewReader(saved)); !strings.Contains(out,
		"Loaded image: "+ref+":copy") {
		t.Errorf("load:\n%s", out)
	}
	other.reg = registrytest.New(t, false)
	there := other.reg.Host + "/x/y"
	other.ok("POST", "/images/"+ref+":copy/tag?repo="+there+"&tag=2", nil)
	if out := other.ok("POST", "/images/"+there+"/push?tag=2", nil); !strings.Contains(out, d.Digest.String()) ||
		!strings.Contains(out, `"Pushed"`) {
		t.Errorf("push:\n%s", out)
	}
	if other.reg.Manifests["x/y/2"].Type == "" || len(other.reg.Blobs) != 3 {
		t.Errorf("the registry has %d blobs", len(other.reg.Blobs))
	}
	img := must(other.store.Lookup(there + "@" + d.Digest.String()))
	if img.Manifest != d.Digest.String() {
		t.Errorf("manifest %s", img.Manifest)
	}
}

func TestDockerArchiveGetsAStableManifest(t *testing.T) {
	var digests []string
	for range 2 {
		w := newWorld(t)
		archive := dockerArchive("app:1", configOf(base, top), base, top)
		if out := w.ok("POST", "/images/load?quiet=1", bytes.NewReader(archive)); !strings.Contains(out,
			`{"stream":"Loaded image: app:1\n"}`) {
			t.Fatalf("load: %s", out)
		}
		img := must(w.store.Lookup("app:1"))
		if img.Layers[0].MediaType != "application/vnd.oci.image.layer.v1.tar" ||
			img.Layers[0].Blob != digest.FromBytes(base).String() {
			t.Errorf("layer %+v", img.Layers[0])
		}
		digests = append(digests, img.Manifest)
	}
	if digests[0] != digests[1] || digests[0] == "" {
		t.Errorf("manifests %q", digests)
	}
}

func TestHostileArchiveLeavesNothing(t *testing.T) {
	good := dockerArchive("app:1", configOf(base, top), base, top)
	for name, archive := range map[string][]byte{
		"cut off":       good[:len(good)/2],
		"empty":         {},
		"no tar":        []byte("hello"),
		"wrong diffID":  dockerArchive("app:1", configOf(base, base), base, top),
		"no such layer": bytes.Replace(good, []byte("1/layer.tar"), []byte("2/layer.tar"), 1),
		"no config":     dockerArchive("app:1", []byte("{}"), base),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			code, out := w.call("POST", "/images/load", bytes.NewReader(archive))
			if code < 400 && !strings.Contains(out, "errorDetail") {
				t.Fatalf("loaded: %d %s", code, out)
			}
			if left := w.warden.objects(); len(left) > 0 || w.store.Count() > 0 {
				t.Errorf("left behind: %q", left)
			}
		})
	}
}

func TestArchiveCannotSetAnyName(t *testing.T) {
	w := newWorld(t)
	config := configOf(base)
	for _, name := range []string{"latest", "UPPER:1", "sha256:" + strings.Repeat("a", 64), "app@sha256:" +
		strings.Repeat("a", 64), "../x:1"} {
		w.ok("POST", "/images/load", bytes.NewReader(dockerArchive(name, config, base)))
	}
	img := must(w.store.Lookup(digest.FromBytes(config).String()))
	if len(img.Names)+len(img.Digests) != 0 {
		t.Errorf("names %q %q", img.Names, img.Digests)
	}
}

// A client that goes away in the middle of its archive ends the worker and leaves nothing.
func TestLoadEndsWithItsClient(t *testing.T) {
	w := newWorld(t)
	conn := must(net.Dial("unix", w.socket))
	archive := dockerArchive("app:1", configOf(base), base)
	fmt.Fprintf(conn, "POST /images/load HTTP/1.1\r\nHost: brig\r\nContent-Length: %d\r\n\r\n%s", len(archive),
		archive[:1024])
	settled := func(n int64) bool {
		for range 200 {
			if w.warden.running.Load() == n {
				return true
			}
			time.Sleep(10 * time.Millisecond)
		}
		return false
	}
	if !settled(1) {
		t.Fatal("no worker was started")
	}
	conn.Close()
	if !settled(0) || len(w.warden.objects()) > 0 {
		t.Errorf("%d workers go on, left behind: %q", w.warden.running.Load(), w.warden.objects())
	}
}

func TestImportMakesAnImageWithTheChanges(t *testing.T) {
	w := newWorld(t)
	q := "/images/create?fromSrc=-&repo=mine&tag=1&message=hello&changes=CMD+%5B%22sh%22%5D&changes=ENV+A=%22b+c%22+D=e" +
		"&changes=EXPOSE+80+53/udp" +
		"&changes=LABEL+x=y&changes=USER+app&changes=VOLUME+/data&changes=WORKDIR+/w" +
		"&changes=STOPSIGNAL+SIGINT&changes=ENTRYPOINT+run+it"
	out := w.ok("POST", q, bytes.NewReader(zip(base)))
	img := must(w.store.Lookup("mine:1"))
	if !strings.Contains(out, img.ID) {
		t.Errorf("the reply lacks the id: %s", out)
	}
	c := img.Config.Config
	if c.Cmd[0] != "sh" || c.Env[0] != "A=b c" || c.Env[1] != "D=e" || len(c.ExposedPorts) != 2 ||
		c.Labels["x"] != "y" || c.User != "app" ||
		len(c.Volumes) != 1 || c.WorkingDir != "/w" || c.StopSignal != "SIGINT" || c.Entrypoint[2] != "run it" ||
		img.Inspect().Comment != "hello" {
		t.Errorf("config %+v", c)
	}
	if img.Layers[0].MediaType != "application/vnd.oci.image.layer.v1.tar+gzip" {
		t.Errorf("layer %+v", img.Layers[0])
	}
	objects := len(w.warden.objects())
	for _, tc := range []struct{ q, body, want string }{
		{"&changes=RUN+rm", string(base), "not one of"},
		{"&changes=ENV", string(base), "needs a value"},
		{"&repo=mine@sha256:" + strings.Repeat("a", 64), string(base), "digest reference"},
		{"", "", "nothing came"},
		{"", "not a tar", "cut off"},
	} {
		if code, out := w.call("POST", "/images/create?fromSrc=-"+tc.q, strings.NewReader(tc.body)); !strings.Contains(out,
			tc.want) ||
			code < 400 && !strings.Contains(out, "errorDetail") {
			t.Errorf("%s: %d %s, want %q", tc.q, code, out, tc.want)
		}
	}
	if n := len(w.warden.objects()); n != objects {
		t.Errorf("%d objects, %d before the failures", n, objects)
	}
}

func TestSaveOfSeveralImagesIsOneArchive(t *testing.T) {
	w := newWorld(t)
	w.ok("POST", "/images/load", bytes.NewReader(dockerArchive("app:1", configOf(base), base)))
	w.ok("POST", "/images/load", bytes.NewReader(dockerArchive("app:2", configOf(base, top), base, top)))
	w.ok("POST", "/images/app:1/tag?repo=app&tag=3", nil)
	saved := w.ok("GET", "/images/get?names=app", nil)
	names := map[string]bool{}
	for r := tar.NewReader(strings.NewReader(saved)); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names[h.Name] = true
	}
	if !names["index.json"] || !names["manifest.json"] || !names["blobs/sha256/"+digest.FromBytes(base).Encoded()] {
		t.Errorf("entries %v", names)
	}
	other := newWorld(t)
	out := other.ok("POST", "/images/load", strings.NewReader(saved))
	for _, n := range []string{"app:1", "app:2", "app:3"} {
		if !strings.Contains(out, "Loaded image: "+n) {
			t.Errorf("%s is missing: %s", n, out)
		}
	}
	if code, _ := w.call("GET", "/images/nothere/get", nil); code != 404 {
		t.Errorf("save of nothing: %d", code)
	}
	if code, _ := w.call("GET", "/images/get", nil); code != 400 {
		t.Errorf("save without names: %d", code)
	}
}

func TestEmbeddedImageIsThereForWhoeverLooksItUp(t *testing.T) {
	w := newWorld(t)
	const name = "docker.io/library/brig-probe:latest"
	archive := dockerArchive("brig-probe:latest", configOf(base), base)
	w.store.EnsureEmbedded(context.Background(), name, archive)
	if _, err := w.store.Lookup("brig-probe"); err != nil {
		t.Fatal(err)
	}
	w.restart()
	<-w.store.EnsureEmbedded(context.Background(), name, archive)
	if n := w.warden.layers.Load(); n != 1 {
		t.Errorf("the same archive was taken in again: %d workers", n)
	}
	w.restart()
	<-w.store.EnsureEmbedded(context.Background(), name, dockerArchive("brig-probe:latest", configOf(top), top))
	if img := must(w.store.Lookup("brig-probe")); img.ID != digest.FromBytes(configOf(top)).String() {
		t.Errorf("the new archive was not taken in: %+v", img)
	}
	<-w.store.EnsureEmbedded(context.Background(), name, nil)
}

// Progress goes out while the archive still comes in, and neither waits for the other.
func TestLargeArchiveGoesInAndOut(t *testing.T) {
	w := newWorld(t)
	noise := make([]byte, 24<<20)
	seed := rand.New(rand.NewPCG(1, 2))
	for i := range noise {
		noise[i] = byte(seed.Uint32())
	}
	big := tarOf(file{"noise", string(noise)})
	archive := dockerArchive("big:1", configOf(base, big), base, big)
	for _, size := range []int64{int64(len(archive)), -1} { // with Content-Length, and chunked
		req := must(http.NewRequest("POST", "http://brig/images/load", bytes.NewReader(archive)))
		req.ContentLength = size
		res := must(w.http.Do(req))
		out := string(must(io.ReadAll(res.Body)))
		res.Body.Close()
		if !strings.HasSuffix(out, `{"stream":"Loaded image: big:1\n"}`+"\n") {
			t.Fatalf("load: %s", out)
		}
	}
	saved := w.ok("GET", "/images/big:1/get", nil)
	for r := tar.NewReader(strings.NewReader(saved)); ; {
		h, err := r.Next()
		if err != nil {
			t.Fatalf("the layer is not in the archive: %v", err)
		}
		if h.Name == "blobs/sha256/"+digest.FromBytes(big).Encoded() {
			if got := must(io.ReadAll(r)); !bytes.Equal(got, big) {
				t.Error("the layer has changed")
			}
			return
		}
	}
}
