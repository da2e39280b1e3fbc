package api

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	apiimage "github.com/moby/moby/api/types/image"

	"github.com/brig-engine/brig/internal/daemon/container"
	"github.com/brig-engine/brig/internal/daemon/damage"
	"github.com/brig-engine/brig/internal/daemon/event"
	"github.com/brig-engine/brig/internal/daemon/image"
	"github.com/brig-engine/brig/internal/daemon/log"
	"github.com/brig-engine/brig/internal/daemon/metrics"
	"github.com/brig-engine/brig/internal/daemon/network"
	"github.com/brig-engine/brig/internal/daemon/policy"
	"github.com/brig-engine/brig/internal/daemon/volume"
	"github.com/brig-engine/brig/internal/wire"
)

// The versions of the API that are spoken.
const (
	MinVersion = "1.40"
	MaxVersion = "1.56"
)

// Server answers the API.
type Server struct {
	Engine  *container.Engine
	Volumes *volume.Store
	Bus     *event.Bus
	Hello   wire.HelloReply
	Host    policy.Host
	Network network.Facts
	// Networks holds those that there are. Forward starts the forwarder, which knows their names, unless it runs.
	Networks *network.Store
	Forward  func()
	// Images answers /images/, /distribution/ and /auth; paths come without the version prefix.
	Images http.Handler
	// ImageCount tells how many images there are.
	ImageCount func() int
	// ImageUsage gives the size of all layers, each counted once, and all images with what they share.
	ImageUsage func() (int64, []*apiimage.Summary, error)
	// ImageCheck holds what the engine has of images against what it should have.
	ImageCheck func(ctx context.Context, contents bool) ([]damage.Damage, int, error)
	// FindImage finds an image by any reference.
	FindImage func(ref string) (*image.Image, error)
	// Root is the directory that info shows.
	Root string
	// Logs counts for all containers; where something is measured, it is there.
	Logs *log.Meter

	// Connections, if not nil, tells how many are open.
	Connections func() int

	metrics *metrics.Metrics // nil: nothing is measured
}

type contextKey int

const (
	keyVersion contextKey = iota
	keyConn
)

// ConnContext is for http.Server: it keeps the connection, so that the warden can ask the kernel who is at its end.
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, keyConn, c)
}

// Version is the API version of a request, as a number: 50 for 1.50.
func Version(r *http.Request) int {
	v, ok := r.Context().Value(keyVersion).(int)
	if !ok {
		v, _ = minor(MaxVersion)
	}
	return v
}

// Handler gives the whole API.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	s.systemRoutes(mux)
	s.containerRoutes(mux)
	s.copyRoutes(mux)
	s.execRoutes(mux)
	s.volumeRoutes(mux)
	s.networkRoutes(mux)
	s.checkRoutes(mux)
	s.explainRoutes(mux)
	if s.Images != nil {
		for _, p := range []string{"/images/", "/distribution/", "POST /auth"} {
			mux.Handle(p, s.Images)
		}
	}
	mux.HandleFunc("/", refuseRest)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Api-Version", MaxVersion)
		h.Set("Docker-Experimental", "false")
		h.Set("Ostype", runtime.GOOS)
		h.Set("Server", "Brig/"+wire.Version+" ("+runtime.GOOS+")")
		r, err := stripVersion(r)
		if err != nil {
			WriteError(w, err)
			return
		}
		_, pattern := mux.Handler(r)
		if s.metrics != nil {
			a := &answered{ResponseWriter: w}
			defer func(begin time.Time) { s.served(r, route(pattern, r), a.status(), time.Since(begin)) }(time.Now())
			w = a
		}
		if done, err := s.enter(r, pattern); err != nil {
			h.Set("Connection", "close")
			WriteError(w, err)
		} else {
			defer done()
			mux.ServeHTTP(w, r)
		}
	})
}

// enter has a request wait for its caller's turn, if it must, and gives what ends that.
func (s *Server) enter(r *http.Request, pattern string) (done func(), err error) {
	if c, ok := r.Context().Value(keyConn).(*conn); ok {
		if err := c.refusal(); err != nil {
			return nil, err
		}
	}
	r.Form = r.URL.Query() // a form is never read from a body, which would have no bound of ours
	s.admit(r)
	if !computes(pattern, r.URL.Path) {
		return func() {}, nil
	}
	return turn(r.Context())
}

// computes tells which requests take turns: those that are answered at once, from what is known.
func computes(pattern, path string) bool {
	switch {
	case pattern == "/images/":
		return strings.HasSuffix(path, "/json") || strings.HasSuffix(path, "/history")
	case pattern == "GET /info", pattern == "GET /system/df", pattern == "GET /networks", pattern == "GET /volumes":
		return true
	}
	return strings.HasPrefix(pattern, "GET ") && (strings.HasSuffix(pattern, "/json") || strings.HasSuffix(pattern, "/top"))
}

// stripVersion takes /v1.NN off the path.
func stripVersion(r *http.Request) (*http.Request, error) {
	rest, ok := strings.CutPrefix(r.URL.Path, "/v")
	if !ok {
		return r, nil
	}
	version, path, _ := strings.Cut(rest, "/")
	v, ok := minor(version)
	if !ok {
		return r, nil // /volumes, /version
	}
	low, _ := minor(MinVersion)
	high, _ := minor(MaxVersion)
	switch {
	case v < low:
		return nil, fmt.Errorf("client version %s is too old. Minimum supported API version is %s, "+
			"please upgrade your client to a newer version: %w",
			version, MinVersion, errdefs.ErrInvalidArgument)
	case v > high:
		return nil, fmt.Errorf("client version %s is too new. Maximum supported API version is %s: %w",
			version, MaxVersion, errdefs.ErrInvalidArgument)
	}
	r = r.WithContext(context.WithValue(r.Context(), keyVersion, v))
	u := *r.URL
	u.Path, u.RawPath = "/"+path, ""
	r.URL = &u
	return r, nil
}

// minor reads 1.NN.
func minor(v string) (int, bool) {
	s, ok := strings.CutPrefix(v, "1.")
	if !ok {
		return 0, false
	}
	n, err := strconv.Atoi(s)
	return n, err == nil && n >= 0 && len(s) <= 4
}
