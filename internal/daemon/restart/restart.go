// Package restart decides whether a container that has ended is started again, and when.
//
// Zone: brigd.
// Input: a restart policy of the API; how a run ended and how long it lasted; what was counted before.
// Output: a decision, and what is to be counted. It starts nothing, keeps no time and writes nothing.
// Spec: the restart policies of the Docker Engine API; moby's restartmanager.
// Answers: A2 (a program that ends at once is not started again and again without a pause).
package restart

import (
	"time"

	"github.com/moby/moby/api/types/container"
)

// The states of a container with a restart policy, as far as this package is asked:
//
//	             start                       process 1 ended
//	exited ────────────────▶ running ──────────────────────────▶ (After)
//	 ▲  ▲ │                   ▲   ▲                               │   │
//	 │  │ │  the engine       │   │ the delay is over             │   │
//	 │  │ └── starts ─────────┘   │                               │   │
//	 │  │     (AtEngineStart)     │              the policy says  │   │ it does not, or somebody
//	 │  │                         │              once more        │   │ has stopped it
//	 │  └─────────────────── restarting ◀─────────────────────────┘   │
//	 │   stop, kill, rm -f,                                           │
//	 │   or the start failed                                          │
//	 └────────────────────────────────────────────────────────────────┘
//
// The delay before a start: 100 ms after the first end, twice as long after each further one, a minute at most. A run
// that lasted ten seconds makes the next end a first one again.
const (
	FirstDelay = 100 * time.Millisecond
	MostDelay  = time.Minute
	// LongRun is how long a run lasts whose end is nothing that a pause would help against.
	LongRun = 10 * time.Second
)

// Count is what is remembered from one end to the next.
type Count struct {
	Restarts int           // since somebody, or the engine's start, has started it
	Delay    time.Duration // before the last restart
}

// End is the end of a run.
type End struct {
	Code   int
	Lasted time.Duration
	// ByHand: somebody asked for this end.
	ByHand bool
	// Unhealthy: the engine ended it because its health checks failed, which was asked for.
	Unhealthy bool
}

// After says whether a container is started again after this end. The delay grows in any case, as Docker's does.
func After(p container.RestartPolicy, e End, c Count) (next Count, again bool) {
	next = c
	if p.IsNone() && !e.Unhealthy {
		return next, false
	}
	switch {
	case e.Lasted >= LongRun || c.Delay == 0:
		next.Delay = FirstDelay
	default:
		next.Delay = min(2*c.Delay, MostDelay)
	}
	if e.ByHand || !wants(p, e, c.Restarts) {
		return next, false
	}
	next.Restarts++
	return next, true
}

func wants(p container.RestartPolicy, e End, restarts int) bool {
	if p.IsOnFailure() {
		left := p.MaximumRetryCount == 0 || restarts < p.MaximumRetryCount
		return left && (e.Code != 0 || e.Unhealthy)
	}
	return p.IsAlways() || p.IsUnlessStopped() || e.Unhealthy
}

// AtEngineStart says whether a container that does not run comes up with the engine: for unless-stopped and on-failure it
// counts whether somebody has stopped it, for always it does not.
func AtEngineStart(p container.RestartPolicy, last End, restarts int) bool {
	switch {
	case p.IsAlways():
		return true
	case p.IsUnlessStopped():
		return !last.ByHand
	}
	last.Unhealthy = false
	return p.IsOnFailure() && !last.ByHand && wants(p, last, restarts)
}
