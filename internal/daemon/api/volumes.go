package api

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/events"
	apivolume "github.com/moby/moby/api/types/volume"

	"github.com/brig-engine/brig/internal/daemon/volume"
)

func (s *Server) volumeRoutes(mux *http.ServeMux) {
	mux.Handle("GET /volumes", handler(s.volumeList))
	mux.Handle("POST /volumes/create", handler(s.volumeCreate))
	mux.Handle("POST /volumes/prune", handler(s.volumePrune))
	mux.Handle("GET /volumes/{name}", handler(s.volumeInspect))
	mux.Handle("DELETE /volumes/{name}", handler(s.volumeRemove))
	mux.Handle("PUT /volumes/{name}", refuse("cluster volumes"))
}

// mountpoint is where the bytes are on the host; they carry ids that no container runs with.
func (s *Server) mountpoint(name string) string { return s.Root + "/volumes/" + name }

func (s *Server) show(v volume.Volume) apivolume.Volume {
	labels := v.Labels
	if v.Anonymous {
		labels = map[string]string{"com.docker.volume.anonymous": ""}
	}
	return apivolume.Volume{Name: v.Name, Driver: "local", Scope: "local", Labels: labels, Options: v.Options,
		Mountpoint: s.mountpoint(v.Name), CreatedAt: v.Created.UTC().Format(time.RFC3339)}
}

func (s *Server) volumeList(w http.ResponseWriter, r *http.Request) error {
	f, err := parseFilters(r, "name", "label", "label!", "driver", "dangling")
	if err != nil {
		return err
	}
	dangling, asked, err := f.on("dangling")
	if err != nil {
		return err
	}
	out := apivolume.ListResponse{Volumes: []apivolume.Volume{}, Warnings: []string{}}
	all, holders := s.Volumes.List()
	named := f.match("name")
	for i, v := range all {
		shown := s.show(v)
		if named(v.Name) && f.labels(shown.Labels) &&
			f.exact("driver", "local") && (!asked || dangling == (holders[i] == 0)) {
			out.Volumes = append(out.Volumes, shown)
		}
	}
	WriteJSON(w, http.StatusOK, out)
	return nil
}

func (s *Server) volumeCreate(w http.ResponseWriter, r *http.Request) error {
	var req apivolume.CreateRequest
	if err := decode(w, r, &req, false); err != nil {
		return err
	}
	switch {
	case req.ClusterVolumeSpec != nil:
		return refuse("cluster volumes")(w, r)
	case req.Driver != "" && req.Driver != "local":
		return fmt.Errorf("--driver %.64s: Brig has the volume driver local only: %w", req.Driver, errdefs.ErrNotImplemented)
	}
	v := volume.Volume{Name: req.Name, Labels: req.Labels, Options: req.DriverOpts}
	if v.Name == "" {
		var b [32]byte
		rand.Read(b[:])
		v.Name, v.Anonymous = hex.EncodeToString(b[:]), len(req.Labels)+len(req.DriverOpts) == 0
	}
	v, _, err := s.Volumes.Ensure(r.Context(), v, "")
	if err != nil {
		return err
	}
	WriteJSON(w, http.StatusCreated, s.show(v))
	return nil
}

func (s *Server) volumeInspect(w http.ResponseWriter, r *http.Request) error {
	v, err := s.Volumes.Get(r.PathValue("name"))
	if err != nil {
		return err
	}
	WriteJSON(w, http.StatusOK, s.show(v))
	return nil
}

func (s *Server) volumeRemove(w http.ResponseWriter, r *http.Request) error {
	err := s.Volumes.Remove(r.Context(), r.PathValue("name"))
	if err != nil && (!boolParam(r, "force") || !errdefs.IsNotFound(err)) {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// volumePrune removes unused anonymous volumes; with the filter all, and before API 1.42, named ones too.
func (s *Server) volumePrune(w http.ResponseWriter, r *http.Request) error {
	f, err := parseFilters(r, "label", "label!", "all")
	if err != nil {
		return err
	}
	named, asked, err := f.on("all")
	if err != nil {
		return err
	}
	named = named || !asked && Version(r) < 42
	report := apivolume.PruneReport{VolumesDeleted: []string{}}
	all, holders := s.Volumes.List()
	for i, v := range all {
		if holders[i] > 0 || !v.Anonymous && !named || !f.labels(s.show(v).Labels) {
			continue
		}
		err := s.Volumes.Remove(r.Context(), v.Name)
		if errdefs.IsConflict(err) || errdefs.IsNotFound(err) {
			continue // used or removed meanwhile
		}
		if err != nil { // the others are removed all the same
			slog.Warn("prune", "volume", v.Name, "error", err)
			continue
		}
		report.VolumesDeleted = append(report.VolumesDeleted, v.Name)
	}
	slices.Sort(report.VolumesDeleted)
	s.Bus.Publish(events.VolumeEventType, events.ActionPrune, "", map[string]string{"reclaimed": "0"})
	WriteJSON(w, http.StatusOK, report)
	return nil
}
