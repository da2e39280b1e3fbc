package drill

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/brig-engine/brig/internal/drill/netns"
)

// Login is what a person has given an engine for one registry.
type Login struct {
	Username, Password string
}

// registry is a registry without honesty: what of the OCI distribution protocol a pull needs. It notes who came, what
// was asked for, and what was said with it.
type registry struct {
	// What it is to be is set before open.
	goods  *goods
	demand string // the scheme of credentials that it wants: "" (none), Basic or Bearer
	login  Login  // what convinces it, or its token service
	ticket token  // what its token service sells
	away   string // the host that it redirects to for blobs; "" for none
	astray bool   // it redirects once more, to itself, before it gives a blob

	host   string // address:port, as a reference names it
	server *http.Server
	knocks atomic.Int32 // connections, whatever was said over them
	sent   atomic.Int32 // redirects to away

	mu     sync.Mutex
	visits []visit
}

// visit is one request.
type visit struct {
	path string
	said string // URL and headers, and what a Basic header hides in base64
}

const (
	repository = "brig-drill/canary"
	maxVisits  = 1000
)

// open serves from a listener until close; with certificates over TLS.
func (g *registry) open(l net.Listener, certificates ...tls.Certificate) {
	g.host = l.Addr().String()
	if len(certificates) > 0 {
		l = tls.NewListener(l, &tls.Config{Certificates: certificates, MinVersion: tls.VersionTLS12})
	}
	g.server = &http.Server{Handler: g, ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 64 << 10,
		ErrorLog: log.New(io.Discard, "", 0), // who breaks off has understood something
		ConnState: func(_ net.Conn, s http.ConnState) {
			if s == http.StateNew {
				g.knocks.Add(1)
			}
		}}
	go g.server.Serve(l)
}

func (g *registry) close() { g.server.Close() }

// openAt opens a registry at an address of the network that the engine calls the host's.
func (r *run) openAt(g *registry, ip string) error {
	return netns.Do(r.network, func() error {
		l, err := net.Listen("tcp4", net.JoinHostPort(ip, "0"))
		if err == nil {
			g.open(l)
		}
		return err
	})
}

// named is how a person writes an image of the registry; ref is a tag or a digest.
func (g *registry) named(ref string) string {
	if strings.Contains(ref, ":") {
		return g.host + "/" + repository + "@" + ref
	}
	return g.host + "/" + repository + ":" + ref
}

// asked tells whether somebody asked for a path that ends so.
func (g *registry) asked(end string) bool {
	return g.any(func(v visit) bool { return strings.HasSuffix(v.path, end) })
}

// heard tells whether one of the secrets was ever said.
func (g *registry) heard(secrets ...string) bool {
	return g.any(func(v visit) bool {
		for _, s := range secrets {
			if strings.Contains(v.said, s) {
				return true
			}
		}
		return false
	})
}

func (g *registry) any(is func(visit) bool) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, v := range g.visits {
		if is(v) {
			return true
		}
	}
	return false
}

func (g *registry) note(q *http.Request) {
	var said strings.Builder
	said.WriteString(q.URL.String() + "\n")
	q.Header.Write(&said)
	_, password, _ := q.BasicAuth()
	said.WriteString(password)
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.visits) < maxVisits {
		g.visits = append(g.visits, visit{q.URL.Path, said.String()})
	}
}

// ServeHTTP answers what a pull asks for.
func (g *registry) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	g.note(q)
	dir, name := path.Split(q.URL.Path)
	switch {
	case q.URL.Path == "/token":
		g.sell(w, q)
	case !g.convinced(q):
		w.Header().Set("Www-Authenticate", g.challenge())
		http.Error(w, `{"errors":[{"code":"UNAUTHORIZED","message":"who are you?"}]}`, http.StatusUnauthorized)
	case q.URL.Path == "/v2/":
		send(w, q, "application/json", []byte("{}"))
	case strings.HasSuffix(dir, "/manifests/"):
		w.Header().Set("Docker-Content-Digest", g.goods.claimed(name))
		send(w, q, manifestType, g.goods.manifest(name))
	case strings.HasSuffix(dir, "/blobs/") && g.away != "":
		g.sent.Add(1)
		http.Redirect(w, q, "http://"+g.away+q.URL.Path, http.StatusTemporaryRedirect)
	case strings.HasSuffix(dir, "/blobs/") && g.astray && q.URL.RawQuery == "":
		http.Redirect(w, q, q.URL.Path+"?once=more", http.StatusTemporaryRedirect)
	case strings.HasSuffix(dir, "/blobs/"):
		send(w, q, "application/octet-stream", g.goods.blob(name))
	default:
		http.NotFound(w, q)
	}
}

// send answers with a document, or that there is none.
func send(w http.ResponseWriter, q *http.Request, kind string, content []byte) {
	if content == nil {
		http.NotFound(w, q)
		return
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Length", strconv.Itoa(len(content)))
	if q.Method != http.MethodHead {
		w.Write(content)
	}
}

func (g *registry) convinced(q *http.Request) bool {
	switch g.demand {
	case "Basic":
		return g.knows(q)
	case "Bearer":
		return q.Header.Get("Authorization") == "Bearer "+string(g.ticket)
	}
	return true
}

func (g *registry) knows(q *http.Request) bool {
	user, password, _ := q.BasicAuth()
	return Login{user, password} == g.login
}

func (g *registry) challenge() string {
	if g.demand == "Bearer" {
		return fmt.Sprintf(`Bearer realm="http://%s/token",service="drill",scope="repository:%s:pull"`, g.host, repository)
	}
	return `Basic realm="drill"`
}

// sell is the token service.
func (g *registry) sell(w http.ResponseWriter, q *http.Request) {
	if !g.knows(q) {
		http.Error(w, "{}", http.StatusUnauthorized)
		return
	}
	send(w, q, "application/json", encode(map[string]any{"token": string(g.ticket), "expires_in": 300}))
}
