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

func (s *Server) containerList(w http.ResponseWriter, r *http.Request) error {
	f, err := parseFilters(r, "id", "name", "label", "label!", "status", "ancestor", "before", "since", "exited", "volume",
		"network", "publish", "expose", "health", "is-task", "annotation")
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
	all := boolParam(r, "all") || limit > 0 || len(f["status"]) > 0 || len(f["exited"]) > 0
	out := []apicontainer.Summary{}
	now := time.Now()
	var size int64
	if boolParam(r, "size") {
		// What a container has written is not measured. A refusal would be more than was asked for: docker asks for sizes
		// whenever it prints whole objects (ps --format json). -1 is the API's word for what was not calculated.
		size = -1
	}
	for _, v := range s.Engine.List() {
		if limit > 0 && len(out) == limit {
			break
		}
		if all || v.State == container.Running {
			if m.match(&v) {
				row := s.summary(&v, now)
				row.SizeRw = size
				out = append(out, row)
			}
		}
	}
	WriteJSON(w, http.StatusOK, out)
	return nil
}

// listMatcher holds filters that name other containers, resolved once.
type listMatcher struct {
	filters
	before, since time.Time
}

func (s *Server) listMatcher(f filters) (*listMatcher, error) {
	m := &listMatcher{filters: f}
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
	return m, nil
}

func (m *listMatcher) match(v *container.View) bool {
	return m.any("id", func(q string) bool { return strings.HasPrefix(v.ID, q) }) &&
		m.any("name", func(q string) bool { return strings.Contains("/"+v.Name, q) }) &&
		m.exact("status", string(v.State)) &&
		m.any("exited", func(q string) bool { return v.State == container.Exited && q == strconv.Itoa(v.Exit.Code) }) &&
		m.any("ancestor", func(q string) bool { return isImage(v, q) }) &&
		m.any("volume", func(q string) bool { return hasVolume(v, q) }) &&
		m.any("network", func(q string) bool { return inNetwork(v, q) }) &&
		m.exact("health", "none") && m.exact("is-task", "false") &&
		m.any("annotation", func(q string) bool { return filters{"label": {q}}.labels(v.Host.Annotations) }) &&
		m.any("publish", func(q string) bool { return published(v, q) }) &&
		m.any("expose", func(q string) bool { return exposed(v, q) }) &&
		m.labels(v.Config.Labels) &&
		(m.before.IsZero() || v.Created.Before(m.before)) && (m.since.IsZero() || v.Created.After(m.since))
}

func isImage(v *container.View, q string) bool {
	name := v.Config.Image
	return q == name || q+":latest" == name || q == name+":latest" || q == v.ImageID ||
		len(q) >= 4 && strings.HasPrefix(strings.TrimPrefix(v.ImageID, "sha256:"), strings.TrimPrefix(q, "sha256:"))
}

func inNetwork(v *container.View, q string) bool {
	return slices.ContainsFunc(v.Networks, func(m brignet.Membership) bool { return m.Name == q || m.ID == q })
}

func hasVolume(v *container.View, q string) bool {
	return slices.ContainsFunc(v.Mounts, func(m apicontainer.MountPoint) bool { return m.Name == q || m.Destination == q })
}

func published(v *container.View, q string) bool {
	return slices.ContainsFunc(v.Run.Ports, func(b wire.BoundPort) bool { return inRange(q, b.HostPort, b.Proto) })
}

func exposed(v *container.View, q string) bool {
	for p := range v.Config.ExposedPorts {
		if inRange(q, p.Num(), string(p.Proto())) {
			return true
		}
	}
	return slices.ContainsFunc(v.Run.Ports, func(b wire.BoundPort) bool { return inRange(q, b.ContainerPort, b.Proto) })
}

func inRange(q string, port uint16, proto string) bool {
	r, err := network.ParsePortRange(q)
	return err == nil && string(r.Proto()) == proto && port >= r.Start() && port <= r.End()
}

func (s *Server) summary(v *container.View, now time.Time) apicontainer.Summary {
	out := apicontainer.Summary{
		ID: v.ID, Names: []string{"/" + v.Name}, Image: v.Config.Image, ImageID: v.ImageID, Command: command(v),
		Created: v.Created.Unix(), Ports: summaryPorts(v), Labels: v.Config.Labels,
		State: apicontainer.ContainerState(v.State), Status: statusLine(v, now), Mounts: s.mounts(v),
		NetworkSettings: &apicontainer.NetworkSettingsSummary{
			Networks: map[string]*network.EndpointSettings{},
		},
	}
	for _, m := range v.Networks {
		out.NetworkSettings.Networks[m.Name] = s.endpoint(v, &m)
	}
	out.HostConfig.NetworkMode = string(v.Host.NetworkMode)
	out.HostConfig.Annotations = v.Host.Annotations
	return out
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
		return "Up " + units.HumanDuration(now.Sub(v.Started))
	case container.Exited:
		return fmt.Sprintf("Exited (%d) %s ago", v.Exit.Code, units.HumanDuration(now.Sub(v.Finished)))
	case container.Removing:
		return "Removal In Progress"
	}
	return "Created"
}
