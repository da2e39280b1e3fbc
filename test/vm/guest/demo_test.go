package guest

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestKernel61Demo is `make run`: the doctor, an engine, the seven attacks, and nothing left.
func TestKernel61Demo(t *testing.T) {
	cmd := exec.Command("/vm/run", "-bin", "/vm/bin", "-verbose", "-slow", "10") // without hardware support
	cmd.Env = append(os.Environ(), "TMPDIR=/quota")                              // where disk space is bounded by project quotas
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	err := cmd.Run()
	t.Logf("%s\n%s", out.String(), said.String())
	if err != nil {
		t.Error(err)
	}
	verdicts := 0
	for line := range strings.Lines(out.String()) {
		var v struct{ Probe, Verdict, Layer, Detail string }
		if json.Unmarshal([]byte(line), &v) != nil || v.Probe == "" {
			continue
		}
		verdicts++
		t.Run(v.Probe, func(t *testing.T) {
			if v.Verdict != "blocked" {
				t.Errorf("%s: %s", v.Verdict, v.Detail)
			}
			t.Logf("%s: %s", v.Layer, v.Detail)
		})
	}
	if verdicts < 40 {
		t.Errorf("%d verdicts", verdicts)
	}
	if !strings.Contains(said.String(), "Swept: ") {
		t.Error("something was left behind")
	}
}
