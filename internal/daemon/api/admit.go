package api

import "net/http"

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
