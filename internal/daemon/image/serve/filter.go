package serve

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

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
	out := image.Filter{References: f["reference"], Labels: f["label"], NotLabels: f["label!"]}
	for name, to := range map[string]*string{"before": &out.Before, "since": &out.Since} {
		switch v := f[name]; len(v) {
		case 0:
		case 1:
			*to = v[0]
		default:
			return out, invalid("the filter %s can have one value", name)
		}
	}
	if v := f["dangling"]; len(v) > 0 {
		is, err := truth(v)
		if err != nil {
			return out, err
		}
		out.Dangling = &is
	}
	if v := f["until"]; len(v) > 0 {
		t, err := moment(v[0], now)
		if err != nil || len(v) > 1 {
			return out, invalid("invalid filter 'until=%.64s'", strings.Join(v, ","))
		}
		out.Until = t
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

// moment reads a time as Docker's clients send it: seconds since the epoch, a duration before now, or a date.
func moment(s string, now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(s); err == nil {
		return now.Add(-d), nil
	}
	if sec, frac, _ := strings.Cut(s, "."); strings.Trim(frac, "0123456789") == "" {
		if n, err := strconv.ParseInt(sec, 10, 64); err == nil {
			return time.Unix(n, 0), nil
		}
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	return time.Time{}, invalid("invalid time %.64q", s)
}
