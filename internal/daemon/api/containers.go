package api

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/containerd/errdefs"
	apicontainer "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"

	"github.com/brig-engine/brig/internal/daemon/container"
	"github.com/brig-engine/brig/internal/daemon/policy"
	"github.com/brig-engine/brig/internal/wire"
)

func (s *Server) containerRoutes(mux *http.ServeMux) {
	for pattern, h := range map[string]handler{
		"POST /containers/create":       s.containerCreate,
		"GET /containers/json":          s.containerList,
		"POST /containers/prune":        s.containerPrune,
		"GET /containers/{id}/json":     s.containerInspect,
		"POST /containers/{id}/start":   s.containerStart,
		"POST /containers/{id}/stop":    s.containerStop,
		"POST /containers/{id}/restart": s.containerRestart,
		"POST /containers/{id}/kill":    s.containerKill,
		"POST /containers/{id}/wait":    s.containerWait,
		"POST /containers/{id}/rename":  s.containerRename,
		"POST /containers/{id}/resize":  s.containerResize,
		"POST /containers/{id}/attach":  s.containerAttach,
		"GET /containers/{id}/logs":     s.containerLogs,
		"DELETE /containers/{id}":       s.containerRemove,
		"POST /containers/{id}/exec":    s.execCreate,
		"POST /containers/{id}/pause":   s.pausing(s.Engine.Pause),
		"POST /containers/{id}/unpause": s.pausing(s.Engine.Unpause),
		"POST /containers/{id}/update":  s.containerUpdate,
		"GET /containers/{id}/stats":    s.containerStats,
		"GET /containers/{id}/top":      s.containerTop,

		"GET /containers/{id}/attach/ws":   refuse("attach over a web socket"),
		"GET /containers/{id}/checkpoints": refuse("checkpoints"),
	} {
		mux.Handle(pattern, h)
	}
}

func (s *Server) find(r *http.Request) (*container.Container, error) {
	return s.Engine.Find(r.PathValue("id"))
}

func (s *Server) containerCreate(w http.ResponseWriter, r *http.Request) error {
	req, err := createRequest(w, r)
	if err != nil {
		return err
	}
	until, err := runCondition(r, req.Config.Tty)
	if err != nil {
		return err
	}
	id, warnings, err := s.Engine.Create(r.Context(), r.FormValue("name"), req)
	if err != nil {
		return err
	}
	if warnings == nil {
		warnings = []string{}
	}
	made := apicontainer.CreateResponse{ID: id, Warnings: warnings}
	if until != "" {
		return s.runCreated(w, r, made, until)
	}
	WriteJSON(w, http.StatusCreated, made)
	return nil
}

// createRequest is what a request to create a container says.
func createRequest(w http.ResponseWriter, r *http.Request) (*policy.Request, error) {
	if p := r.FormValue("platform"); p != "" && !hostPlatform(p) {
		return nil, fmt.Errorf("--platform %.64s: this host runs %s: %w", p, platform(), errdefs.ErrNotFound)
	}
	req, err := decodeBody(w, r, maxCreateBody, policy.Decode)
	if err != nil {
		return nil, err
	}
	if name := r.FormValue("name"); req.Name != "" && req.Name != name {
		return nil, fmt.Errorf("the body of the request calls the container %.64q and its query %.64q; the query decides, leave "+
			"the other out: %w", req.Name, name, errdefs.ErrInvalidArgument)
	}
	if Version(r) < 42 {
		req.Host.ConsoleSize = [2]uint{} // was for Windows only
	}
	fd, err := callerFD(r)
	if err == nil && fd >= 0 {
		defer closeFD(fd)
		req.By, err = container.CallerOf(fd)
	}
	return req, err
}

