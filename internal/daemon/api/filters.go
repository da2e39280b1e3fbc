package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

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
			return nil, fmt.Errorf("invalid filter '%.64s': %w", name, errdefs.ErrInvalidArgument)
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

// match is any for values that are regular expressions, as Docker has them for names; it gives the test, which passes if
// one of the spellings of a name matches. What is no expression matches only itself.
func (f filters) match(name string) func(have ...string) bool {
	values, there := f[name]
	if !there || len(values) == 0 {
		return func(...string) bool { return true }
	}
	var expressions []*regexp.Regexp
	for _, v := range values {
		if e, err := regexp.Compile(v); err == nil {
			expressions = append(expressions, e)
		}
	}
	return func(have ...string) bool {
		return slices.ContainsFunc(have, func(h string) bool {
			return slices.Contains(values, h) ||
				slices.ContainsFunc(expressions, func(e *regexp.Regexp) bool { return e.MatchString(h) })
		})
	}
}

// until is the moment of the filter until of a removal; zero if there is none.
func (f filters) until(now time.Time) (time.Time, error) {
	v := f["until"]
	if len(v) > 1 {
		return time.Time{}, fmt.Errorf("more than one until filter specified: %w", errdefs.ErrInvalidArgument)
	}
	if len(v) == 0 {
		return time.Time{}, nil
	}
	return ParseTime(v[0], now)
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
	is := func(s string) bool { s = strings.ToLower(s); return s == "1" || s == "true" }
	isNot := func(s string) bool { s = strings.ToLower(s); return s == "0" || s == "false" }
	if yes := slices.ContainsFunc(v, is); yes != slices.ContainsFunc(v, isNot) {
		return yes, true, nil
	}
	return false, true, fmt.Errorf("invalid filter '%s=%.64s': %w", name, strings.Join(v, ","), errdefs.ErrInvalidArgument)
}
