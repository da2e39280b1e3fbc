package serve

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/brig-engine/brig/internal/daemon/api"
	"github.com/brig-engine/brig/internal/daemon/image"
)

// filters reads the parameter filters, in the form {"name":{"value":true}} or {"name":["value"]}, and refuses those
// that are not in allowed.
func filters(r *http.Request, allowed ...string) (map[string][]string, error) {
	s := r.URL.Query().Get("filters")
	if s == "" {
		return nil, nil
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal([]byte(s), &raw); err != nil {
		return nil, invalid("invalid filters %.64q", s)
	}
	out := map[string][]string{}
	for name, b := range raw {
		if !slices.Contains(allowed, name) {
			return nil, invalid("invalid filter '%.64s'", name)
		}
		var set map[string]bool
		var list []string
		switch {
		case json.Unmarshal(b, &set) == nil:
			for v, on := range set {
				if on {
					out[name] = append(out[name], v)
				}
			}
		case json.Unmarshal(b, &list) == nil:
			out[name] = list
		default:
			return nil, invalid("invalid filters %.64q", s)
		}
		slices.Sort(out[name])
	}
	return out, nil
}

// filter makes an image filter of them.
func filter(f map[string][]string, now time.Time) (image.Filter, error) {
	out := image.Filter{References: f["reference"], Labels: f["label"], NotLabels: f["label!"], Before: f["before"],
		Since: f["since"]}
	if v := f["dangling"]; len(v) > 0 {
		is, err := truth(v)
		if err != nil {
			return out, err
		}
		out.Dangling = &is
	}
	for _, v := range f["until"] {
		t, err := api.ParseTime(v, now)
		if err != nil {
			return out, invalid("invalid filter 'until=%.64s': a time or a duration is needed", v)
		}
		if out.Until.IsZero() || t.Before(out.Until) {
			out.Until = t
		}
	}
	return out, nil
}

func truth(v []string) (bool, error) {
	if len(v) == 1 {
		switch strings.ToLower(v[0]) {
		case "1", "true":
			return true, nil
		case "0", "false":
			return false, nil
		}
	}
	return false, invalid("invalid filter 'dangling=%.64s'", strings.Join(v, ","))
}
