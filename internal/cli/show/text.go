package show

import (
	"strings"
	"time"

	"github.com/docker/go-units"
)

// Truncate shortens s to at most n characters, the last of which is then an ellipsis.
func Truncate(s string, n int) string {
	r := []rune(s)
	if len(r) <= n || n < 1 {
		return s
	}
	return string(r[:n-1]) + "…"
}

// ShortID is the first twelve digits of an id or a digest.
func ShortID(id string) string {
	_, hex, ok := strings.Cut(id, ":")
	if !ok {
		hex = id
	}
	return hex[:min(len(hex), 12)]
}

// Ago says how long ago t was, "3 minutes ago".
func Ago(now, t time.Time) string {
	if t.IsZero() || t.Unix() <= 0 {
		return "N/A"
	}
	return units.HumanDuration(now.Sub(t)) + " ago"
}

// Size is a number of bytes in powers of 1000, "7.8MB".
func Size(n int64) string { return units.HumanSizeWithPrecision(float64(n), 3) }
