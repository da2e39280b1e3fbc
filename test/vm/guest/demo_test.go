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
	// Without hardware support, and so without the hogs that take minutes then, and what they show elsewhere.
	cmd := exec.Command("/vm/run", "-bin", "/vm/bin", "-verbose", "-slow", "10", "-probes",
		"A1,A3,A4,A5,A6,A7,memory-hog,fork-bomb,cpu-hog,disk-hog,volume-hog,inode-hog,shm-hog,huge-pages,pty-hog,mqueue-hog,inotify-hog,engine-files-hog")
	cmd.Env = append(os.Environ(), "TMPDIR=/quota") // where disk space is bounded by project quotas
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
	if verdicts < 65 {
		t.Errorf("%d verdicts", verdicts)
	}
	if !strings.Contains(said.String(), "Swept: ") {
		t.Error("something was left behind")
	}
}
