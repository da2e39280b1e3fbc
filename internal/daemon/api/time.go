package api

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs"
)

// layouts are the ways to write a time, with a zone and without: then it is the engine's.
func layouts() []string {
	return []string{time.RFC3339Nano, "2006-01-02T15:04Z07:00", "2006-01-02T15Z07:00", "2006-01-02Z07:00",
		"2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02T15", "2006-01-02"}
}

// ParseTime reads seconds since the epoch with an optional fraction, a time or a date, or a duration before now. Nothing
// and 0 are the zero time.
func ParseTime(s string, now time.Time) (time.Time, error) {
	if s == "" || s == "0" {
		return time.Time{}, nil
	}
	sec, frac, _ := strings.Cut(s, ".")
	if n, err := strconv.ParseInt(sec, 10, 64); err == nil && len(frac) <= 9 && !strings.HasPrefix(frac, "-") {
		ns, err := strconv.ParseInt((frac + "000000000")[:9], 10, 64)
		if err == nil && n > -math.MaxInt32 && n < 1<<40 {
			return time.Unix(n, ns), nil
		}
	}
	if d, err := time.ParseDuration(s); err == nil {
		return now.Add(-d), nil
	}
	for _, layout := range layouts() {
		if t, err := time.ParseInLocation(layout, s, time.Local); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("time %.64q: must be seconds since 1970, a time like 2026-01-02T15:04:05Z, or a duration: %w",
		s, errdefs.ErrInvalidArgument)
}
