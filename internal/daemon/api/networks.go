package api

import (
	"fmt"
	"net/http"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/events"
	apinetwork "github.com/moby/moby/api/types/network"

	"github.com/brig-engine/brig/internal/daemon/container"
	"github.com/brig-engine/brig/internal/daemon/network"
)

func (s *Server) networkRoutes(mux *http.ServeMux) {
	mux.Handle("GET /networks", handler(s.networkList))
	mux.Handle("GET /networks/{id}", handler(s.networkInspect))
	mux.Handle("POST /networks/create", refuse("networks of one's own: there are bridge and none"))
	mux.Handle("POST /networks/prune", handler(s.networkPrune))
	mux.Handle("DELETE /networks/{id}", handler(s.networkRemove))
	mux.Handle("POST /networks/{id}/connect", refuse("a second network for a container"))
	mux.Handle("POST /networks/{id}/disconnect", refuse("taking a container off its network"))
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
	used := map[string]bool{}
	for _, v := range s.Engine.List() {
		used[string(v.Host.NetworkMode)] = true
	}
	out := []apinetwork.Summary{}
	named, withID := f.match("name"), f.match("id")
	for _, n := range s.Network.List() {
		if named(n.Name) && withID(n.ID) && f.exact("driver", n.Driver) &&
			f.exact("scope", "local") && f.exact("type", "builtin") && f.labels(n.Labels) &&
			(!asked || dangling == !used[n.Name]) {
			out = append(out, n)
		}
	}
	WriteJSON(w, http.StatusOK, out)
	return nil
}

func (s *Server) findNetwork(r *http.Request) (apinetwork.Inspect, error) {
	var members []network.Member
	for _, v := range s.Engine.List() {
		if e := v.Run.Endpoint; v.State == container.Running && e != nil {
			members = append(members, network.Member{ID: v.ID, Name: v.Name, Addr: e.Addr, MAC: e.MAC})
		}
	}
	ref := r.PathValue("id")
	n, ok := s.Network.Inspect(ref, members)
	if !ok {
		return n, fmt.Errorf("network %.128s not found: %w", ref, errdefs.ErrNotFound)
	}
	return n, nil
}

func (s *Server) networkInspect(w http.ResponseWriter, r *http.Request) error {
	n, err := s.findNetwork(r)
	if err != nil {
		return err
	}
	WriteJSON(w, http.StatusOK, n)
	return nil
}

func (s *Server) networkRemove(_ http.ResponseWriter, r *http.Request) error {
	n, err := s.findNetwork(r)
	if err != nil {
		return err
	}
	return fmt.Errorf("%s is a pre-defined network and cannot be removed: %w", n.Name, errdefs.ErrPermissionDenied)
}

// networkPrune: the two networks that there are belong to the engine.
func (s *Server) networkPrune(w http.ResponseWriter, r *http.Request) error {
	f, err := parseFilters(r, "label", "label!", "until")
	if err != nil {
		return err
	}
	if _, err := f.until(time.Now()); err != nil {
		return err
	}
	s.Bus.Publish(events.NetworkEventType, events.ActionPrune, "", map[string]string{"reclaimed": "0"})
	WriteJSON(w, http.StatusOK, apinetwork.PruneReport{NetworksDeleted: []string{}})
	return nil
}
