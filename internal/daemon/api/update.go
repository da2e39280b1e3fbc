package api

import (
	"net/http"

	apicontainer "github.com/moby/moby/api/types/container"

	"github.com/brig-engine/brig/internal/daemon/policy"
)

func (s *Server) containerUpdate(w http.ResponseWriter, r *http.Request) error {
	b, err := readBody(w, r, maxBody)
	if err != nil {
		return err
	}
	c, err := s.find(r)
	if err != nil {
		return err
	}
	change, err := policy.DecodeUpdate(b)
	if err != nil {
		return err
	}
	fd, err := callerFD(r)
	if err != nil {
		return err
	}
	defer closeFD(fd)
	if err := s.Engine.Update(c, change.RestartPolicy, fd); err != nil {
		return err
	}
	WriteJSON(w, http.StatusOK, apicontainer.UpdateResponse{Warnings: []string{}})
	return nil
}

// admit shows the engine who has come, if it waits for somebody.
func (s *Server) admit(r *http.Request) {
	if s.Engine == nil || !s.Engine.WantsCaller() { // images alone are served without one
		return
	}
	fd, err := callerFD(r)
	if err != nil {
		return // the request will say so, if it needs it
	}
	defer closeFD(fd)
	if fd >= 0 {
		s.Engine.Admit(fd)
	}
}
