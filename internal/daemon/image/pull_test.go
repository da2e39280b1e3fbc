package image_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/brig-engine/brig/internal/daemon/image"
	"github.com/brig-engine/brig/internal/wire"
	"github.com/brig-engine/brig/internal/wire/jobs"
	"github.com/brig-engine/brig/internal/wire/objects"
)

func TestPullMakesAnImageThatIsFoundByEveryReference(t *testing.T) {
	w := newWorld(t)
	d := w.publish("team/app", "1", base, top)
	out := w.pull(w.reg.Host + "/team/app:1")
	for _, want := range []string{"Pulling from team/app", "Pulling fs layer", "Pull complete", "Digest: " +
		d.Digest.String(), "Downloaded newer image"} {
		if !strings.Contains(out, want) {
			t.Errorf("progress lacks %q:\n%s", want, out)
		}
	}
	if out := w.pull(w.reg.Host + "/team/app:1"); !strings.Contains(out, "Image is up to date") ||
		strings.Count(out, "Already exists") != 2 {
		t.Errorf("second pull:\n%s", out)
	}
	img, err := w.store.Lookup(w.reg.Host + "/team/app:1")
	if err != nil {
		t.Fatal(err)
	}
	if len(img.Users) != 2 || img.Users[1].Home != "/home/app" || len(img.Groups) != 2 ||
		img.Manifest != d.Digest.String() {
		t.Errorf("image %+v", img)
	}
	if img.ID != digest.FromBytes(configOf(base, top)).String() || img.Layers[1].DiffID != digest.FromBytes(top).String() {
		t.Errorf("ids are wrong: %+v", img)
	}
	w.restart()
	hex := strings.TrimPrefix(img.ID, "sha256:")
	for _, ref := range []string{w.reg.Host + "/team/app:1", w.reg.Host + "/team/app@" + d.Digest.String(),
		w.reg.Host + "/team/app:other@" + d.Digest.String(), img.ID, hex, hex[:12], "sha256:" + hex[:5]} {
		got, err := w.store.Lookup(ref)
		if err != nil || got.ID != img.ID || len(got.Names) != 1 || len(got.Digests) != 1 {
			t.Errorf("%s: %v %v", ref, got, err)
		}
	}
	for _, ref := range []string{"nothere", w.reg.Host + "/team/app:2", "sha256:" + strings.Repeat("0", 64), "", "../x",
		strings.Repeat("a", 5000)} {
		if _, err := w.store.Lookup(ref); !errdefs.IsNotFound(err) && !errdefs.IsInvalidArgument(err) {
			t.Errorf("%.20q: %v", ref, err)
		}
	}
}

func TestLayersAreMadeOnceAndSharedBetweenImages(t *testing.T) {
	w := newWorld(t)
	w.publish("team/app", "1", base, top)
	w.publish("team/app", "2", base, tarOf(file{"other", "x"}))
	w.pull(w.reg.Host + "/team/app:1")
	w.restart()
	w.reg.Requests()
	if out := w.pull(w.reg.Host + "/team/app:2"); !strings.Contains(out, "Already exists") {
		t.Errorf("progress:\n%s", out)
	}
	if n := w.warden.layers.Load(); n != 3 {
		t.Errorf("%d layer workers ran, not 3", n)
	}
	for _, line := range w.reg.Requests() {
		if strings.Contains(line, digest.FromBytes(zip(base)).String()) {
			t.Errorf("a layer that is here was fetched again: %s", line)
		}
	}
}

func TestPullsOfOneLayerAtOnceShareTheWork(t *testing.T) {
	w := newWorld(t)
	w.publish("team/app", "1", base)
	w.publish("team/b", "1", base, top)
	release := make(chan struct{})
	var once sync.Once
	blob := digest.FromBytes(zip(base)).String()
	w.reg.Before = func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, blob) {
			once.Do(func() { <-release })
		}
		return false
	}
	var wg sync.WaitGroup
	for _, ref := range []string{"/team/app:1", "/team/app:1", "/team/b:1"} {
		wg.Go(func() { w.pull(w.reg.Host + ref) })
	}
	time.Sleep(100 * time.Millisecond)
	close(release)
	wg.Wait()
	n := 0
	for _, line := range w.reg.Requests() {
		if strings.HasSuffix(line, blob) {
			n++
		}
	}
	if n != 1 || w.warden.layers.Load() != 2 {
		t.Errorf("%d downloads of one layer, %d workers for two", n, w.warden.layers.Load())
	}
}

