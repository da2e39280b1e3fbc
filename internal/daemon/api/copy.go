package api

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/moby/moby/api/types/common"
	apicontainer "github.com/moby/moby/api/types/container"

	"github.com/brig-engine/brig/internal/daemon/container"
	"github.com/brig-engine/brig/internal/daemon/image"
	"github.com/brig-engine/brig/internal/wire/jobs"
)

func (s *Server) copyRoutes(mux *http.ServeMux) {
	for pattern, h := range map[string]func(http.ResponseWriter, *http.Request, *container.Container, int) error{
		"HEAD /containers/{id}/archive": s.archiveStat,
		"GET /containers/{id}/archive":  s.archiveGet,
		"PUT /containers/{id}/archive":  s.archivePut,
		"GET /containers/{id}/changes":  s.containerChanges,
		"GET /containers/{id}/export":   s.containerExport,
		"POST /commit":                  s.containerCommit,
	} {
		mux.Handle(pattern, handler(func(w http.ResponseWriter, r *http.Request) error {
			id := r.PathValue("id")
			if id == "" {
				id = r.URL.Query().Get("container")
			}
			c, err := s.Engine.Find(id)
			if err != nil {
				return err
			}
			fd, err := callerFD(r)
			if err != nil {
				return err
			}
			defer closeFD(fd)
			return h(w, r, c, fd)
		}))
	}
}

// pathParam is the path in the container, which Docker's clients always send.
func pathParam(r *http.Request) (string, error) {
	p := r.URL.Query().Get("path")
	if p == "" {
		return "", fmt.Errorf("bad parameter: 'path' cannot be empty: %w", errdefs.ErrInvalidArgument)
	}
	return p, nil
}

// statHeader is how a description travels.
const statHeader = "X-Docker-Container-Path-Stat"

func setStat(w http.ResponseWriter, st *jobs.PathStat) {
	b, err := json.Marshal(apicontainer.PathStat{Name: st.Name, Size: st.Size, Mode: fs.FileMode(st.Mode),
		Mtime: time.Unix(min(max(st.MTime, 0), 1<<36), st.MTimeNs).UTC(), LinkTarget: st.LinkTarget})
	if err != nil {
		slog.Error("describe a file", "error", err)
		return
	}
	w.Header().Set(statHeader, base64.StdEncoding.EncodeToString(b))
}

func (s *Server) archiveStat(w http.ResponseWriter, r *http.Request, c *container.Container, caller int) error {
	path, err := pathParam(r)
	if err != nil {
		return err
	}
	st, err := s.Engine.Stat(r.Context(), c, caller, path)
	if err != nil {
		return err
	}
	setStat(w, st)
	w.WriteHeader(http.StatusOK)
	return nil
}

func (s *Server) archiveGet(w http.ResponseWriter, r *http.Request, c *container.Container, caller int) error {
	path, err := pathParam(r)
	if err != nil {
		return err
	}
	out := &outgoing{w: w, kind: "application/x-tar"}
	return out.end(s.Engine.Archive(r.Context(), c, caller, path, out.describe, out))
}

func (s *Server) containerExport(w http.ResponseWriter, r *http.Request, c *container.Container, caller int) error {
	out := &outgoing{w: w, kind: "application/octet-stream"}
	return out.end(s.Engine.Export(r.Context(), c, caller, out))
}

func (s *Server) containerChanges(w http.ResponseWriter, r *http.Request, c *container.Container, caller int) error {
	out := &outgoing{w: w, kind: "application/json"}
	return out.end(s.Engine.Changes(r.Context(), c, caller, out))
}

// outgoing is a body that a worker makes. What fails before its first byte is an ordinary error; later all that can be
// said is that the connection breaks off, so that nobody takes a part for the whole.
type outgoing struct {
	w    http.ResponseWriter
	kind string

	mu    sync.Mutex // one goroutine describes, another one writes
	begun bool
}

// stalled is how long a client may take no byte, or send none, of a transfer that keeps a worker; spillFor how long it may
// go on sending what nobody wants: one that is cut off never reads why. Tests have less patience.
var stalled, spillFor = time.Minute, 10 * time.Second

