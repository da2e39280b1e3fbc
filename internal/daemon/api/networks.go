package api

import (
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/events"
	apinetwork "github.com/moby/moby/api/types/network"

	"github.com/brig-engine/brig/internal/daemon/container"
	"github.com/brig-engine/brig/internal/daemon/network"
	"github.com/brig-engine/brig/internal/daemon/policy"
)

func (s *Server) networkRoutes(mux *http.ServeMux) {
	mux.Handle("GET /networks", handler(s.networkList))
	mux.Handle("GET /networks/{id}", handler(s.networkInspect))
	mux.Handle("POST /networks/create", handler(s.networkCreate))
	mux.Handle("POST /networks/prune", handler(s.networkPrune))
	mux.Handle("DELETE /networks/{id}", handler(s.networkRemove))
	mux.Handle("POST /networks/{id}/connect", handler(s.networkConnect))
	mux.Handle("POST /networks/{id}/disconnect", handler(s.networkDisconnect))
}

func (s *Server) networkList(w http.ResponseWriter, r *http.Request) error {
	f, err := parseFilters(r, "name", "id", "driver", "scope", "type", "label", "label!", "dangling")
	if err != nil {
		return err
	}
	for _, kind := range f["type"] {
		if kind != "builtin" && kind != "custom" {
			return fmt.Errorf("invalid filter: 'type'='%.64s': %w", kind, errdefs.ErrInvalidArgument)
		}
	}
	dangling, asked, err := f.on("dangling")
	if err != nil {
		return err
	}
	used := s.places()
	out := []apinetwork.Summary{}
	named, withID := f.match("name"), f.match("id")
	for _, n := range s.Networks.List() {
		shown, kind := s.Network.Show(n), "custom"
		if n.Builtin {
			kind = "builtin"
		}
		if named(n.Name) && withID(n.ID) && f.exact("driver", shown.Driver) &&
			f.exact("scope", "local") && f.exact("type", kind) && f.labels(n.Labels) &&
			(!asked || dangling == (!n.Builtin && !used[n.ID])) {
			out = append(out, apinetwork.Summary{Network: shown})
		}
	}
	WriteJSON(w, http.StatusOK, out)
	return nil
}

// places says which networks a container is a member of, whether it runs or not.
func (s *Server) places() map[string]bool {
	used := map[string]bool{}
	for _, v := range s.Engine.List() {
		for _, m := range v.Networks {
			used[m.ID] = true
		}
	}
	return used
}

func (s *Server) networkInspect(w http.ResponseWriter, r *http.Request) error {
	n, err := s.Networks.Find(r.PathValue("id"))
	if err != nil {
		return err
	}
	if scope := r.FormValue("scope"); scope != "" && scope != "local" {
		return errdefs.ErrNotFound
	}
	var members []network.Member
	for _, v := range s.Engine.List() {
		e := v.Run.Endpoint
		in := slices.ContainsFunc(v.Networks, func(m network.Membership) bool { return m.ID == n.ID })
		if in && v.State == container.Running && e != nil {
			members = append(members, network.Member{ID: v.ID, Name: v.Name, Addr: e.Addr, MAC: e.MAC})
		}
	}
	WriteJSON(w, http.StatusOK, s.Network.Inspect(n, members))
	return nil
}

func (s *Server) networkCreate(w http.ResponseWriter, r *http.Request) error {
	b, err := readBody(w, r, maxBody)
	if err != nil {
		return err
	}
	req, err := policy.DecodeNetwork(b)
	if err != nil {
		return err
	}
	n, err := policy.MakeNetwork(req, s.Network)
	if err != nil {
		return err
	}
	if n, err = s.Networks.Create(n); err != nil {
		return err
	}
	s.Forward()
	WriteJSON(w, http.StatusCreated, apinetwork.CreateResponse{ID: n.ID})
	return nil
}

func (s *Server) networkRemove(w http.ResponseWriter, r *http.Request) error {
	if _, err := s.Networks.Remove(r.PathValue("id")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// networkPrune removes the networks that no container is a member of.
func (s *Server) networkPrune(w http.ResponseWriter, r *http.Request) error {
	f, err := parseFilters(r, "label", "label!", "until")
	if err != nil {
		return err
	}
	until, err := f.until(time.Now())
	if err != nil {
		return err
	}
	names, err := s.Networks.Prune(func(n network.Network) bool {
		return f.labels(n.Labels) && (until.IsZero() || !n.Created.After(until)) && !s.places()[n.ID]
	})
	if err != nil {
		return err
	}
	s.Bus.Publish(events.NetworkEventType, events.ActionPrune, "", map[string]string{"reclaimed": "0"})
	WriteJSON(w, http.StatusOK, apinetwork.PruneReport{NetworksDeleted: append([]string{}, names...)})
	return nil
}

func (s *Server) networkConnect(w http.ResponseWriter, r *http.Request) error {
	var q apinetwork.ConnectRequest
	c, err := s.about(w, r, &q, &q.Container)
	if err != nil {
		return err
	}
	ref := r.PathValue("id")
	if ref == apinetwork.NetworkHost {
		return fmt.Errorf("container %s cannot be connected to the host's network: no container sees it: %w", c.ID()[:12],
			errdefs.ErrInvalidArgument)
	}
	n, err := s.Networks.Find(ref)
	if err == nil {
		err = s.Engine.Connect(r.Context(), c, n, q.EndpointConfig)
	}
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

func (s *Server) networkDisconnect(w http.ResponseWriter, r *http.Request) error {
	var q apinetwork.DisconnectRequest
	c, err := s.about(w, r, &q, &q.Container)
	if err == nil {
		err = s.Engine.Disconnect(r.Context(), c, r.PathValue("id"), q.Force)
	}
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// about reads a request about a container in a network, and finds the container.
func (s *Server) about(w http.ResponseWriter, r *http.Request, q any, ref *string) (*container.Container, error) {
	b, err := readBody(w, r, maxBody)
	if err == nil {
		err = policy.DecodeStrict(b, q)
	}
	if err != nil {
		return nil, err
	}
	return s.Engine.Find(*ref)
}
