package registry

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/brig-engine/brig/internal/daemon/registry/registrytest"
)

func client(t *testing.T, g *registrytest.Registry, auth Auth) *Client {
	t.Helper()
	name, err := reference.ParseNormalizedNamed(g.Host + "/team/app")
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Pause: time.Millisecond}
	if cert := g.Server.Certificate(); cert != nil {
		o.RootCAs = x509.NewCertPool()
		o.RootCAs.AddCert(cert)
	}
	c := New(name, auth, o)
	t.Cleanup(c.Close)
	return c
}

var config = []byte(`{"architecture":"amd64","os":"linux","rootfs":{"type":"layers"}}`)

func put(g *registrytest.Registry) (manifest, layer ocispec.Descriptor) {
	layer = g.AddBlob(ocispec.MediaTypeImageLayerGzip, bytes.Repeat([]byte("layer"), 1000))
	return g.AddImage("team/app", "1", config, layer), layer
}

func TestPullOverTLSAndLoopbackHTTPWithToken(t *testing.T) {
	for _, tls := range []bool{true, false} {
		g := registrytest.New(t, tls)
		g.Token, g.User, g.Password = "secret-token", "ann", "pw"
		m, layer := put(g)
		c := client(t, g, Auth{Username: "ann", Password: "pw"})
		r, err := c.Resolve(context.Background(), "1", Platform{})
		if err != nil {
			t.Fatal(err)
		}
		if r.Digest != m.Digest.String() || !bytes.Equal(r.Config, config) || len(r.Manifest.Layers) != 1 {
			t.Fatalf("resolved %+v", r)
		}
		var b buffer
		if err := c.Fetch(context.Background(), layer, &b, nil); err != nil || digest.FromBytes(b.Bytes()) != layer.Digest {
			t.Fatalf("fetch: %v", err)
		}
		if err := c.Login(context.Background()); err != nil {
			t.Fatal(err)
		}
		if err := client(t, g, Auth{Username: "ann",
			Password: "no"}).Login(context.Background()); !errdefs.IsPermissionDenied(err) {
			t.Fatalf("a wrong password: %v", err)
		}
		if _, err := client(t, g, Auth{}).Resolve(context.Background(), "1", Platform{}); !errdefs.IsPermissionDenied(err) {
			t.Fatalf("without credentials: %v", err)
		}
	}
}

func TestPlatformIsChosenFromTheIndex(t *testing.T) {
	g := registrytest.New(t, true)
	var list []ocispec.Descriptor
	for _, p := range []ocispec.Platform{{OS: "unknown", Architecture: "unknown"}, {OS: "linux", Architecture: "arm",
		Variant: "v6"},
		{OS: "linux", Architecture: "arm", Variant: "v7"}, {OS: "linux", Architecture: "arm64", Variant: "v8"},
		{OS: "linux", Architecture: "amd64"}} {
		d := g.AddImage("team/app", p.Architecture+p.Variant, fmt.Appendf(nil, `{"os":%q,"architecture":%q,"variant":%q}`,
			p.OS, p.Architecture, p.Variant))
		d.Platform = &p
		list = append(list, d)
	}
	x := g.AddManifest("team/app", "multi", ocispec.MediaTypeImageIndex, ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: list})
	c := client(t, g, Auth{})
	for _, tc := range []struct{ ask, want string }{
		{"linux/amd64", `"amd64"`}, {"arm64", `"arm64","variant":"v8"`}, {"linux/arm64/v8", `"v8"`}, {"linux/arm", `"v7"`},
		{"linux/arm/v6", `"v6"`},
		{"linux/arm/v5", ""}, {"linux/s390x", ""},
	} {
		p, err := ParsePlatform(tc.ask)
		if err != nil {
			t.Fatal(err)
		}
		r, err := c.Resolve(context.Background(), "multi", p)
		switch {
		case tc.want == "" && errdefs.IsNotFound(err):
		case err != nil:
			t.Errorf("%s: %v", tc.ask, err)
		case !strings.Contains(string(r.Config), tc.want) || r.Digest != x.Digest.String():
			t.Errorf("%s: %s, digest %s", tc.ask, r.Config, r.Digest)
		}
	}
}