func (o *outgoing) describe(st *jobs.PathStat) {
	o.mu.Lock()
	defer o.mu.Unlock()
	setStat(o.w, st)
}

func (o *outgoing) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.begun {
		o.begun = true
		o.w.Header().Set("Content-Type", o.kind)
	}
	_ = http.NewResponseController(o.w).SetWriteDeadline(time.Now().Add(stalled))
	return o.w.Write(p)
}

func (o *outgoing) end(err error) error {
	_ = http.NewResponseController(o.w).SetWriteDeadline(time.Time{})
	if err == nil || !o.begun {
		if err != nil {
			o.w.Header().Del(statHeader)
		}
		return err
	}
	slog.Warn("a transfer out of a container broke off", "error", err)
	panic(http.ErrAbortHandler)
}

// incoming is a body that a worker reads. A client that sends nothing for long is cut off; and however much it sends, soon
// after nobody wants it any more.
type incoming struct {
	r    io.Reader
	wait func(until time.Time) error

	mu    sync.Mutex
	ended bool // it was read to its end, or is not wanted
}

func (i *incoming) until(t time.Time, ends bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if !i.ended {
		i.ended = ends
		_ = i.wait(t)
	}
}

func (i *incoming) Read(p []byte) (int, error) {
	i.until(time.Now().Add(stalled), false)
	n, err := i.r.Read(p)
	if errors.Is(err, io.EOF) {
		i.until(time.Time{}, true) // else the server took it for the end of the connection
	} else if err != nil {
		i.until(time.Now(), true) // or the server waited for the rest before it answers
	}
	return n, err
}

func (i *incoming) late() { i.until(time.Now().Add(spillFor), true) }

func (s *Server) archivePut(w http.ResponseWriter, r *http.Request, c *container.Container, caller int) error {
	path, err := pathParam(r)
	if err != nil {
		return err
	}
	q := query{r}
	o := container.ExtractOptions{Path: path, KeepKind: q.on("noOverwriteDirNonDir"), Own: q.on("copyUIDGID")}
	in := &incoming{r: r.Body, wait: http.NewResponseController(w).SetReadDeadline}
	o.Late = in.late
	err = s.Engine.Extract(r.Context(), c, caller, o, in)
	if errdefs.IsPermissionDenied(err) && strings.Contains(err.Error(), "read-only") {
		err = fmt.Errorf("container rootfs or volume is marked read-only: %w", err)
	}
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// query reads parameters of a request whose body is no form.
type query struct{ r *http.Request }

func (q query) on(name string) bool { return isOn(q.r.URL.Query().Get(name)) }

// containerCommit pauses unless it is told not to.
func (s *Server) containerCommit(w http.ResponseWriter, r *http.Request, c *container.Container, caller int) error {
	b, err := readBody(w, r, maxBody)
	if err != nil {
		return err
	}
	if text := strings.TrimSpace(string(b)); text != "" && text != "null" && text != "{}" {
		return fmt.Errorf("a config in the body of commit: not supported by this version of Brig. Next: use --change: %w",
			errdefs.ErrNotImplemented)
	}
	q := r.URL.Query()
	opt := image.CommitOptions{Author: q.Get("author"), Comment: q.Get("comment"), Changes: q["changes"]}
	if opt.Name, err = commitName(q.Get("repo"), q.Get("tag")); err != nil {
		return err
	}
	id, err := s.Engine.Commit(r.Context(), c, caller, q.Get("pause") == "" || isOn(q.Get("pause")), opt)
	if err != nil {
		return err
	}
	WriteJSON(w, http.StatusCreated, common.IDResponse{ID: id})
	return nil
}

// commitName puts name and tag together; neither is needed.
func commitName(repo, tag string) (reference.Named, error) {
	if repo == "" {
		return nil, nil
	}
	if tag != "" {
		repo += ":" + tag
	}
	n, err := image.ParseName(repo)
	if err == nil {
		if _, ok := n.(reference.Digested); !ok {
			return n, nil
		}
		err = fmt.Errorf("refusing to create a tag with a digest reference: %w", errdefs.ErrInvalidArgument)
	}
	return nil, err
}
