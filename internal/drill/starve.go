package drill

import (
	"fmt"
	"os"
	"strconv"
	"time"
)

// A hog starves its neighbour when the neighbour's slow requests (the 99th percentile) take more than three times
// as long as undisturbed. Below starvedFloor nobody is said to be starved: on a machine that does other work as well, a
// ratio of milliseconds would measure that. docs/drill.md has the ratios of a machine that does nothing else.
const (
	starvedRatio = 3
	starvedFloor = 100 * time.Millisecond
	askDeadline  = 3 * time.Second
	calmRequests = 100
	pace         = 4 * time.Millisecond // one request in this time
)

// calmness is how long the neighbour's answers took when it was last measured undisturbed: what follows an attack is what
// precedes the next one.
type calmness struct {
	p99 time.Duration
	at  time.Time
}

// stale is when a measurement says nothing about now any more.
const stale = 2 * time.Second

// peace measures the neighbour in peace, unless that was done just now.
func (r *run) peace(again bool) (time.Duration, error) {
	if !again && r.calm != nil && time.Since(r.calm.at) < stale {
		return r.calm.p99, nil
	}
	p99, measured := askDeadline, false
	for try := 0; try < 3 && p99 > starvedFloor; try++ { // a bound three times as high as chance would excuse everything
		got, _, failed := r.latency(func(n int) bool { return n >= calmRequests })
		if len(failed) == 0 {
			p99, measured = min(p99, got), true
		} else if try == 2 && !measured { // before, something else may have been busy
			return 0, fmt.Errorf("the neighbour does not answer even undisturbed: %w", failed[0])
		}
	}
	if r.calm != nil {
		*r.calm = calmness{p99, time.Now()}
	}
	return p99, nil
}

// hog runs a probe beside the measured neighbour. What it says of itself and what it did to the neighbour both count.
// A neighbour found starved is measured twice more before it is believed: something else may have been busy.
func (r *run) hog(spec Spec) (v Verdict) {
	starved := true
	for try := 0; starved && try < 3; try++ {
		v, starved = r.hogOnce(spec)
	}
	return v
}

func (r *run) hogOnce(spec Spec) (v Verdict, starved bool) {
	calm, err := r.peace(false)
	if err != nil {
		return couldNot("%v", err), false
	}
	box, err := r.start(spec)
	if err != nil {
		return couldNot("%v", err), false
	}
	defer r.remove(box)
	result := make(chan Verdict, 1)
	go func() { result <- r.outcome(box) }()
	busy, n, failed := r.latency(r.runs(box, result))
	v = <-result
	// Undisturbed is the slower of before and after: what else runs on the machine must not count as the hog's.
	if after, err := r.peace(true); err == nil {
		calm = max(calm, after)
	}
	bound := r.bound(calm, starvedFloor)
	measured := fmt.Sprintf("neighbour's p99 %s → %s, bound %s", milli(calm), milli(busy), milli(bound))
	switch {
	case len(failed) > 0 || busy > bound:
		if len(failed) > 0 {
			measured += fmt.Sprintf(", %d of %d requests failed (%v)", len(failed), n, failed[0])
		}
		if v.Verdict == Exposed || v.Verdict == lookOutside { // what it did says more than what came of it
			measured = v.Detail + "; " + measured
		}
		return Verdict{Verdict: Exposed, Detail: measured, Near: nearOf(calm, busy)}, true
	case v.Verdict == lookOutside:
		return Verdict{Verdict: Blocked, Layer: "cpu cgroup", Detail: v.Detail + ": " + measured, Near: nearOf(calm, busy)}, false
	case v.Verdict == Blocked || v.Verdict == Exposed:
		v.Detail += "; " + measured
		v.Near = nearOf(calm, busy)
	}
	return v, false
}

// runs says, asked again and again, when the program of a box has ended. The engine's own work before and after, which
// a container that does nothing makes as well, is not the hog's doing; so the process counts, not the engine's word.
func (r *run) runs(box Box, result <-chan Verdict) (ended func(int) bool) {
	info, err := box.Info(r.ctx)
	process := fmt.Sprintf("/proc/%d", info.PID)
	known := err == nil && info.PID != 0
	if known {
		_, err = os.Stat(process)
		known = err == nil
	}
	return func(int) bool {
		if len(result) > 0 {
			return true
		}
		if !known {
			return false
		}
		_, err := os.Stat(process)
		return err != nil
	}
}

func milli(d time.Duration) string {
	return strconv.FormatFloat(float64(d.Microseconds())/1000, 'f', 1, 64) + " ms"
}

func tryCPU(r *run) Verdict { return r.hog(Spec{Args: probeArgs("cpu-hog", "1500")}) }

// tryCrowd makes more of what counts like a process than anybody needs.
func tryCrowd(r *run) Verdict {
	forks := r.options.Forks
	if forks == 0 {
		forks = 4000
	}
	return r.hog(Spec{Args: probeArgs(r.probe.ID, strconv.Itoa(forks))})
}

// bound is how long an answer may take that took calm when nobody disturbed, if it may take floor in any case.
func (r *run) bound(calm, floor time.Duration) time.Duration {
	return max(starvedRatio*calm, floor*time.Duration(r.slow()))
}

// slow is by how much this machine is slower than one is.
func (r *run) slow() int { return max(1, r.options.Slow) }
