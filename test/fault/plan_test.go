package fault

import (
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// The faults.
var (
	killBrigd  = fault{Name: "kill brigd", Kill: []string{"brigd"}}
	killWarden = fault{Name: "kill warden", Kill: []string{"brig-warden"}}
	killBoth   = fault{Name: "kill both", Kill: []string{"brig-warden", "brigd"}}
	killRouter = fault{Name: "kill router", Kill: []string{"brig-router"}}
	killStore  = fault{Name: "kill store", Kill: []string{"brig-store"}}
	killKeeper = fault{Name: "kill keeper", Kill: []string{"brig-keeper"}}
	killWorker = fault{Name: "kill worker", Kill: []string{"brig-worker"}}
	fall       = fault{Name: "machine falls", Down: true}
	terminate  = fault{Name: "SIGTERM", Signal: unix.SIGTERM}
	leave      = fault{Name: "client leaves", Client: true}
	broken     = fault{Name: "EIO", Errno: syscall.EIO}
	full       = fault{Name: "ENOSPC", Errno: syscall.ENOSPC}
)

// touches tells whether a step is one on a file of the engine, which a broken or full disk makes fail.
func (s step) touches() bool {
	words := strings.Fields(s.Text)
	return len(words) == 3 && (strings.HasPrefix(words[2], "root/") || strings.HasPrefix(words[2], "run/"))
}

func (s step) grows() bool {
	return s.touches() && !slices.Contains([]string{"unlinkat", "fchownat"}, s.call())
}

// plan is how many steps of a kind are struck in one verb by one fault.
type plan struct {
	fault fault
	most  int
	which func(step) bool
}

func by(role string) func(step) bool { return func(s step) bool { return s.role() == role } }

// few are the plans of the short lane.
func few() []plan {
	file := func(s step) bool { return s.role() == "brigd" && s.touches() }
	return []plan{{killBrigd, 1, by("brigd")}, {killWarden, 1, by("brig-warden")}, {fall, 1, by("brigd")}, {broken, 1, file}}
}

func plans() []plan {
	any := func(step) bool { return true }
	file := func(role string, is func(step) bool) func(step) bool {
		return func(s step) bool { return s.role() == role && is(s) }
	}
	return []plan{
		{killBrigd, 3, by("brigd")}, {killWarden, 2, by("brig-warden")}, {killRouter, 1, by("brig-router")},
		{killStore, 1, by("brig-store")},
		{killBoth, 1, any}, {killKeeper, 1, any}, {fall, 1, any}, {terminate, 1, any}, {leave, 1, any},
		{broken, 2, file("brigd", step.touches)}, {broken, 1, file("brig-warden", step.touches)},
		{broken, 1, file("brig-store", step.touches)}, {full, 1, file("brig-store", step.grows)},
		{full, 1, file("brigd", step.grows)}, {full, 1, file("brig-warden", step.grows)},
	}
}

// cases chooses steps for every fault, spread over all that there are; factor is how many more than usual.
func (r *recorded) cases(plans []plan, factor int) (all []kase) {
	for _, p := range plans {
		fit := slices.DeleteFunc(slices.Clone(r.steps), func(s step) bool { return !p.which(s) })
		n := min(len(fit), p.most*factor)
		for i := range n {
			all = append(all, kase{r, fit[(2*i+1)*len(fit)/(2*n)], p.fault})
		}
	}
	if len(plans) < 6 {
		return all
	}
	worker := slices.IndexFunc(r.steps, func(s step) bool {
		return s.call() == "ask" && (strings.HasSuffix(s.Text, "worker.start") || strings.HasSuffix(s.Text, "container.copy"))
	})
	if worker >= 0 { // its warden's answer is the first step at which there is one
		for _, s := range r.steps[worker:] {
			if s.role() == "brig-warden" && s.call() == "answer" {
				all = append(all, kase{r, s, killWorker})
				break
			}
		}
	}
	return all
}
