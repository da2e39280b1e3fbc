package drill

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"
)

const (
	logFlood = 160 << 20 // bytes that the attacker prints
	logBound = 64 << 20  // that may stay on the disk of them
	manyExec = 300       // programs that are executed in one container and stay
	execTime = 12        // seconds that they stay
)

// during measures the neighbour while work goes on, up to three times if it seems to starve; a busy machine must not count
// as the attacker's.
func (r *run) during(work func() Verdict) (v Verdict) { return r.duringBy(starvedFloor, work) }

// duringBy is during with a floor of its own.
func (r *run) duringBy(floor time.Duration, work func() Verdict) (v Verdict) {
	for range 3 {
		calm, err := r.peace(false)
		if err != nil {
			return couldNot("%v", err)
		}
		result := make(chan Verdict, 1)
		go func() { result <- work() }()
		busy, n, failed := r.latency(func(int) bool { return len(result) > 0 })
		v = <-result
		if v.Verdict != Blocked && v.Verdict != Exposed {
			return v
		}
		if after, err := r.peace(true); err == nil {
			calm = max(calm, after)
		}
		bound := r.bound(calm, floor)
		v.Near = nearOf(calm, busy)
		v.Detail += fmt.Sprintf("; neighbour's p99 %s → %s, bound %s", milli(calm), milli(busy), milli(bound))
		if len(failed) == 0 && busy <= bound || v.Verdict != Blocked {
			return v
		}
		v.Verdict, v.Layer = Exposed, ""
		if len(failed) > 0 {
			v.Detail += fmt.Sprintf(", %d of %d requests failed", len(failed), n)
		}
	}
	return v
}

// beside is a probe during which the neighbour is measured.
func beside(try func(*run) Verdict) func(*run) Verdict {
	return func(r *run) Verdict { return r.during(func() Verdict { return try(r) }) }
}

// doorFloor is what a neighbour's answer may take in any case while the attacker is a program of the host: it takes its turns
// of the processors beside all containers, before the engine has any of its work to do, and no engine gives it less.
const doorFloor = 250 * time.Millisecond

// besideDoor is beside for attackers who sit at the engine's door and in no container.
func besideDoor(try func(*run) Verdict) func(*run) Verdict {
	return func(r *run) Verdict { return r.duringBy(doorFloor, func() Verdict { return try(r) }) }
}

// tryLogFlood has a container print as fast as it can. What the engine keeps of that on its disk is measured there; a third
// container's line must still be kept.
func tryLogFlood(r *run) Verdict {
	return r.during(func() Verdict {
		box, err := r.start(r.pour(logFlood, "0"))
		if err != nil {
			return couldNot("%v", err)
		}
		defer r.remove(box)
		info, err := box.Info(r.ctx)
		if err != nil {
			return couldNot("%v", err)
		}
		if err := r.witness(); err != nil {
			return Verdict{Verdict: Exposed, Detail: "while one container floods its log: " + err.Error()}
		}
		if status, err := box.Wait(r.ctx); err != nil || status != 0 {
			return couldNot("the attacker's program ended with status %d: %v", status, err)
		}
		kept, err := onDisk(info.Log)
		if err != nil {
			return couldNot("the attacker's log cannot be measured: %v", err)
		}
		detail := fmt.Sprintf("%d MiB printed, %d MiB on the disk, bound %d", logFlood>>20, kept>>20, logBound>>20)
		if kept > logBound {
			return Verdict{Verdict: Exposed, Detail: detail}
		}
		return Verdict{Verdict: Blocked, Layer: "bounded log", Detail: detail}
	})
}

// pour is a container that prints so many bytes after so many seconds.
func (r *run) pour(n int, after string) Spec {
	const most = 30 // seconds
	return Spec{Args: probeArgs("pour", strconv.Itoa(n), after, strconv.Itoa(most*r.slow()))}
}

// onDisk is how much room the files of a log take: the one that the engine names, and those which begin with its name.
func onDisk(path string) (size int64, err error) {
	if path == "" {
		return 0, fmt.Errorf("the engine does not say where it is")
	}
	files, err := filepath.Glob(path + "*")
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("there is no %s", path)
	}
	for _, name := range files {
		st, err := os.Stat(name)
		if err != nil {
			continue // rotated away meanwhile
		}
		size += st.Sys().(*syscall.Stat_t).Blocks * 512
	}
	return size, err
}

// tryExecFlood executes programs that stay, beyond any use.
func tryExecFlood(r *run) Verdict {
	return r.during(func() Verdict {
		box, _, err := r.idle()
		if err != nil {
			return couldNot("%v", err)
		}
		defer r.remove(box)
		var mu sync.Mutex
		var wg sync.WaitGroup
		var refusal error
		made, begin, stay := 0, time.Now(), execTime*r.slow()
		for range 8 {
			wg.Go(func() {
				for {
					mu.Lock()
					enough := refusal != nil || made >= manyExec
					if !enough {
						made++
					}
					mu.Unlock()
					if enough {
						return
					}
					if err := box.ExecDetached(r.ctx, "/bin/sleep", strconv.Itoa(stay)); err != nil {
						mu.Lock()
						refusal = err
						made--
						mu.Unlock()
						return
					}
				}
			})
		}
		wg.Wait()
		detail := fmt.Sprintf("%d programs executed at a time", made)
		switch {
		case refusal == nil && time.Since(begin) > time.Duration(stay)*time.Second/2:
			return couldNot("%d programs took %s to be executed: the first ones had ended", made, time.Since(begin).Round(time.Second))
		case refusal == nil:
			return Verdict{Verdict: Exposed, Detail: detail + " and no limit met"}
		case made < 16:
			return couldNot("%s, then %v", detail, refusal)
		}
		return Verdict{Verdict: Blocked, Layer: "bounds of the engine", Detail: fmt.Sprintf("%s, then %.120s", detail, refusal)}
	})
}