// An attack answers in the registry's place; what the person then reads must have want in it.
func TestHostileRegistryIsRefused(t *testing.T) {
	var g *registrytest.Registry
	var m, layer ocispec.Descriptor
	on := func(part string, h http.HandlerFunc) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if strings.Contains(r.URL.Path, part) {
				h(w, r)
				return true
			}
			return false
		}
	}
	document := func(kind, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			fmt.Fprint(w, body)
		}
	}
	redirect := func(to string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusTemporaryRedirect) }
	}
	oci, list := ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex
	d := `{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:` + strings.Repeat("a", 64) +
		`","size":2}`
	for _, tc := range []struct {
		name, want string
		ref        string
		before     func() func(http.ResponseWriter, *http.Request) bool
	}{
		{"manifest has another digest", "the content has digest", "digest", func() func(http.ResponseWriter,
			*http.Request) bool {
			return on("/manifests/", document(oci, `{"schemaVersion":2}`))
		}},
		{"announced digest is a lie", "the registry announces", "1", func() func(http.ResponseWriter, *http.Request) bool {
			return on("/manifests/", func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Docker-Content-Digest", "sha256:"+strings.Repeat("b", 64))
				document(oci, `{"schemaVersion":2}`)(w, nil)
			})
		}},
		{"both manifest and index", "CVE-2021-41190", "1", func() func(http.ResponseWriter, *http.Request) bool {
			return on("/manifests/", document(oci, `{"schemaVersion":2,"config":`+d+`,"layers":[],"manifests":[]}`))
		}},
		{"both index and manifest", "CVE-2021-41190", "1", func() func(http.ResponseWriter, *http.Request) bool {
			return on("/manifests/", document(list, `{"schemaVersion":2,"layers":[],"manifests":[]}`))
		}},
		{"sent as one kind, calls itself another", "calls itself", "1", func() func(http.ResponseWriter, *http.Request) bool {
			return on("/manifests/", document(oci, `{"schemaVersion":2,"mediaType":"`+list+`","manifests":[]}`))
		}},
		{"schema 1", "schema 1", "1", func() func(http.ResponseWriter, *http.Request) bool {
			return on("/manifests/", document("application/vnd.docker.distribution.manifest.v1+prettyjws",
				`{"schemaVersion":1,"fsLayers":[]}`))
		}},
		{"foreign layer", "elsewhere", "1", func() func(http.ResponseWriter, *http.Request) bool {
			l := strings.Replace(d, "oci.image.config.v1+json", "docker.image.rootfs.foreign.diff.tar.gzip", 1)
			return on("/manifests/", document(oci, `{"schemaVersion":2,"config":`+d+`,"layers":[`+l+`]}`))
		}},
		{"artifact that is no image", "no container image", "1", func() func(http.ResponseWriter, *http.Request) bool {
			return on("/manifests/", document(oci, `{"schemaVersion":2,"config":`+strings.Replace(d, "image.config", "empty",
				1)+`,"layers":[]}`))
		}},
		{"huge manifest", "more than", "1", func() func(http.ResponseWriter, *http.Request) bool {
			return on("/manifests/", document(oci, strings.Repeat(" ", MaxManifest+1)))
		}},
		{"huge config", "over the limit", "1", func() func(http.ResponseWriter, *http.Request) bool {
			return on("/manifests/", document(oci, `{"schemaVersion":2,"config":`+strings.Replace(d, `"size":2`,
				`"size":9000000`, 1)+`,"layers":[]}`))
		}},
		{"index in an index", "an index in an index", "1", func() func(http.ResponseWriter, *http.Request) bool {
			inner := g.AddManifest("team/app", "inner", list, []byte(`{"schemaVersion":2,"manifests":[]}`))
			inner.Platform = &ocispec.Platform{OS: "linux", Architecture: Platform{}.orHost().Architecture}
			b, _ := json.Marshal(inner)
			outer := document(list, `{"schemaVersion":2,"manifests":[`+string(b)+`]}`)
			return on("/manifests/1", outer)
		}},
		{"manifest elsewhere", "manifests are taken from the registry itself", "1", func() func(http.ResponseWriter,
			*http.Request) bool {
			return on("/manifests/", redirect("https://127.0.0.2/x"))
		}},
		{"blob at the metadata address", "169.254.169.254", "1", func() func(http.ResponseWriter, *http.Request) bool {
			return on("/blobs/", redirect("https://169.254.169.254/latest"))
		}},
		{"blob over plain HTTP", "neither TLS", "1", func() func(http.ResponseWriter, *http.Request) bool {
			return on("/blobs/", redirect("http://127.0.0.1/x"))
		}},
		{"redirects without end", "redirects", "1", func() func(http.ResponseWriter, *http.Request) bool {
			return on("/blobs/", func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, r.URL.Path+"x",
					http.StatusFound)
			})
		}},
		{"blob has another digest", "the registry's content has digest", "1", func() func(http.ResponseWriter,
			*http.Request) bool {
			return on("/blobs/"+layer.Digest.String(), document("", strings.Repeat("wrong", 1000)))
		}},
		{"blob is shorter than announced", "the manifest says 5000", "1", func() func(http.ResponseWriter,
			*http.Request) bool {
			return on("/blobs/"+layer.Digest.String(), document("", "short"))
		}},
		{"blob is longer than announced", "more than the 5000 bytes", "1", func() func(http.ResponseWriter,
			*http.Request) bool {
			return on("/blobs/"+layer.Digest.String(), func(w http.ResponseWriter, _ *http.Request) {
				w.(http.Flusher).Flush() // no Content-Length
				fmt.Fprint(w, strings.Repeat("layer", 1001))
			})
		}},
		{"blob is cut off again and again", "truncated", "1", func() func(http.ResponseWriter, *http.Request) bool {
			return on("/blobs/"+layer.Digest.String(), func(w http.ResponseWriter, _ *http.Request) {
				w.(http.Flusher).Flush()
				fmt.Fprint(w, "layer")
			})
		}},
		{"token server at the metadata address", "169.254.169.254", "1", func() func(http.ResponseWriter,
			*http.Request) bool {
			return on("/v2/", func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Www-Authenticate", `Bearer realm="https://169.254.169.254/t"`)
				w.WriteHeader(http.StatusUnauthorized)
			})
		}},
		{"token server without TLS", "not acceptable", "1", func() func(http.ResponseWriter, *http.Request) bool {
			return on("/v2/", func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Www-Authenticate", `Bearer realm="http://example.com/t"`)
				w.WriteHeader(http.StatusUnauthorized)
			})
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g = registrytest.New(t, true)
			m, layer = put(g)
			g.Before = tc.before()
			ref := tc.ref
			if ref == "digest" {
				ref = m.Digest.String()
			}
			c := client(t, g, Auth{Username: "ann", Password: "pw"})
			r, err := c.Resolve(context.Background(), ref, Platform{})
			if err == nil {
				var b buffer
				err = c.Fetch(context.Background(), r.Manifest.Layers[0], &b, nil)
			}
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("got %v, want an error with %q", err, tc.want)
			}
			if strings.Count(err.Error(), "\n") > 0 {
				t.Errorf("not one line: %q", err)
			}
		})
	}
}

