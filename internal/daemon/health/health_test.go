package health

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
)

func TestDefaultsAndBounds(t *testing.T) {
	for _, c := range []struct {
		of   *container.HealthConfig
		want string
	}{
		{nil, "none"}, {&container.HealthConfig{}, "none"}, {&container.HealthConfig{Test: []string{"NONE"}}, "none"},
		{&container.HealthConfig{Test: []string{"CMD"}}, "none"},
		{&container.HealthConfig{Test: []string{"MAGIC", "x"}}, "none"},
		{&container.HealthConfig{Test: []string{"CMD", "a", "b"}}, "[a b] 30s 30s 0s 5s 3"},
		{&container.HealthConfig{Test: []string{"CMD-SHELL", "a b"}}, "[/bin/sh -c a b] 30s 30s 0s 5s 3"},
		{&container.HealthConfig{Test: []string{"CMD", "a"}, Interval: time.Second, Timeout: 2 * time.Second,
			StartPeriod: 3 * time.Second, StartInterval: 4 * time.Second, Retries: 5}, "[a] 1s 2s 3s 4s 5"},
		{&container.HealthConfig{Test: []string{"CMD", "a"}, Interval: time.Millisecond, Timeout: time.Millisecond,
			StartInterval: 1}, "[a] 100ms 1ms 0s 100ms 3"},
		// What no client can say, an image can.
		{&container.HealthConfig{Test: []string{"CMD", "a"}, Interval: -1, Timeout: -1, StartPeriod: -1, StartInterval: -1,
			Retries: -1}, "[a] 30s 30s 0s 5s 3"},
	} {
		got := "none"
		if k := Of(c.of, nil); k != nil {
			got = fmt.Sprint(k.Command, k.Interval, k.Timeout, k.StartPeriod, k.StartInterval, k.Retries)
		}
		if got != c.want {
			t.Errorf("%+v: %s, want %s", c.of, got, c.want)
		}
	}
	k := Of(&container.HealthConfig{Test: []string{"CMD-SHELL", "a"}}, []string{"/bin/ash", "-eo", "pipefail", "-c"})
	if got := strings.Join(k.Command, " "); got != "/bin/ash -eo pipefail -c a" {
		t.Errorf("the image's own shell: %s", got)
	}
}

// TestStates runs probes by a clock of its own: + succeeds, - fails. Each step says the status, the failures in a row
// and the pause before the next probe.
func TestStates(t *testing.T) {
	for _, c := range []struct {
		name, probes, want string
		check              container.HealthConfig
	}{
		{"success", "+", "healthy 0 10s", container.HealthConfig{}},
		{"failures", "----", "starting 1 10s, starting 2 10s, unhealthy 3 10s, unhealthy 4 10s", container.HealthConfig{}},
		{"recovery", "--+-", "starting 1 10s, starting 2 10s, healthy 0 10s, healthy 1 10s", container.HealthConfig{}},
		{"there and back", "-+-", "unhealthy 1 10s, healthy 0 10s, unhealthy 1 10s", container.HealthConfig{Retries: 1}},
		{"start period", "-----", "starting 0 5s, starting 0 5s, starting 0 2s, starting 1 10s, unhealthy 2 10s",
			container.HealthConfig{StartPeriod: 20 * time.Second, Retries: 2}},
		{"a success ends the start period", "+--", "healthy 0 10s, healthy 1 10s, unhealthy 2 10s",
			container.HealthConfig{StartPeriod: time.Hour, Retries: 2}},
	} {
		c.check.Test, c.check.Interval = []string{"CMD", "x"}, 10*time.Second
		k := Of(&c.check, nil)
		started := time.Unix(1000, 0)
		now, h := started, Begin(nil)
		var got []string
		for _, probe := range c.probes {
			now = now.Add(k.Pause(h, now.Sub(started)))
			r := &container.HealthcheckResult{Start: now}
			if probe == '-' {
				r.ExitCode = 1
			}
			now = now.Add(time.Second)
			r.End = now
			h = k.After(h, r, started)
			got = append(got, fmt.Sprint(h.Status, " ", h.FailingStreak, " ", k.Pause(h, now.Sub(started))))
		}
		if s := strings.Join(got, ", "); s != c.want {
			t.Errorf("%s:\n %s, want\n %s", c.name, s, c.want)
		}
	}
}

func TestFiveResultsAreKeptAndOldValuesStay(t *testing.T) {
	k := Of(&container.HealthConfig{Test: []string{"CMD", "x"}}, nil)
	h := Begin(nil)
	var all []*container.Health
	for i := range 9 {
		h = k.After(h, &container.HealthcheckResult{ExitCode: i}, time.Time{})
		all = append(all, h)
	}
	if len(h.Log) != Logs || h.Log[0].ExitCode != 4 || h.Log[4].ExitCode != 8 {
		t.Errorf("%d results, from %d", len(h.Log), h.Log[0].ExitCode)
	}
	for i, old := range all {
		if last := old.Log[len(old.Log)-1]; last.ExitCode != i {
			t.Errorf("health %d now ends with result %d", i, last.ExitCode)
		}
	}
	if e := Ended(h); e.Status != container.Unhealthy || len(Begin(e).Log) != Logs || Begin(e).Status != container.Starting {
		t.Errorf("%+v", e)
	}
}

func TestOutputIsCut(t *testing.T) {
	var o Output
	for range 3 {
		o.Add([]byte(strings.Repeat("x", MaxOutput/2)))
	}
	if s := o.String(); len(s) != MaxOutput+3 || !strings.HasSuffix(s, "x...") {
		t.Errorf("%d bytes", len(s))
	}
	o = Output{}
	o.Add([]byte(strings.Repeat("x", MaxOutput)))
	if s := o.String(); len(s) != MaxOutput {
		t.Errorf("%d bytes", len(s))
	}
}
