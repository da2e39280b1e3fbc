package api

import (
	"fmt"
	"net/http"
	"runtime"
	"strings"

	"github.com/brig-engine/brig/internal/daemon/explain"
	"github.com/brig-engine/brig/internal/kernel/seccomp"
)

// Brig's own: what would be executed for a request to create a container (POST), and what the kernel says of one that runs.
// The first answers with format=text as people read it.
func (s *Server) explainRoutes(mux *http.ServeMux) {
	mux.Handle("POST /brig/explain", handler(s.explainRequest))
	mux.Handle("GET /brig/explain/{id}", handler(s.explainContainer))
	mux.Handle("GET /brig/calls/{id}", handler(s.callsOf))
}

// callsOf names the system calls that a container has made while it was recorded.
func (s *Server) callsOf(w http.ResponseWriter, r *http.Request) error {
	c, err := s.find(r)
	if err != nil {
		return err
	}
	numbers, err := s.Engine.Calls(c)
	if err != nil {
		return err
	}
	names := make([]string, len(numbers))
	for i, nr := range numbers {
		names[i] = seccomp.Name(runtime.GOARCH, nr)
	}
	WriteJSON(w, http.StatusOK, struct {
		Arch  string
		Calls []string
	}{runtime.GOARCH, names})
	return nil
}

func (s *Server) explainRequest(w http.ResponseWriter, r *http.Request) error {
	req, err := createRequest(w, r)
	if err != nil {
		return err
	}
	fd, err := callerFD(r)
	if err != nil {
		return err
	}
	defer closeFD(fd)
	p, err := s.Engine.Plan(r.Context(), req, fd)
	if err != nil {
		return err
	}
	if r.FormValue("format") == "text" {
		return writeText(w, explain.Text(p))
	}
	WriteJSON(w, http.StatusOK, struct {
		Title string
		Steps []explain.Step
	}{p.Title, explain.Steps(p)})
	return nil
}

// confinement is what is said of a running container.
type confinement struct {
	Name     string
	Differs  bool
	Findings []explain.Finding
}

func (s *Server) explainContainer(w http.ResponseWriter, r *http.Request) error {
	c, err := s.find(r)
	if err != nil {
		return err
	}
	findings, err := s.Engine.Confinement(r.Context(), c)
	if err != nil {
		return err
	}
	v := confinement{Name: c.View().Name, Findings: findings}
	for _, f := range findings {
		v.Differs = v.Differs || f.Differs
	}
	WriteJSON(w, http.StatusOK, v)
	return nil
}

func writeText(w http.ResponseWriter, text string) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(http.StatusOK)
	_, _ = fmt.Fprint(w, strings.ToValidUTF8(text, "?"))
	return nil
}
