package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/brig-engine/brig/internal/daemon/registry/registrytest"
)

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
		{"a name twice", "ambiguous", "1", func() func(http.ResponseWriter, *http.Request) bool {
			return on("/manifests/", document(oci, `{"schemaVersion":2,"config":`+d+`,"layers":[],"layers":[]}`))
		}},
		{"a name in another spelling", "ambiguous", "1", func() func(http.ResponseWriter, *http.Request) bool {
			return on("/manifests/", document(oci, `{"schemaVersion":2,"config":`+strings.Replace(d, "digest", "Digest",
				1)+`,"layers":[]}`))
		}},
		{"nested without end", "nested", "1", func() func(http.ResponseWriter, *http.Request) bool {
			return on("/manifests/", document(oci, `{"x":`+strings.Repeat("[", 5000)+strings.Repeat("]", 5000)+`}`))
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
