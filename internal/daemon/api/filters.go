package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
)

// filters are the values of each filter; every value of a filter is an alternative, except for labels.
type filters map[string][]string

// parseFilters reads the parameter filters and refuses those that are not in allowed.
func parseFilters(r *http.Request, allowed ...string) (filters, error) {
	s := r.FormValue("filters")
	if s == "" {
		return nil, nil
	}
	f := filters{}
	var sets map[string]map[string]bool
	if err := json.Unmarshal([]byte(s), &sets); err != nil {
		// The form of clients before API 1.22.
		if err := json.Unmarshal([]byte(s), &f); err != nil {
			return nil, fmt.Errorf("invalid filters %.64q: %w", s, errdefs.ErrInvalidArgument)
		}
	}
	for name, set := range sets {
		for v, on := range set {
			if on {
				f[name] = append(f[name], v)
			}
		}
	}
	for name := range f {
		if !slices.Contains(allowed, name) {
			return nil, fmt.Errorf("invalid filter %.64q: %w", name, errdefs.ErrInvalidArgument)
		}
		slices.Sort(f[name])
	}
	return f, nil
}

// any tells whether the filter is absent or one of its values matches.
func (f filters) any(name string, match func(string) bool) bool {
	v, there := f[name]
	return !there || len(v) == 0 || slices.ContainsFunc(v, match)
}

func (f filters) exact(name, have string) bool {
	return f.any(name, func(v string) bool { return v == have })
}

// labels tells whether all label filters match, and none of label!.
func (f filters) labels(have map[string]string) bool {
	has := func(q string) bool {
		k, v, withValue := strings.Cut(q, "=")
		got, there := have[k]
		return there && (!withValue || got == v)
	}
	for _, q := range f["label"] {
		if !has(q) {
			return false
		}
	}
	return !slices.ContainsFunc(f["label!"], has)
}

// on tells whether a filter like dangling=true is there, and its value.
func (f filters) on(name string) (value, there bool, err error) {
	v := f[name]
	if len(v) == 0 {
		return false, false, nil
	}
	switch strings.ToLower(v[0]) {
	case "1", "true":
		return true, true, nil
	case "0", "false":
		return false, true, nil
	}
	return false, true, fmt.Errorf("invalid filter '%s=%.64s': %w", name, v[0], errdefs.ErrInvalidArgument)
}
