// Package health is what health checks come to: the defaults, when the next probe is due, and what its result means.
//
// Zone: brigd.
// Input: the health check of a request or an image (a stranger chose it); results of probes, whose output is a
// stranger's, too: it is kept as text of a bounded length.
// Output: the health that inspect shows. It runs nothing and keeps no time.
// Spec: HEALTHCHECK of the Dockerfile reference and of the Docker Engine API; moby's daemon/health.go.
// Answers: A2 (a probe every moment, a probe without end, an output without end).
package health

import (
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
)

// The states of a container with a health check:
//
//	          start          a probe succeeds
//	(none) ──────────▶ starting ───────────▶ healthy ◀──────────────┐
//	                      │                     │                   │
//	                      │ Retries failures in a row;              │ a probe
//	                      │ in the start period they                │ succeeds
//	                      │ are not counted     │                   │
//	                      ▼                     ▼                   │
//	                  unhealthy ────────────────────────────────────┘
//
// The end of a run makes it unhealthy without an event, a new run makes it starting. What is between two probes is
// Interval; in the start period, until the first success, StartInterval.
const (
	DefaultInterval      = 30 * time.Second
	DefaultTimeout       = 30 * time.Second
	DefaultStartInterval = 5 * time.Second
	DefaultRetries       = 3
	// LeastInterval is between two probes whatever was asked for: each is a process that the engine makes.
	LeastInterval = 100 * time.Millisecond
	// Logs is how many results are kept, and MaxOutput how many bytes of a probe's output.
	Logs      = 5
	MaxOutput = 4096
)

// Check is a health check with its defaults filled in.
type Check struct {
	Command                                       []string
	Interval, Timeout, StartPeriod, StartInterval time.Duration
	Retries                                       int
}

// Of gives the check of a container; nil when it has none. shell runs what was given as one line.
func Of(h *container.HealthConfig, shell []string) *Check {
	if h == nil || len(h.Test) < 2 {
		return nil
	}
	k := &Check{
		Interval: max(or(h.Interval, DefaultInterval), LeastInterval), Timeout: or(h.Timeout, DefaultTimeout),
		StartPeriod:   max(h.StartPeriod, 0),
		StartInterval: max(or(h.StartInterval, DefaultStartInterval), LeastInterval),
		Retries:       h.Retries,
	}
	if k.Retries <= 0 {
		k.Retries = DefaultRetries
	}
	switch h.Test[0] {
	case "CMD":
		k.Command = h.Test[1:]
	case "CMD-SHELL":
		if len(shell) == 0 {
			shell = []string{"/bin/sh", "-c"}
		}
		k.Command = append(append([]string{}, shell...), h.Test[1:]...)
	default:
		return nil
	}
	return k
}

// or is d, or its default; below zero, which only an image can say, it is the default as well.
func or(d, normal time.Duration) time.Duration {
	if d <= 0 {
		return normal
	}
	return d
}

// Begin is the health of a run that begins; what earlier probes said is kept.
func Begin(before *container.Health) *container.Health {
	h := &container.Health{Status: container.Starting, Log: []*container.HealthcheckResult{}} // clients read [], not null
	if before != nil {
		h.Log = before.Log
	}
	return h
}

// Ended is the health of a run that has ended.
func Ended(before *container.Health) *container.Health {
	h := *before
	h.Status = container.Unhealthy
	return &h
}

// After is the health after one more result of a run that began at started. Values that were given out do not change.
func (k *Check) After(before *container.Health, r *container.HealthcheckResult, started time.Time) *container.Health {
	h := *before
	from := max(0, len(h.Log)+1-Logs)
	h.Log = append(append([]*container.HealthcheckResult{}, h.Log[from:]...), r)
	switch {
	case r.ExitCode == 0:
		h.Status, h.FailingStreak = container.Healthy, 0
	case h.Status == container.Starting && r.Start.Sub(started) < k.StartPeriod:
	default:
		h.FailingStreak++
		if h.FailingStreak >= k.Retries {
			h.Status = container.Unhealthy
		}
	}
	return &h
}

// Pause is how long after a probe, or after the start, the next one begins.
func (k *Check) Pause(h *container.Health, sinceStart time.Duration) time.Duration {
	if left := k.StartPeriod - sinceStart; left > 0 && h.Status == container.Starting {
		return max(min(k.StartInterval, left), LeastInterval)
	}
	return k.Interval
}

// Output keeps the beginning of what a probe writes.
type Output struct {
	b   strings.Builder
	cut bool
}

// Add takes bytes, of which those beyond the bound are dropped.
func (o *Output) Add(p []byte) {
	keep := min(MaxOutput-o.b.Len(), len(p))
	o.b.Write(p[:keep])
	o.cut = o.cut || keep < len(p)
}

// String ends with dots where something was dropped.
func (o *Output) String() string {
	if o.cut {
		return o.b.String() + "..."
	}
	return o.b.String()
}
