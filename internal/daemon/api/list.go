package api

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/go-units"
	apicontainer "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"

	"github.com/brig-engine/brig/internal/daemon/container"
	brignet "github.com/brig-engine/brig/internal/daemon/network"
	"github.com/brig-engine/brig/internal/wire"
)

// FieldsHeader in a request for a list asks for no more of each entry than this field: Id. A script that asks for the names
// of thousands of containers would otherwise wait for what it throws away. Who does not know it answers with everything.
const FieldsHeader = "Brig-Fields"

type onlyID struct {
	ID string `json:"Id"`
}

func (s *Server) containerList(w http.ResponseWriter, r *http.Request) error {
	f, err := parseFilters(r, "id", "name", "label", "label!", "status", "ancestor", "before", "since", "exited", "volume",
		"network", "publish", "expose", "health", "is-task", "isolation", "annotation")
	if err != nil {
		return err
	}
	limit := 0
	if v := r.FormValue("limit"); v != "" {
		if limit, err = intParam(r, "limit", -1, 1<<31-1); err != nil {
			return err
		}
	}
	m, err := s.listMatcher(f)
	if err != nil {
		return err
	}
	all := boolParam(r, "all") || limit > 0 || len(f["status"]) > 0
	listed := s.Engine.List()
	listed = slices.DeleteFunc(listed, func(v container.View) bool {
		return !all && v.State != container.Running && v.State != container.Restarting || !m.match(&v)
	})
	if limit > 0 {
		listed = listed[:min(limit, len(listed))]
	}
	switch fields := r.Header.Get(FieldsHeader); fields {
	case "":
	case "Id":
		ids := make([]onlyID, len(listed))
		for i := range listed {
			ids[i].ID = listed[i].ID
		}
		WriteJSON(w, http.StatusOK, ids)
		return nil
	default:
		return fmt.Errorf("%s: %.64q, of a list of containers: Id: %w", FieldsHeader, fields, errdefs.ErrInvalidArgument)
	}
	out := make([]apicontainer.Summary, len(listed))
	now := time.Now()
	for i := range listed {
		out[i] = s.summary(&listed[i], now, Version(r))
	}
	if boolParam(r, "size") {
		if err := s.measure(r, out[:min(len(out), mostSizes)]); err != nil {
			return err
		}
		for i := mostSizes; i < len(out); i++ {
			out[i].SizeRw = notMeasured
		}
	}
	WriteJSON(w, http.StatusOK, out)
	return nil
}

// listMatcher holds filters that name other containers, resolved once.
type listMatcher struct {
	filters
	before, since time.Time
	named         func(...string) bool
	images        map[string]bool // ids that the filter ancestor has found
}

func (s *Server) listMatcher(f filters) (*listMatcher, error) {
	m := &listMatcher{filters: f, named: f.match("name"), images: map[string]bool{}}
	for name, t := range map[string]*time.Time{"before": &m.before, "since": &m.since} {
		for _, ref := range f[name] {
			c, err := s.Engine.Find(ref)
			if err != nil {
				return nil, err
			}
			*t = c.View().Created
		}
	}
	for _, st := range f["status"] {
		if err := apicontainer.ValidateContainerState(apicontainer.ContainerState(st)); err != nil {
			return nil, fmt.Errorf("%w: %w", err, errdefs.ErrInvalidArgument)
		}
	}
	for _, h := range f["health"] {
		if err := apicontainer.ValidateHealthStatus(apicontainer.HealthStatus(h)); err != nil {
			return nil, fmt.Errorf("invalid filter 'health=%.32s': %w: %w", h, err, errdefs.ErrInvalidArgument)
		}
	}
	for _, e := range f["exited"] {
		if _, err := strconv.Atoi(e); err != nil {
			return nil, fmt.Errorf("invalid filter 'exited=%.32s': %w", e, errdefs.ErrInvalidArgument)
		}
	}
	for _, name := range []string{"publish", "expose"} {
		for _, p := range f[name] {
			if _, err := network.ParsePortRange(p); err != nil {
				return nil, fmt.Errorf("invalid filter '%s=%.32s': %w", name, p, errdefs.ErrInvalidArgument)
			}
		}
	}
	for _, h := range f["health"] {
		if err := apicontainer.ValidateHealthStatus(apicontainer.HealthStatus(h)); err != nil {
			return nil, fmt.Errorf("invalid filter 'health=%.32s': %w: %w", h, err, errdefs.ErrInvalidArgument)
		}
	}
	for _, ref := range f["ancestor"] { // one that is not there has no descendants
		if img, err := s.FindImage(ref); err == nil {
			m.images[img.ID] = true
		}
	}
	return m, nil
}

func (m *listMatcher) match(v *container.View) bool {
	return m.any("id", func(q string) bool { return strings.HasPrefix(v.ID, q) }) &&
		m.named("/"+v.Name, v.Name) &&
		m.exact("status", v.Status()) &&
		m.any("exited", func(q string) bool { return v.State == container.Exited && q == strconv.Itoa(v.Exit.Code) }) &&
		(len(m.filters["ancestor"]) == 0 || m.images[v.ImageID]) &&
		m.any("volume", func(q string) bool { return hasVolume(v, q) }) &&
		m.any("network", func(q string) bool { return inNetwork(v, q) }) &&
		m.exact("health", string(healthOf(v).Status)) && m.exact("is-task", "false") &&
		m.any("annotation", func(q string) bool { return filters{"label": {q}}.labels(v.Host.Annotations) }) &&
		m.hasPort(v) &&
		m.labels(v.Config.Labels) &&
		(m.before.IsZero() || v.Created.Before(m.before)) && (m.since.IsZero() || v.Created.After(m.since))
}