func TestFailedPullLeavesNothing(t *testing.T) {
	for _, tc := range []struct {
		name, want string
		prepare    func(w *world)
	}{
		{"wrong diffID", "the image config says", func(w *world) {
			w.reg.AddImage("team/app", "1", configOf(base, base), w.reg.AddBlob(ocispec.MediaTypeImageLayerGzip, zip(base)),
				w.reg.AddBlob(ocispec.MediaTypeImageLayerGzip, zip(top)))
		}},
		{"more layers than the config has", "describes 1 layers, the manifest 2", func(w *world) {
			w.reg.AddImage("team/app", "1", configOf(base), w.reg.AddBlob(ocispec.MediaTypeImageLayerGzip, zip(base)),
				w.reg.AddBlob(ocispec.MediaTypeImageLayerGzip, zip(top)))
		}},
		{"layer with another content", "digest", func(w *world) {
			w.publish("team/app", "1", base, top)
			w.reg.Blobs[digest.FromBytes(zip(top)).String()] = bytes.Repeat([]byte("x"), len(zip(top)))
		}},
		{"unknown compression", "xz", func(w *world) {
			w.reg.AddImage("team/app", "1", configOf(base, top), w.reg.AddBlob(ocispec.MediaTypeImageLayerGzip, zip(base)),
				w.reg.AddBlob(ocispec.MediaTypeImageLayerGzip, []byte("\xfd7zXZ\x00not supported")))
		}},
		{"image for windows", "only images for linux", func(w *world) {
			w.reg.AddImage("team/app", "1", bytes.Replace(configOf(base), []byte(`"linux"`), []byte(`"windows"`), 1),
				w.reg.AddBlob(ocispec.MediaTypeImageLayerGzip, zip(base)))
		}},
		{"worker that lies about the digest", "the image config says", func(w *world) {
			w.publish("team/app", "1", base, top)
			w.warden.twist = func(r *jobs.Result) {
				if r.Layer != nil {
					r.Layer.DiffID = "sha256:" + strings.Repeat("1", 64)
				}
			}
		}},
		{"full disk", "no space left", func(w *world) {
			w.publish("team/app", "1", base, top)
			w.warden.full.Store(true)
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			tc.prepare(w)
			_, out := w.call("POST", "/images/create?fromImage="+w.reg.Host+"/team/app&tag=1", nil)
			if !strings.Contains(out, tc.want) {
				t.Errorf("got %s, want an error with %q", out, tc.want)
			}
			if left := w.warden.objects(); len(left) > 0 || w.store.Count() != 0 {
				t.Errorf("left behind: %q, %d images", left, w.store.Count())
			}
		})
	}
}

func TestCancelledPullLeavesNothing(t *testing.T) {
	w := newWorld(t)
	w.publish("team/app", "1", base, top)
	ctx, cancel := context.WithCancel(context.Background())
	w.reg.Before = func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, digest.FromBytes(zip(top)).String()) {
			cancel()
			<-r.Context().Done()
		}
		return false
	}
	name, err := image.ParseName(w.reg.Host + "/team/app:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.store.Pull(ctx, image.PullOptions{Name: name}, func(image.Event) {}); err == nil {
		t.Fatal("a cancelled pull succeeded")
	}
	if left := w.warden.objects(); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// A second pull goes on when the first, which does the work, is cancelled.
func TestPullOutlivesTheOneItShares(t *testing.T) {
	w := newWorld(t)
	w.publish("team/app", "1", base)
	ctx, cancel := context.WithCancel(context.Background())
	reached, goOn := make(chan struct{}, 8), make(chan struct{})
	w.reg.Before = func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, digest.FromBytes(zip(base)).String()) {
			reached <- struct{}{}
			<-goOn
		}
		return false
	}
	name, err := image.ParseName(w.reg.Host + "/team/app:1")
	if err != nil {
		t.Fatal(err)
	}
	first, second := make(chan error, 1), make(chan error, 1)
	go func() { first <- w.store.Pull(ctx, image.PullOptions{Name: name}, func(image.Event) {}) }()
	<-reached
	waiting := make(chan struct{})
	var once sync.Once
	go func() {
		second <- w.store.Pull(context.Background(), image.PullOptions{Name: name}, func(e image.Event) {
			if e.Status == "Pulling fs layer" {
				once.Do(func() { close(waiting) })
			}
		})
	}()
	<-waiting
	time.Sleep(50 * time.Millisecond) // until it has joined
	cancel()
	if err := <-first; err == nil {
		t.Error("the cancelled pull succeeded")
	}
	close(goOn)
	if err := <-second; err != nil {
		t.Error(err)
	}
	if n := w.warden.layers.Load(); n != 1 {
		t.Errorf("%d layer workers", n)
	}
}

func TestTagThatMovesLeavesTheOldImageDangling(t *testing.T) {
	w := newWorld(t)
	w.publish("team/app", "1", base)
	w.pull(w.reg.Host + "/team/app:1")
	w.publish("team/app", "1", base, top)
	w.pull(w.reg.Host + "/team/app:1")
	w.restart()
	if got := w.ok("GET", `/images/json?filters={"dangling":["true"]}`, nil); !strings.Contains(got,
		digest.FromBytes(configOf(base)).String()) {
		t.Errorf("the old image is not dangling: %s", got)
	}
	got := w.ok("POST", "/images/prune", nil)
	if !strings.Contains(got, digest.FromBytes(configOf(base)).String()) || strings.Contains(got,
		`"SpaceReclaimed":0`) || w.store.Count() != 1 {
		t.Errorf("pruned %s, %d images left", got, w.store.Count())
	}
}

