// Package registrytest is a registry in memory, for tests: it takes pushes, serves pulls, asks for tokens if told to,
// and lies where a test makes it.
package registrytest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Registry is one registry. Its maps may be changed by a test before the first request.
type Registry struct {
	Server *httptest.Server
	// Host is what stands before the repository in a reference.
	Host string
	// Token, if set, is what clients need; the token server gives it for User and Password.
	Token, User, Password string
	// Before may answer a request in the registry's place, and then returns true.
	Before func(w http.ResponseWriter, r *http.Request) bool

	mu        sync.Mutex
	Manifests map[string]Manifest // by repository/tag and repository/digest
	Blobs     map[string][]byte   // by digest
	Log       []string            // METHOD path of each request
}

// Manifest is a stored document.
type Manifest struct {
	Type string
	Body []byte
}

// New starts a registry on the loopback interface; it ends with the test.
func New(t testing.TB, tls bool) *Registry {
	t.Helper()
	g := &Registry{Manifests: map[string]Manifest{}, Blobs: map[string][]byte{}}
	if g.Server = httptest.NewUnstartedServer(g); tls {
		g.Server.StartTLS()
	} else {
		g.Server.Start()
	}
	t.Cleanup(g.Server.Close)
	g.Host = g.Server.Listener.Addr().String()
	return g
}

// Requests gives the log and starts a new one.
func (g *Registry) Requests() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	log := g.Log
	g.Log = nil
	return log
}

// AddBlob stores a blob and describes it.
func (g *Registry) AddBlob(mediaType string, b []byte) ocispec.Descriptor {
	d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(b), Size: int64(len(b))}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.Blobs[d.Digest.String()] = b
	return d
}

// AddManifest stores a document under a tag and its digest.
func (g *Registry) AddManifest(repo, tag, mediaType string, doc any) ocispec.Descriptor {
	body, raw := doc.([]byte)
	if !raw {
		var err error
		if body, err = json.Marshal(doc); err != nil {
			panic(err)
		}
	}
	d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(body), Size: int64(len(body))}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.Manifests[repo+"/"+tag] = Manifest{mediaType, body}
	g.Manifests[repo+"/"+d.Digest.String()] = Manifest{mediaType, body}
	return d
}

// AddImage stores an image and its manifest.
func (g *Registry) AddImage(repo, tag string, config []byte, layers ...ocispec.Descriptor) ocispec.Descriptor {
	return g.AddManifest(repo, tag, ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: g.AddBlob(ocispec.MediaTypeImageConfig, config), Layers: layers,
	})
}

// ServeHTTP answers requests.
func (g *Registry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	g.Log = append(g.Log, r.Method+" "+r.URL.Path)
	g.mu.Unlock()
	if g.Before != nil && g.Before(w, r) {
		return
	}
	if r.URL.Path == "/token" {
		g.token(w, r)
		return
	}
	if g.Token != "" && r.Header.Get("Authorization") != "Bearer "+g.Token {
		w.Header().Set("Www-Authenticate", fmt.Sprintf(`Bearer realm="%s/token",service="test"`, g.Server.URL))
		g.fail(w, http.StatusUnauthorized, "UNAUTHORIZED", "who are you")
		return
	}
	repo, kind, rest := split(r.URL.Path)
	switch kind {
	case "manifests":
		g.manifest(w, r, repo, rest)
	case "blobs":
		g.blob(w, r, repo, rest)
	default:
		if r.URL.Path != "/v2/" {
			g.fail(w, http.StatusNotFound, "NAME_UNKNOWN", "nothing here")
		}
	}
}

// split cuts /v2/NAME/manifests/REF or /v2/NAME/blobs/REST.
func split(path string) (repo, kind, rest string) {
	path = strings.TrimPrefix(path, "/v2/")
	for _, k := range []string{"manifests", "blobs"} {
		if a, b, ok := strings.Cut(path, "/"+k+"/"); ok {
			return a, k, b
		}
	}
	return "", "", ""
}

func (g *Registry) token(w http.ResponseWriter, r *http.Request) {
	user, password, _ := r.BasicAuth()
	if user != g.User || password != g.Password {
		g.fail(w, http.StatusUnauthorized, "UNAUTHORIZED", "wrong password")
		return
	}
	fmt.Fprintf(w, `{"token":%q}`, g.Token)
}

func (g *Registry) fail(w http.ResponseWriter, code int, name, text string) {
	w.WriteHeader(code)
	fmt.Fprintf(w, `{"errors":[{"code":%q,"message":%q}]}`, name, text)
}

func (g *Registry) manifest(w http.ResponseWriter, r *http.Request, repo, ref string) {
	if r.Method == http.MethodPut {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			g.fail(w, http.StatusBadRequest, "MANIFEST_INVALID", err.Error())
			return
		}
		d := g.AddManifest(repo, ref, r.Header.Get("Content-Type"), body)
		w.Header().Set("Docker-Content-Digest", d.Digest.String())
		w.WriteHeader(http.StatusCreated)
		return
	}
	g.mu.Lock()
	m, ok := g.Manifests[repo+"/"+ref]
	g.mu.Unlock()
	if !ok {
		g.fail(w, http.StatusNotFound, "MANIFEST_UNKNOWN", "manifest unknown")
		return
	}
	w.Header().Set("Content-Type", m.Type)
	w.Header().Set("Docker-Content-Digest", digest.FromBytes(m.Body).String())
	_, _ = w.Write(m.Body)
}

func (g *Registry) blob(w http.ResponseWriter, r *http.Request, repo, rest string) {
	switch r.Method {
	case http.MethodPost:
		w.Header().Set("Location", "/v2/"+repo+"/blobs/uploads/1?state=x")
		w.WriteHeader(http.StatusAccepted)
	case http.MethodPut:
		body, err := io.ReadAll(r.Body)
		sum := sha256.Sum256(body)
		if want := r.URL.Query().Get("digest"); err != nil || "sha256:"+hex.EncodeToString(sum[:]) != want {
			g.fail(w, http.StatusBadRequest, "DIGEST_INVALID", "the digest differs")
			return
		}
		g.AddBlob("", body)
		w.WriteHeader(http.StatusCreated)
	default:
		g.mu.Lock()
		b, ok := g.Blobs[rest]
		g.mu.Unlock()
		if !ok {
			g.fail(w, http.StatusNotFound, "BLOB_UNKNOWN", "blob unknown")
			return
		}
		w.Header().Set("Content-Length", fmt.Sprint(len(b)))
		if r.Method == http.MethodGet {
			_, _ = w.Write(b)
		}
	}
}