func TestUnverifiedCertificateIsRefused(t *testing.T) {
	g := registrytest.New(t, true)
	put(g)
	name, _ := reference.ParseNormalizedNamed(g.Host + "/team/app")
	c := New(name, Auth{}, Options{Pause: time.Millisecond})
	defer c.Close()
	if _, err := c.Resolve(context.Background(), "1", Platform{}); !errdefs.IsPermissionDenied(err) ||
		!strings.Contains(err.Error(), "certificate") {
		t.Fatal(err)
	}
	if log := g.Requests(); len(log) != 0 {
		t.Fatalf("requests went to a server that nobody vouches for: %q", log)
	}
}

// An interrupted download is taken up where it stopped, and hashed as a whole.
func TestInterruptedBlobIsResumed(t *testing.T) {
	g := registrytest.New(t, true)
	_, layer := put(g)
	var ranges []string
	g.Before = func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "/blobs/") {
			return false
		}
		ranges = append(ranges, r.Header.Get("Range"))
		body := bytes.Repeat([]byte("layer"), 1000)
		from := 0
		if n, _ := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from); n == 1 {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-4999/5000", from))
			w.WriteHeader(http.StatusPartialContent)
		}
		w.(http.Flusher).Flush()
		_, _ = w.Write(body[from:min(from+2000, 5000)])
		return true
	}
	c := client(t, g, Auth{})
	var b buffer
	if err := c.Fetch(context.Background(), layer, &b, nil); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(ranges, " "); got != " bytes=2000- bytes=4000-" {
		t.Errorf("ranges %q", got)
	}
}

