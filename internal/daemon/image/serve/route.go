package serve

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/containerd/errdefs"

	"github.com/brig-engine/brig/internal/daemon/api"
	"github.com/brig-engine/brig/internal/daemon/image"
)

// server answers for one store.
type server struct{ store *image.Store }

// Handler answers /images/, /distribution/ and /auth; paths come without the version.
func Handler(s *image.Store) http.Handler {
	v := &server{s}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, err := v.route(r)
		if err == nil {
			err = h(w, r)
		}
		if err != nil {
			api.WriteError(w, err)
		}
	})
}

type endpoint func(w http.ResponseWriter, r *http.Request) error

// route finds the endpoint. Names of images may contain slashes, so what stands behind them decides.
func (v *server) route(r *http.Request) (endpoint, error) {
	if r.URL.Path == "/auth" && r.Method == http.MethodPost {
		return v.login, nil
	}
	if name, ok := strings.CutPrefix(r.URL.Path, "/distribution/"); ok && r.Method == http.MethodGet {
		if name, ok = strings.CutSuffix(name, "/json"); ok {
			return named(v.distribution, name), nil
		}
	}
	path, ok := strings.CutPrefix(r.URL.Path, "/images/")
	if !ok {
		return nil, fmt.Errorf("page not found: %w", errdefs.ErrNotFound)
	}
	fixed := map[string]endpoint{
		"GET json": v.list, "GET get": v.save, "GET search": refuse("search in registries"),
		"POST create": v.create, "POST load": v.load, "POST prune": v.prune,
	}
	if h := fixed[r.Method+" "+path]; h != nil {
		return h, nil
	}
	if r.Method == http.MethodDelete {
		return named(v.remove, path), nil
	}
	at := strings.LastIndexByte(path, '/')
	if at <= 0 {
		return nil, fmt.Errorf("page not found: %w", errdefs.ErrNotFound)
	}
	of := map[string]func(http.ResponseWriter, *http.Request, string) error{
		"GET json": v.inspect, "GET history": v.history, "GET get": v.saveOne,
		"POST push": v.push, "POST tag": v.tag,
	}
	if h := of[r.Method+" "+path[at+1:]]; h != nil {
		return named(h, path[:at]), nil
	}
	if path[at+1:] == "attestations" {
		return refuse("attestations"), nil
	}
	return nil, fmt.Errorf("page not found: %w", errdefs.ErrNotFound)
}

func named(h func(http.ResponseWriter, *http.Request, string) error, name string) endpoint {
	return func(w http.ResponseWriter, r *http.Request) error { return h(w, r, name) }
}

func refuse(what string) endpoint {
	return func(http.ResponseWriter, *http.Request) error {
		return fmt.Errorf("this version of Brig does not have %s: %w", what, errdefs.ErrNotImplemented)
	}
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %w", fmt.Errorf(format, args...), errdefs.ErrInvalidArgument)
}

// without refuses parameters that would change the meaning of a request and are not built.
func without(r *http.Request, names ...string) error {
	for _, n := range names {
		if r.URL.Query().Get(n) != "" {
			return fmt.Errorf("this version of Brig does not have the parameter %s (--%s) here: %w", n, n,
				errdefs.ErrNotImplemented)
		}
	}
	return nil
}

// on reads a switch the way Docker does.
func on(r *http.Request, name string) bool {
	switch strings.ToLower(strings.TrimSpace(r.URL.Query().Get(name))) {
	case "", "0", "no", "false", "none":
		return false
	}
	return true
}