func TestPlatformIsCheckedWhereThereIsNoIndex(t *testing.T) {
	w := newWorld(t)
	w.publish("team/app", "1", base)
	code, out := w.call("POST", "/images/create?fromImage="+w.reg.Host+"/team/app&tag=1&platform=linux/s390x", nil)
	if code != http.StatusBadRequest || !strings.Contains(out, "does not match the specified platform") {
		t.Errorf("%d %s", code, out)
	}
}

func TestSweepRemovesWhatNoImageNeeds(t *testing.T) {
	w := newWorld(t)
	w.publish("team/app", "1", base)
	w.pull(w.reg.Host + "/team/app:1")
	want := w.warden.objects()
	c := w.warden.client(t)
	fds, err := c.Call(context.Background(), objects.Create, struct{}{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Give(context.Background(), objects.Seal, wire.ObjectRef{}, &objects.Object{}, fds[0]); err != nil {
		t.Fatal(err)
	}
	w.restart()
	if err := w.store.Sweep(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got := w.warden.objects(); !slices.Equal(got, want) {
		t.Errorf("after the sweep: %q, want %q", got, want)
	}
}

func TestImageWhoseObjectsAreGoneIsDropped(t *testing.T) {
	w := newWorld(t)
	w.publish("team/app", "1", base)
	w.pull(w.reg.Host + "/team/app:1")
	img := must(w.store.Lookup(w.reg.Host + "/team/app:1"))
	c := w.warden.client(t)
	if _, err := c.Call(context.Background(), wire.OpIndexRemove, wire.ObjectRef{Digest: img.Index}, nil); err != nil {
		t.Fatal(err)
	}
	w.restart()
	if w.store.Count() != 0 {
		t.Error("an image without its index is still there")
	}
	if err := w.store.Sweep(context.Background()); err != nil || len(w.warden.objects()) > 0 {
		t.Errorf("%v %q", err, w.warden.objects())
	}
	w.pull(w.reg.Host + "/team/app:1")
}

func TestPullRefusesInOneSentence(t *testing.T) {
	w := newWorld(t)
	for path, want := range map[string]string{
		"fromImage=" + w.reg.Host + "/x&tag=1": "not found",
		"fromImage=" + w.reg.Host + "/x":       "all tags",
		"fromImage=UPPER&tag=1":                "invalid reference",
		"fromImage=x&tag=a%20b":                "invalid reference",
		"fromSrc=http://x/y.tar":               "URL",
		"":                                     "one of fromImage",
		"fromImage=sha256&tag=" + strings.Repeat("a", 64): "digest algorithm",
		"fromImage=x&tag=1&platform=windows":              "linux",
		"fromImage=127.0.0.1:1/x&tag=1":                   "connection refused",
	} {
		code, out := w.call("POST", "/images/create?"+path, nil)
		if code < 400 || !strings.Contains(out, want) || strings.Contains(out, "\\n") {
			t.Errorf("%s: %d %s, want %q", path, code, out, want)
		}
	}
	if code, out := w.call("POST", "/images/create?fromImage=x&tag=1", nil, "X-Registry-Auth", "%%"); code != 400 {
		t.Errorf("%d %s", code, out)
	}
}

func FuzzReference(f *testing.F) {
	for _, s := range []string{"alpine", "a:b", "a@sha256:" + strings.Repeat("a", 64), "host:5000/a/b:c", "sha256:" +
		strings.Repeat("a", 64), "a/../b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := image.ParseName(s)
		if err != nil {
			return
		}
		again, err := image.ParseName(n.String())
		if err != nil || again.String() != n.String() {
			t.Fatalf("%q became %q, then %v %v", s, n, again, err)
		}
		if strings.Contains(n.String(), "..") && strings.Contains(fmt.Sprint(n), "/../") {
			t.Fatalf("%q has a path in it", n)
		}
	})
}

func FuzzConfig(f *testing.F) {
	f.Add(configOf(base))
	f.Add(bytes.Replace(configOf(base), []byte("2024-05-06T07:08:09Z"), []byte("9999-12-31T23:59:59-01:00"), 1))
	f.Add([]byte(`{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":["sha256:x"]}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := image.ParseConfig(b)
		if err != nil {
			return
		}
		img := &image.Image{ID: "sha256:" + strings.Repeat("a", 64), Config: *c}
		if _, err := json.Marshal(img); err != nil {
			t.Fatalf("no record can be made of it: %v", err)
		}
		img.Inspect()
		img.History()
	})
}
