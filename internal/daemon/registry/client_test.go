package registry

import (
	"bytes"
	"context"
	"crypto/x509"
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
	f.Add("", []byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json",`+
		`"manifests":[{"digest":"x","platform":{"os":"linux"}}]}`))
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

func TestAnnotationsMayHaveAnyNames(t *testing.T) {
	body := `{"schemaVersion":2,"annotations":{"Config":"a","config":"b","x":{"Size":1}},"manifests":[]}`
	if _, _, err := parse(ocispec.MediaTypeImageIndex, []byte(body)); err != nil {
		t.Error(err)
	}
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
