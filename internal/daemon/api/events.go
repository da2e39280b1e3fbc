package api

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/moby/moby/api/types/events"
)

// oldMessage is an event with the fields that versions before 1.52 have too.
type oldMessage struct {
	Status string `json:"status,omitempty"`
	ID     string `json:"id,omitempty"`
	From   string `json:"from,omitempty"`
	events.Message
}

func (s *Server) events(w http.ResponseWriter, r *http.Request) error {
	f, err := parseFilters(r, "type", "event", "container", "image", "volume", "network", "label", "scope", "daemon",
		"plugin", "service", "node", "secret", "config")
	if err != nil {
		return err
	}
	now := time.Now()
	since, until, err := eventTimes(r, now)
	if err != nil {
		return err
	}
	l := s.Bus.Listen(!since.IsZero() || !until.IsZero())
	defer l.Close()
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	if err := http.NewResponseController(w).Flush(); err != nil {
		return nil
	}
	var end <-chan time.Time
	if !until.IsZero() {
		t := time.NewTimer(max(0, time.Until(until)))
		defer t.Stop()
		end = t.C
	}
	for {
		m, there, open := l.Next()
		switch {
		case there && (!since.IsZero() && m.TimeNano < since.UnixNano() || !until.IsZero() && m.TimeNano > until.UnixNano()):
		case there && matchEvent(f, &m):
			if !writeLine(w, eventFor(Version(r), m)) {
				return nil
			}
		case there:
		case !open || !until.IsZero() && until.Before(now):
			return nil
		default:
			select {
			case <-l.Wake:
			case <-end:
				now = until.Add(1) // what has happened until then is still told
			case <-r.Context().Done():
				return nil
			}
		}
	}
}

// eventTimes reads since and until. 0 is the beginning of time here, and not no time.
func eventTimes(r *http.Request, now time.Time) (since, until time.Time, err error) {
	for name, to := range map[string]*time.Time{"since": &since, "until": &until} {
		v := r.FormValue(name)
		if *to, err = ParseTime(v, now); err != nil {
			return since, until, err
		}
		if v == "0" {
			*to = time.Unix(0, 0)
		}
	}
	if !until.IsZero() && until.Before(since) {
		return since, until, fmt.Errorf("`since` time (%.64s) cannot be after `until` time (%.64s): %w", r.FormValue("since"),
			r.FormValue("until"), errdefs.ErrInvalidArgument)
	}
	return since, until, nil
}

// eventFor gives an event the shape of an API version.
func eventFor(version int, m events.Message) any {
	if version >= 52 {
		return m
	}
	old := oldMessage{Message: m}
	switch m.Type {
	case events.ContainerEventType:
		old.Status, old.ID, old.From = string(m.Action), m.Actor.ID, m.Actor.Attributes["image"]
	case events.ImageEventType:
		old.Status, old.ID = string(m.Action), m.Actor.ID
	}
	return old
}

// matchEvent tells whether an event passes. The filter of a kind of object lets pass what its objects do; only image
// lets pass what containers of the image do, too.
func matchEvent(f filters, m *events.Message) bool {
	action, _, _ := strings.Cut(string(m.Action), ":")
	if !f.exact("type", string(m.Type)) || !f.exact("scope", m.Scope) || !f.labels(m.Actor.Attributes) ||
		!f.any("event", func(q string) bool { return q == action || q == string(m.Action) }) ||
		!f.any("image", func(q string) bool { return slices.Contains(imageNames(m), q) }) {
		return false
	}
	for _, kind := range []events.Type{events.ContainerEventType, events.VolumeEventType, events.NetworkEventType,
		events.DaemonEventType, events.PluginEventType, events.ServiceEventType, events.NodeEventType,
		events.SecretEventType, events.ConfigEventType} {
		if !f.any(string(kind), func(q string) bool {
			return m.Type == kind && (strings.HasPrefix(m.Actor.ID, q) || strings.HasPrefix(m.Actor.Attributes["name"], q))
		}) {
			return false
		}
	}
	return true
}

// imageNames are the names that the filter image knows an event by, with tags and without.
func imageNames(m *events.Message) []string {
	attribute := map[events.Type]string{events.ImageEventType: "name", events.ContainerEventType: "image"}[m.Type]
	if attribute == "" {
		return nil
	}
	var names []string
	for _, n := range []string{m.Actor.ID, m.Actor.Attributes[attribute]} {
		names = append(names, n)
		if ref, err := reference.ParseNormalizedNamed(n); err == nil {
			names = append(names, reference.FamiliarName(ref))
		}
	}
	return names
}
