package api

import (
	"bufio"
	"bytes"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	apicontainer "github.com/moby/moby/api/types/container"

	"github.com/brig-engine/brig/internal/daemon/container"
	"github.com/brig-engine/brig/internal/daemon/metrics"
	"github.com/brig-engine/brig/internal/wire"
)

// Measure has the server measure what is done, and gives what the engine, which is made after it, is to tell.
func (s *Server) Measure() *metrics.Metrics {
	info := metrics.Info{Version: wire.Version, Kernel: kernel(), Driver: driver, ID: s.Hello.Instance, CPUs: s.Host.CPUs,
		Memory: s.Host.MemoryTotal}
	s.metrics = metrics.New(info, s.state)
	return s.metrics
}

// state counts what there is.
func (s *Server) state() metrics.State {
	st := metrics.State{Health: map[string]int{}, Events: s.Bus.Counts(), Listeners: s.Bus.Count(),
		LogBytes: s.Logs.Bytes.Load(), LogLost: s.Logs.Lost.Load()}
	if s.Connections != nil {
		st.Connections = s.Connections()
	}
	if s.ImageCount != nil {
		st.Images = s.ImageCount()
	}
	if s.Engine == nil {
		return st
	}
	for _, v := range s.Engine.List() {
		switch {
		case v.State != container.Running:
			st.Stopped++
			continue
		case v.Paused:
			st.Paused++
		default:
			st.Running++
		}
		if v.Health != nil && v.Health.Status != apicontainer.NoHealthcheck {
			st.Health[string(v.Health.Status)]++
		}
	}
	return st
}

func (s *Server) metricsPage(w http.ResponseWriter, _ *http.Request) error {
	if s.metrics == nil {
		return refuse("metrics")(nil, nil)
	}
	var page bytes.Buffer // an error is a reply of its own
	if err := s.metrics.Write(&page); err != nil {
		return err
	}
	w.Header().Set("Content-Type", metrics.ContentType)
	_, _ = w.Write(page.Bytes()) // a client that went away is no error of ours
	return nil
}

// answered is a reply whose status is noted.
type answered struct {
	http.ResponseWriter
	code int
}

func (a *answered) WriteHeader(code int) {
	if a.code == 0 {
		a.code = code
	}
	a.ResponseWriter.WriteHeader(code)
}

// Unwrap is for http.ResponseController.
func (a *answered) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// Hijack takes the connection over.
func (a *answered) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	a.code = http.StatusSwitchingProtocols
	return http.NewResponseController(a.ResponseWriter).Hijack()
}

// served notes a request. What is logged is the route, and no path, query or body: these may have secrets.
func (s *Server) served(r *http.Request, route, code string, took time.Duration) {
	s.metrics.Request(route, code, took)
	if slog.Default().Enabled(r.Context(), slog.LevelDebug) {
		slog.Debug("request", "route", route, "code", code, "ms", float64(took.Microseconds())/1000)
	}
}

// status is the number as text; who said nothing has said 200.
func (a *answered) status() string {
	if a.code == 0 {
		return "200"
	}
	return strconv.Itoa(a.code)
}

// route is what a request counts as: the pattern that its path matched. Whatever a client may write leads to one of a
// closed list.
func route(pattern string, r *http.Request) string {
	switch pattern {
	case "", "/":
		return "other"
	case "/images/", "/distribution/":
	default:
		return pattern
	}
	method := r.Method
	switch method {
	case http.MethodGet, http.MethodPost, http.MethodDelete:
	default:
		return "other"
	}
	if method == http.MethodDelete {
		return "DELETE /images/{name}"
	}
	rest := strings.TrimPrefix(r.URL.Path, pattern)
	name, last, more := strings.Cut(rest, "/")
	for ; more && strings.Contains(last, "/"); _, last, _ = strings.Cut(last, "/") {
	}
	if !more {
		last = name
	}
	switch last {
	case "json", "get", "search", "create", "load", "prune", "history", "push", "tag", "attestations":
	default:
		return "other"
	}
	if more {
		return method + " " + pattern + "{name}/" + last
	}
	return method + " " + pattern + last
}
