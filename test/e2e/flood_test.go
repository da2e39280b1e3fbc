package e2e

import (
	"encoding/json"
	"io"
	"slices"
	"strings"
	"testing"
)

// A monitor reads what an engine of people's has done, through the socket.
func TestMetrics(t *testing.T) {
	e := startEngine(t)
	e.ownImage()
	e.brig("run", "--rm", "brig-probe", "echo", "a line")
	e.brig("run", "-d", "--name", "stays", "brig-probe", "sleep", "infinity")
	e.brig("exec", "stays", "true")
	e.run(e.brigCommand("run", "--rm", "brig-probe", "/no/such/program"))
	resp, err := e.api().Get("http://engine/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/plain; version=0.0.4") {
		t.Fatal(resp.Status, resp.Header, err)
	}
	lines := strings.Split(string(body), "\n")
	for _, want := range []string{
		`engine_daemon_container_states_containers{state="running"} 1`,
		`engine_daemon_container_actions_seconds_count{action="start"} 2`, `brig_container_action_failures_total{action="start"} 1`,
		`engine_daemon_container_actions_seconds_count{action="exec"} 1`, `brig_container_starts_total 2`,
		`brig_log_written_bytes_total 7`, `brig_images 1`,
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("not there: %s", want)
		}
	}
	for _, prefix := range []string{`engine_daemon_engine_info{`, `go_goroutines `, `brig_warden_call_seconds_count{op="container.start"} 3`} {
		if !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, prefix) }) {
			t.Errorf("not there: %s…", prefix)
		}
	}
	if t.Failed() {
		t.Logf("%s", body)
	}
}

// Floods of logs, requests and executions, and clients that never read: the engine holds, as people have it.
func TestFloods(t *testing.T) {
	e := startEngine(t)
	out, _ := e.run(e.brigCommand("drill", "--only", "log-flood,deaf-client,api-flood,exec-flood", "--format", "json"))
	var reports []struct {
		Verdicts []struct{ Probe, Verdict, Detail string }
	}
	if err := json.Unmarshal([]byte(out), &reports); err != nil || len(reports) != 1 || len(reports[0].Verdicts) != 4 {
		t.Fatalf("%v: %s", err, out)
	}
	for _, v := range reports[0].Verdicts {
		t.Logf("%s: %s", v.Probe, v.Detail)
		if v.Verdict != "blocked" {
			t.Errorf("%s: %s", v.Probe, v.Verdict)
		}
	}
	// What it wrote down about all that is short: nobody fills the engine's own log either.
	if log := e.log(); len(log) > 64<<10 {
		t.Errorf("the engine's log has %d bytes: %.500s", len(log), log)
	}
	e.brig("run", "--rm", "brig-probe", "true")
}
