package metrics

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/brig-engine/brig/internal/daemon/event"
	"github.com/brig-engine/brig/internal/wire"
)

var update = flag.Bool("update", false, "write the golden files")

type warden struct{ err error }

func (w warden) Call(context.Context, wire.Op, any, any, ...int) ([]int, error) { return nil, w.err }

// example has something of everything.
func example() *Metrics {
	m := New(Info{Version: "1", Kernel: "6.1", Driver: "erofs", ID: "id", CPUs: 2, Memory: 1 << 30}, func() State {
		return State{Running: 3, Paused: 1, Stopped: 2, Health: map[string]int{"healthy": 1}, Images: 4, Listeners: 5, LogBytes: 100,
			LogLost: 7, Connections: 8, Events: map[event.Happened]uint64{{Type: "container", Action: "start"}: 9,
				{Type: "container", Action: "die"}: 6, {Type: "container", Action: "oom"}: 1, {Type: "image", Action: "pull"}: 2}}
	})
	m.Action(Start, time.Now().Add(-3*time.Millisecond), nil)
	m.Action(Start, time.Now(), errors.New("no"))
	m.Probe(true)
	m.Probe(false)
	m.Request("GET /info", "200", time.Millisecond)
	_, _ = m.Timed(warden{}).Call(context.Background(), wire.OpHello, nil, nil)
	_, _ = m.Timed(warden{errors.New("no")}).Call(context.Background(), wire.OpHello, nil, nil)
	return m
}

func page(t *testing.T, m *Metrics) string {
	t.Helper()
	var b bytes.Buffer
	if err := m.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Dashboards and alerts know these names: a change here breaks them.
func TestNames(t *testing.T) {
	var names []string
	for line := range strings.Lines(page(t, example())) {
		if f := strings.Fields(line); len(f) == 4 && f[1] == "TYPE" && !strings.HasPrefix(f[2], "go_") {
			names = append(names, f[2]+" "+f[3]+"\n")
		}
	}
	got, path := strings.Join(names, ""), "testdata/names.txt"
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil || string(want) != got {
		t.Errorf("%v; %s differs (run with -update to accept):\n%s", err, path, got)
	}
}

// Docker's names are Docker's, whatever a linter says of them.
func TestLint(t *testing.T) {
	m := example()
	problems, err := testutil.GatherAndLint(m.registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if p.Metric != "engine_daemon_events_subscribers_total" {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}

func TestValues(t *testing.T) {
	got := page(t, example())
	for _, line := range []string{
		`engine_daemon_container_states_containers{state="running"} 3`,
		`engine_daemon_container_states_containers{state="stopped"} 2`,
		`engine_daemon_container_actions_seconds_count{action="start"} 1`,
		`engine_daemon_container_actions_seconds_bucket{action="start",le="0.002"} 0`,
		`engine_daemon_container_actions_seconds_count{action="delete"} 0`,
		`engine_daemon_health_checks_total 2`, `engine_daemon_health_checks_failed_total 1`,
		`engine_daemon_events_total 18`, `brig_events_total{action="pull",type="image"} 2`,
		`brig_container_starts_total 9`, `brig_container_exits_total 6`, `brig_container_oom_kills_total 1`,
		`brig_container_action_failures_total{action="start"} 1`, `brig_container_health_containers{status="unhealthy"} 0`,
		`brig_api_requests_total{code="200",route="GET /info"} 1`, `brig_warden_call_seconds_count{op="hello"} 2`,
		`brig_warden_call_errors_total{op="hello"} 1`, `brig_log_lost_lines_total 7`,
		`engine_daemon_engine_memory_bytes 1.073741824e+09`,
	} {
		if !slices.Contains(strings.Split(got, "\n"), line) {
			t.Errorf("not there: %s", line)
		}
	}
	if t.Failed() {
		t.Log(got)
	}
}

// An engine that nobody measures is not slower or broken.
func TestNothingIsMeasured(t *testing.T) {
	var m *Metrics
	m.Action(Start, time.Now(), nil)
	m.Probe(true)
	m.Request("GET /info", "200", 0)
}

// What is noted on the way of a start costs next to nothing.
func TestObservingAllocatesNothing(t *testing.T) {
	m := example()
	begin := time.Now()
	if n := testing.AllocsPerRun(100, func() { m.Action(Start, begin, nil); m.Request("GET /info", "200", time.Millisecond) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkObserve(b *testing.B) {
	m := example()
	for b.Loop() {
		m.Action(Start, time.Now(), nil)
		m.Request("GET /info", "200", time.Millisecond)
	}
}
