package api

import (
	"fmt"
	"net/http"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/common"
	apicontainer "github.com/moby/moby/api/types/container"

	"github.com/brig-engine/brig/internal/daemon/container"
	"github.com/brig-engine/brig/internal/daemon/policy"
)

func (s *Server) execRoutes(mux *http.ServeMux) {
	mux.Handle("POST /exec/{id}/start", handler(s.execStart))
	mux.Handle("POST /exec/{id}/resize", handler(s.execResize))
	mux.Handle("GET /exec/{id}/json", handler(s.execInspect))
}

func (s *Server) execCreate(w http.ResponseWriter, r *http.Request) error {
	req, err := decodeBody(w, r, maxBody, policy.DecodeExec)
	if err != nil {
		return err
	}
	if Version(r) < 42 {
		req.ConsoleSize = nil
	}
	run := r.Header.Get(RunHeader)
	if run != "" && (run != runExec || req.Tty) {
		return fmt.Errorf("%s: %.64q, of a program without a terminal: %s: %w", RunHeader, run, runExec,
			errdefs.ErrInvalidArgument)
	}
	c, err := s.find(r)
	if err != nil {
		return err
	}
	id, err := s.Engine.CreateExec(c, req)
	if err != nil {
		return err
	}
	made := common.IDResponse{ID: id}
	if run != "" {
		return s.execRun(w, r, made)
	}
	WriteJSON(w, http.StatusCreated, made)
	return nil
}

func (s *Server) execStart(w http.ResponseWriter, r *http.Request) error {
	var req apicontainer.ExecStartRequest
	if err := decode(w, r, &req, true); err != nil {
		return err
	}
	x, err := s.Engine.FindExec(r.PathValue("id"))
	if err != nil {
		return err
	}
	size := req.ConsoleSize
	if Version(r) < 42 {
		size = nil
	}
	if req.Detach {
		if err := x.Start(r.Context(), size, nil); err != nil {
			return startError(err)
		}
		w.WriteHeader(http.StatusOK)
		return nil
	}
	var conn *stream
	err = x.Start(r.Context(), size, func() (container.Conn, error) {
		conn, err = hijack(w, r, !x.Terminal())
		return conn, err
	})
	if conn == nil {
		return err
	}
	return conn.Close()
}

func (s *Server) execResize(w http.ResponseWriter, r *http.Request) error {
	rows, cols, err := sizeParams(r)
	if err != nil {
		return err
	}
	x, err := s.Engine.FindExec(r.PathValue("id"))
	if err != nil {
		return err
	}
	if err := x.Resize(rows, cols); err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

func (s *Server) execInspect(w http.ResponseWriter, r *http.Request) error {
	x, err := s.Engine.FindExec(r.PathValue("id"))
	if err != nil {
		return err
	}
	v := x.View()
	q := &v.Request
	keys, err := policy.ParseDetachKeys(q.DetachKeys)
	if err != nil || q.DetachKeys == "" {
		keys = []byte{}
	}
	privileged := false
	WriteJSON(w, http.StatusOK, apicontainer.ExecInspectResponse{
		ID: v.ID, ContainerID: v.ContainerID, Running: v.Running, ExitCode: v.ExitCode, Pid: v.PID, DetachKeys: keys,
		OpenStdin: q.AttachStdin, OpenStdout: q.AttachStdout, OpenStderr: q.AttachStderr,
		ProcessConfig: &apicontainer.ExecProcessConfig{Tty: q.Tty, Entrypoint: q.Cmd[0], Arguments: q.Cmd[1:],
			Privileged: &privileged, User: q.User},
	})
	return nil
}