func (s *Server) containerStart(w http.ResponseWriter, r *http.Request) error {
	for _, p := range []string{"checkpoint", "checkpoint-dir"} {
		if r.FormValue(p) != "" {
			return refuse("checkpoints")(w, r)
		}
	}
	if k := r.FormValue("detachKeys"); k != "" {
		if _, err := policy.ParseDetachKeys(k); err != nil {
			return fmt.Errorf("--detach-keys: %w: %w", err, errdefs.ErrInvalidArgument)
		}
	}
	c, err := s.find(r)
	if err != nil {
		return err
	}
	fd, err := callerFD(r)
	if err != nil {
		return err
	}
	defer closeFD(fd)
	if err := s.Engine.Start(r.Context(), c, fd); err != nil {
		return startError(err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// startError words a failure to run the program as Docker does, and makes it a bad request, also as Docker does.
func startError(err error) error {
	if errors.Is(err, container.ErrNotModified) || container.ExitCode(err) == 125 {
		return err
	}
	return fmt.Errorf("%s: %w", container.StartText(container.ExitCode(err), message(err)), errdefs.ErrInvalidArgument)
}

func stopOptions(r *http.Request) (o container.StopOptions, err error) {
	o.Signal = r.FormValue("signal")
	if r.FormValue("t") != "" {
		n, err := intParam(r, "t", -1<<31, 1<<31-1)
		if err != nil {
			return o, err
		}
		o.Timeout = &n
	}
	return o, nil
}

func (s *Server) containerStop(w http.ResponseWriter, r *http.Request) error {
	c, err := s.find(r)
	if err != nil {
		return err
	}
	o, err := stopOptions(r)
	if err != nil {
		return err
	}
	if err := s.Engine.Stop(r.Context(), c, o); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Server) containerRestart(w http.ResponseWriter, r *http.Request) error {
	c, err := s.find(r)
	if err != nil {
		return err
	}
	o, err := stopOptions(r)
	if err != nil {
		return err
	}
	fd, err := callerFD(r)
	if err != nil {
		return err
	}
	defer closeFD(fd)
	if err := s.Engine.Restart(r.Context(), c, o, fd); err != nil {
		return startError(err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Server) containerKill(w http.ResponseWriter, r *http.Request) error {
	c, err := s.find(r)
	if err != nil {
		return fmt.Errorf("cannot kill container: %s: %w", r.PathValue("id"), err)
	}
	name := r.FormValue("signal")
	if name == "" {
		name = "KILL"
	}
	signal, err := policy.ParseSignal(name)
	if err != nil {
		return fmt.Errorf("%w: %w", err, errdefs.ErrInvalidArgument)
	}
	if err := s.Engine.Kill(r.Context(), c, signal); err != nil {
		return fmt.Errorf("cannot kill container: %s: %w", r.PathValue("id"), err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// waited is Docker's reply, and why the program ended if that was the kernel's doing: a container that removes itself
// cannot be asked any more.
type waited struct {
	apicontainer.WaitResponse
	OOMKilled bool   `json:",omitempty"`
	OOMReason string `json:",omitempty"` // which limit it met, and how that is raised
}

func (s *Server) containerWait(w http.ResponseWriter, r *http.Request) error {
	cond := container.Condition(r.FormValue("condition"))
	switch cond {
	case "", container.NotRunning, container.NextExit, container.Removed:
	default:
		return fmt.Errorf("invalid condition: %.64q: %w", cond, errdefs.ErrInvalidArgument)
	}
	c, err := s.find(r)
	if err != nil {
		return err
	}
	wait := c.Wait(cond)
	// The client may start the container as soon as it has seen the header: the wait is registered.
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	if err := http.NewResponseController(w).Flush(); err != nil {
		return nil
	}
	exit, failed, err := wait.Done(r.Context())
	if err != nil {
		return nil // the client went away
	}
	writeLine(w, endReply(c, exit, failed))
	return nil
}

// endReply is waitReply of a container.
func endReply(c *container.Container, exit wire.Exit, failed error) waited {
	reply := waitReply(exit, failed)
	if reply.OOMKilled {
		v := c.View()
		reply.OOMReason = v.OutOfMemory()
	}
	return reply
}

func waitReply(exit wire.Exit, failed error) waited {
	reply := waited{OOMKilled: exit.OOMKilled, WaitResponse: apicontainer.WaitResponse{StatusCode: int64(exit.Code)}}
	if failed != nil {
		reply.Error = &apicontainer.WaitExitError{Message: message(failed)}
	}
	return reply
}

func (s *Server) containerRename(w http.ResponseWriter, r *http.Request) error {
	c, err := s.find(r)
	if err != nil {
		return err
	}
	if err := s.Engine.Rename(c, r.FormValue("name")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func sizeParams(r *http.Request) (rows, cols uint16, err error) {
	h, err := intParam(r, "h", 0, 0xffff)
	if err != nil {
		return 0, 0, err
	}
	c, err := intParam(r, "w", 0, 0xffff)
	return uint16(h), uint16(c), err
}

func (s *Server) containerResize(w http.ResponseWriter, r *http.Request) error {
	rows, cols, err := sizeParams(r)
	if err != nil {
		return err
	}
	c, err := s.find(r)
	if err != nil {
		return err
	}
	if err := c.Resize(rows, cols); err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

func (s *Server) containerRemove(w http.ResponseWriter, r *http.Request) error {
	if boolParam(r, "link") {
		return refuse("links")(w, r)
	}
	c, err := s.find(r)
	if err != nil {
		return err
	}
	if err := s.Engine.Remove(r.Context(), c, boolParam(r, "force"), boolParam(r, "v")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Server) containerPrune(w http.ResponseWriter, r *http.Request) error {
	f, err := parseFilters(r, "label", "label!", "until")
	if err != nil {
		return err
	}
	until, err := f.until(time.Now())
	if err != nil {
		return err
	}
	report := apicontainer.PruneReport{ContainersDeleted: []string{}}
	for _, v := range s.Engine.List() {
		if v.State == container.Running || v.State == container.Restarting || !f.labels(v.Config.Labels) || !until.IsZero() && v.Created.After(until) {
			continue
		}
		c, err := s.Engine.Find(v.ID)
		if err != nil {
			continue // removed meanwhile
		}
		err = s.Engine.Remove(r.Context(), c, false, false)
		if errdefs.IsConflict(err) {
			continue // started meanwhile
		}
		if err != nil { // the others are removed all the same
			slog.Warn("prune", "id", v.ID[:12], "error", err)
			continue
		}
		report.ContainersDeleted = append(report.ContainersDeleted, v.ID)
	}
	s.Bus.Publish(events.ContainerEventType, events.ActionPrune, "", map[string]string{"reclaimed": "0"})
	WriteJSON(w, http.StatusOK, report)
	return nil
}
