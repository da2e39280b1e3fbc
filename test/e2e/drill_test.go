package e2e

import (
	"encoding/json"
	"testing"
)

// The drill as a person calls it. Its probes are tried one by one elsewhere; here are the ways in and out.
func TestDrill(t *testing.T) {
	e := startEngine(t)
	out, code := e.run(e.brigCommand("drill", "--only", "A1,secrets", "--format", "json"))
	var reports []struct {
		Verdicts []struct{ Probe, Verdict string }
	}
	if err := json.Unmarshal([]byte(out), &reports); err != nil || code != 0 || len(reports) != 1 || len(reports[0].Verdicts) != 11 {
		t.Fatalf("status %d, %v: %s", code, err, out)
	}
	for _, v := range reports[0].Verdicts {
		if v.Verdict != "blocked" {
			t.Errorf("%s: %s", v.Probe, v.Verdict)
		}
	}
	for _, args := range [][]string{{"--only", "nope"}, {"--only", "metadata"}, {"--format", "xml"}, {"--list", "--outside"}, {"--engine", "/nonexistent"}} {
		if out, code := e.run(e.brigCommand(append([]string{"drill"}, args...)...)); code != 125 {
			t.Errorf("%v: status %d\n%s", args, code, out)
		}
	}
}