func inNetwork(v *container.View, q string) bool {
	return slices.ContainsFunc(v.Networks, func(m brignet.Membership) bool { return m.Name == q || q != "" && strings.HasPrefix(m.ID, q) })
}

func hasVolume(v *container.View, q string) bool {
	return slices.ContainsFunc(v.Mounts, func(m apicontainer.MountPoint) bool {
		return m.Destination == q || m.Name == q || m.Name == "" && m.Source == q
	})
}

// hasPort: a container has to match one of the filters publish and expose, as in Docker.
func (m *listMatcher) hasPort(v *container.View) bool {
	if len(m.filters["publish"])+len(m.filters["expose"]) == 0 {
		return true
	}
	return slices.ContainsFunc(m.filters["publish"], func(q string) bool { return published(v, q) }) ||
		slices.ContainsFunc(m.filters["expose"], func(q string) bool { return exposed(v, q) })
}

func published(v *container.View, q string) bool {
	return slices.ContainsFunc(v.Run.Ports, func(b wire.Port) bool { return inRange(q, b.HostPort, b.Proto) })
}

func exposed(v *container.View, q string) bool {
	for p := range v.Config.ExposedPorts {
		if inRange(q, p.Num(), string(p.Proto())) {
			return true
		}
	}
	return slices.ContainsFunc(v.Run.Ports, func(b wire.Port) bool { return inRange(q, b.ContainerPort, b.Proto) })
}

func inRange(q string, port uint16, proto string) bool {
	r, err := network.ParsePortRange(q)
	return err == nil && string(r.Proto()) == proto && port >= r.Start() && port <= r.End()
}

func (s *Server) summary(v *container.View, now time.Time, version int) apicontainer.Summary {
	out := apicontainer.Summary{
		ID: v.ID, Names: []string{"/" + v.Name}, Image: s.imageName(v), ImageID: v.ImageID, Command: command(v),
		Created: v.Created.Unix(), Ports: summaryPorts(v), Labels: v.Config.Labels,
		State: apicontainer.ContainerState(v.Status()), Status: statusLine(v, now), Mounts: s.mounts(v),
		NetworkSettings: &apicontainer.NetworkSettingsSummary{
			Networks: map[string]*network.EndpointSettings{},
		},
	}
	for _, m := range v.Networks {
		out.NetworkSettings.Networks[m.Name] = s.endpoint(v, &m)
	}
	out.HostConfig.NetworkMode = string(v.Host.NetworkMode)
	out.HostConfig.Annotations = v.Host.Annotations
	if version >= 52 {
		out.Health = healthOf(v)
	}
	return out
}

// imageName is the image as the person named it, or its id if the name has another meaning by now, or none.
func (s *Server) imageName(v *container.View) string {
	img, err := s.FindImage(v.Config.Image)
	if err != nil || img.ID != v.ImageID {
		return v.ImageID
	}
	return v.Config.Image
}

// healthOf is none for a container without a health check, and for one that was not started yet.
func healthOf(v *container.View) *apicontainer.HealthSummary {
	if v.Health == nil {
		return &apicontainer.HealthSummary{Status: apicontainer.NoHealthcheck}
	}
	return &apicontainer.HealthSummary{Status: v.Health.Status, FailingStreak: v.Health.FailingStreak}
}

func command(v *container.View) string {
	words := slices.Clone(v.Spec.Process.Args)
	for i, w := range words {
		if i > 0 && strings.Contains(w, " ") {
			words[i] = "'" + w + "'"
		}
	}
	return strings.Join(words, " ")
}

func summaryPorts(v *container.View) []apicontainer.PortSummary {
	out := []apicontainer.PortSummary{}
	for p, bindings := range ports(v) {
		if len(bindings) == 0 {
			out = append(out, apicontainer.PortSummary{PrivatePort: p.Num(), Type: string(p.Proto())})
		}
		for _, b := range bindings {
			n, err := strconv.ParseUint(b.HostPort, 10, 16)
			if err != nil {
				continue
			}
			out = append(out, apicontainer.PortSummary{IP: b.HostIP, PrivatePort: p.Num(), PublicPort: uint16(n),
				Type: string(p.Proto())})
		}
	}
	slices.SortFunc(out, func(a, b apicontainer.PortSummary) int {
		if n := int(a.PrivatePort) - int(b.PrivatePort); n != 0 {
			return n
		}
		if n := strings.Compare(a.Type, b.Type); n != 0 {
			return n
		}
		return a.IP.Compare(b.IP)
	})
	return out
}

// statusLine is the sentence that ps shows.
func statusLine(v *container.View, now time.Time) string {
	switch v.State {
	case container.Running:
		up := "Up " + units.HumanDuration(now.Sub(v.Started))
		if v.Paused {
			return up + " (Paused)"
		}
		if v.Health == nil {
			return up
		}
		if v.Health.Status == apicontainer.Starting {
			return up + " (health: starting)"
		}
		return up + " (" + string(v.Health.Status) + ")"
	case container.Restarting:
		return fmt.Sprintf("Restarting (%d) %s ago", v.Exit.Code, units.HumanDuration(now.Sub(v.Finished)))
	case container.Exited:
		return fmt.Sprintf("Exited (%d) %s ago", v.Exit.Code, units.HumanDuration(now.Sub(v.Finished)))
	case container.Removing:
		return "Removal In Progress"
	}
	return "Created"
}