func TestPushSendsWhatIsMissingAndSetsTheTagLast(t *testing.T) {
	from, to := registrytest.New(t, true), registrytest.New(t, true)
	_, layer := put(from)
	to.AddBlob("", bytes.Repeat([]byte("layer"), 1000))
	r, err := client(t, from, Auth{}).Resolve(context.Background(), "1", Platform{})
	if err != nil {
		t.Fatal(err)
	}
	c := client(t, to, Auth{})
	if has, err := c.HasBlob(context.Background(), layer); err != nil || !has {
		t.Fatalf("has the layer: %v %v", has, err)
	}
	if has, err := c.HasBlob(context.Background(), r.Manifest.Config); err != nil || has {
		t.Fatalf("has the config: %v %v", has, err)
	}
	if err := c.PushBlob(context.Background(), r.Manifest.Config, bytes.NewReader(config), nil); err != nil {
		t.Fatal(err)
	}
	if err := c.PutManifest(context.Background(), "2", r.Manifest); err != nil {
		t.Fatal(err)
	}
	d, _, err := c.Describe(context.Background(), "2")
	if err != nil || d.Digest.String() != r.Manifest.Digest {
		t.Fatalf("%v %v", d, err)
	}
}

func TestUploadNeverLeavesTheRegistry(t *testing.T) {
	for _, to := range []string{"https://127.0.0.2/up", "http://HOST/up"} {
		g := registrytest.New(t, true)
		g.Before = func(w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("Location", strings.Replace(to, "HOST", g.Host, 1))
			w.WriteHeader(http.StatusAccepted)
			return true
		}
		d := ocispec.Descriptor{Digest: digest.FromBytes(config), Size: int64(len(config))}
		err := client(t, g, Auth{}).PushBlob(context.Background(), d, bytes.NewReader(config), nil)
		if !errdefs.IsPermissionDenied(err) || len(g.Requests()) != 2 { // ping and POST
			t.Errorf("%s: %v", to, err)
		}
	}
}

func TestAddresses(t *testing.T) {
	here, there := &Client{host: "127.0.0.1", loopback: true}, &Client{host: "registry.example"}
	for _, tc := range []struct {
		addr                             string
		own, away, loopbackOwn, loopAway bool
	}{
		{"93.184.216.34", true, true, false, true},
		{"10.0.0.5", true, true, false, true},
		{"127.0.0.1", true, false, true, true},
		{"::1", true, false, true, true},
		{"169.254.169.254", false, false, false, false},
		{"fe80::1", false, false, false, false},
		{"fd00:ec2::254", false, false, false, false},
		{"100.100.100.200", false, false, false, false},
		{"0.0.0.0", true, false, false, false},
		{"224.0.0.1", true, false, false, false},
	} {
		a := netip.MustParseAddr(tc.addr)
		got := []bool{there.ownAddress(a) == nil, there.awayAddress(a) == nil, here.ownAddress(a) == nil,
			here.awayAddress(a) == nil}
		want := []bool{tc.own, tc.away, tc.loopbackOwn, tc.loopAway}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %v, want %v", tc.addr, got, want)
		}
	}
	for host, want := range map[string]bool{"localhost": true, "localhost:5000": true, "127.9.9.9:1": true,
		"[::1]:5000":        true,
		"localhost.example": false, "registry.example:443": false, "10.0.0.1": false} {
		if onThisMachine(host) != want {
			t.Errorf("onThisMachine(%s) is not %v", host, want)
		}
	}
}

