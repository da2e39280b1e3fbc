package restart

import (
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
)

func policy(name string, most int) container.RestartPolicy {
	return container.RestartPolicy{Name: container.RestartPolicyMode(name), MaximumRetryCount: most}
}

func TestWhoIsStartedAgain(t *testing.T) {
	fails, ends := End{Code: 1}, End{}
	stopped, sick := End{Code: 137, ByHand: true}, End{Unhealthy: true}
	for _, c := range []struct {
		policy   string
		most     int
		end      End
		restarts int
		want     bool
	}{
		{"", 0, fails, 0, false}, {"no", 0, fails, 0, false}, {"no", 0, ends, 0, false},
		{"no", 0, sick, 0, true}, {"", 0, sick, 7, true},
		{"always", 0, ends, 0, true}, {"always", 0, fails, 1000, true}, {"always", 0, stopped, 0, false},
		{"unless-stopped", 0, ends, 0, true}, {"unless-stopped", 0, stopped, 0, false},
		{"on-failure", 0, ends, 0, false}, {"on-failure", 0, fails, 1000, true}, {"on-failure", 0, stopped, 0, false},
		{"on-failure", 3, fails, 2, true}, {"on-failure", 3, fails, 3, false},
		{"on-failure", 3, sick, 2, true}, {"on-failure", 3, sick, 3, false},
		{"no", 0, End{Unhealthy: true, ByHand: true}, 0, false},
	} {
		next, again := After(policy(c.policy, c.most), c.end, Count{Restarts: c.restarts})
		if again != c.want {
			t.Errorf("%s:%d after %+v and %d restarts: %v, want %v", c.policy, c.most, c.end, c.restarts, again, c.want)
		}
		if counted := next.Restarts == c.restarts+1; counted != c.want {
			t.Errorf("%s:%d after %+v: %d restarts counted after %d", c.policy, c.most, c.end, next.Restarts, c.restarts)
		}
	}
}

// TestTheDelayDoublesUpToAMinute drives a program that ends at once by a clock of its own.
func TestTheDelayDoublesUpToAMinute(t *testing.T) {
	ms := time.Millisecond
	want := []time.Duration{100 * ms, 200 * ms, 400 * ms, 800 * ms, 1600 * ms, 3200 * ms, 6400 * ms, 12800 * ms,
		25600 * ms, 51200 * ms, time.Minute, time.Minute}
	var now time.Time
	count := Count{}
	for i, d := range want {
		started := now
		now = now.Add(10 * time.Millisecond) // what a run lasts
		var again bool
		count, again = After(policy("always", 0), End{Code: 1, Lasted: now.Sub(started)}, count)
		if !again || count.Delay != d || count.Restarts != i+1 {
			t.Fatalf("end %d: %v, %+v, want a delay of %v", i+1, again, count, d)
		}
		now = now.Add(count.Delay)
	}
	for _, c := range []struct {
		lasted time.Duration
		want   time.Duration
	}{{LongRun - 1, time.Minute}, {LongRun, FirstDelay}, {time.Hour, FirstDelay}} {
		next, _ := After(policy("always", 0), End{Lasted: c.lasted}, count)
		if next.Delay != c.want {
			t.Errorf("after a run of %v: a delay of %v, want %v", c.lasted, next.Delay, c.want)
		}
	}
}

func TestWhoComesUpWithTheEngine(t *testing.T) {
	for _, c := range []struct {
		policy   string
		most     int
		last     End
		restarts int
		want     bool
	}{
		{"no", 0, End{Code: 255}, 0, false}, {"", 0, End{Code: 255, Unhealthy: true}, 0, false},
		{"always", 0, End{}, 0, true}, {"always", 0, End{ByHand: true}, 0, true},
		{"unless-stopped", 0, End{}, 0, true}, {"unless-stopped", 0, End{ByHand: true}, 0, false},
		{"on-failure", 0, End{}, 0, false}, {"on-failure", 0, End{Code: 255}, 0, true},
		{"on-failure", 0, End{Code: 137, ByHand: true}, 0, false},
		{"on-failure", 2, End{Code: 1}, 1, true}, {"on-failure", 2, End{Code: 1}, 2, false},
	} {
		if got := AtEngineStart(policy(c.policy, c.most), c.last, c.restarts); got != c.want {
			t.Errorf("%s:%d, last %+v, %d restarts: %v, want %v", c.policy, c.most, c.last, c.restarts, got, c.want)
		}
	}
}
