package api

import (
	"net/http"
	"strings"
	"time"

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
	since, err := parseTime(r.FormValue("since"), now)
	if err != nil {
		return err
	}
	until, err := parseTime(r.FormValue("until"), now)
	if err != nil {
		return err
	}
	past, l := s.Bus.Listen()
	defer l.Close()
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	if err := http.NewResponseController(w).Flush(); err != nil {
		return nil
	}
	send := func(m events.Message) {
		if matchEvent(f, &m) && (until.IsZero() || m.TimeNano <= until.UnixNano()) {
			writeLine(w, eventFor(Version(r), m))
		}
	}
	if !since.IsZero() {
		for _, m := range past {
			if m.TimeNano >= since.UnixNano() {
				send(m)
			}
		}
	}
	var end <-chan time.Time
	if !until.IsZero() {
		t := time.NewTimer(time.Until(until))
		defer t.Stop()
		end = t.C
	}
	for {
		select {
		case m, ok := <-l.C:
			if !ok {
				return nil
			}
			send(m)
		case <-end:
			return nil
		case <-r.Context().Done():
			return nil
		}
	}
}

// eventFor gives an event the shape of an API version.
func eventFor(version int, m events.Message) any {
	if version >= 52 {
		return m
	}
	old := oldMessage{Message: m}
	if m.Type == events.ContainerEventType || m.Type == events.ImageEventType {
		old.Status, old.ID, old.From = string(m.Action), m.Actor.ID, m.Actor.Attributes["image"]
	}
	return old
}

func matchEvent(f filters, m *events.Message) bool {
	actor := func(kind events.Type) func(string) bool {
		return func(q string) bool {
			return m.Type == kind && (m.Actor.ID == q || m.Actor.Attributes["name"] == q ||
				len(q) >= 4 && strings.HasPrefix(m.Actor.ID, q))
		}
	}
	action, _, _ := strings.Cut(string(m.Action), ":")
	image := func(q string) bool {
		return actor(events.ImageEventType)(q) || m.Actor.Attributes["image"] == q
	}
	return f.exact("type", string(m.Type)) && f.exact("scope", m.Scope) &&
		f.any("event", func(q string) bool { return q == action || q == string(m.Action) }) &&
		f.any("container", actor(events.ContainerEventType)) && f.any("volume", actor(events.VolumeEventType)) &&
		f.any("network", actor(events.NetworkEventType)) && f.any("image", image) &&
		f.any("daemon", actor(events.DaemonEventType)) && f.any("plugin", actor(events.PluginEventType)) &&
		f.any("service", actor(events.ServiceEventType)) && f.any("node", actor(events.NodeEventType)) &&
		f.any("secret", actor(events.SecretEventType)) && f.any("config", actor(events.ConfigEventType)) &&
		f.labels(m.Actor.Attributes)
}