func TestAuthHeader(t *testing.T) {
	for _, h := range []string{"", "e30=", "eyJ1c2VybmFtZSI6ImEiLCJwYXNzd29yZCI6ImI_In0",
		"eyJ1c2VybmFtZSI6ImEiLCJwYXNzd29yZCI6ImI/In0="} {
		a, err := DecodeAuth(h)
		if err != nil || len(h) > 10 && (a.Username != "a" || a.Password != "b?") {
			t.Errorf("%q: %+v %v", h, a, err)
		}
	}
	for _, h := range []string{"!", "bm90IGpzb24=", strings.Repeat("a", maxAuth+1)} {
		if _, err := DecodeAuth(h); !errdefs.IsInvalidArgument(err) {
			t.Errorf("%.10q: %v", h, err)
		}
	}
}

func TestCancelledDownloadEnds(t *testing.T) {
	g := registrytest.New(t, true)
	_, layer := put(g)
	ctx, cancel := context.WithCancel(context.Background())
	g.Before = func(w http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, "/blobs/") {
			w.(http.Flusher).Flush()
			cancel()
			<-r.Context().Done()
			return true
		}
		return false
	}
	var b buffer
	if err := client(t, g, Auth{}).Fetch(ctx, layer, &b, nil); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

func TestStalledDownloadEnds(t *testing.T) {
	g := registrytest.New(t, true)
	_, layer := put(g)
	g.Before = func(w http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, "/blobs/") {
			w.(http.Flusher).Flush()
			<-r.Context().Done()
			return true
		}
		return false
	}
	c := client(t, g, Auth{})
	c.stall = 20 * time.Millisecond
	var b buffer
	err := c.Fetch(context.Background(), layer, &b, nil)
	if !errdefs.IsUnavailable(err) || !strings.Contains(err.Error(), "nothing came for 20ms") {
		t.Fatal(err)
	}
}

func FuzzManifest(f *testing.F) {
	f.Add("", []byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"digest":"x","platform":{"os":"linux"}}]}`))
	f.Add(ocispec.MediaTypeImageManifest,
		[]byte(`{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:`+
			strings.Repeat("a", 64)+`","size":1},"layers":[]}`))
	f.Add("application/json", []byte(`{"schemaVersion":1}`))
	f.Fuzz(func(t *testing.T, kind string, body []byte) {
		m, x, err := parse(kind, body)
		if err != nil {
			return
		}
		if (m == nil) == (x == nil) {
			t.Fatal("not exactly one document")
		}
		if x != nil {
			d, err := x.choose(Platform{})
			if err == nil && CheckDigest(d.Digest.String()) != nil {
				t.Fatal("a manifest without a digest was chosen")
			}
			return
		}
		for _, d := range append([]ocispec.Descriptor{m.Config}, m.Layers...) {
			if CheckDigest(d.Digest.String()) != nil || d.Size < 0 {
				t.Fatalf("descriptor %+v was let through", d)
			}
		}
	})
}

func FuzzChallenge(f *testing.F) {
	f.Add(`Bearer realm="https://auth.example/token",service="registry",scope="repository:a:pull"`)
	f.Add(`Basic realm=x, charset=UTF-8`)
	f.Fuzz(func(t *testing.T, line string) {
		parseChallenges(http.Header{"Www-Authenticate": {line}})
	})
}

func TestMain(m *testing.M) {
	// A proxy of the environment must not matter.
	os.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	os.Exit(m.Run())
}
