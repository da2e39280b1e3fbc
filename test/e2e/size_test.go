package e2e

import (
	"strings"
	"testing"
)

// TestSizes: what containers have written is measured whether they run, have ended or have never run, and by whatever
// command asks.
func TestSizes(t *testing.T) {
	e := startEngine(t).withBusybox()
	image := e.docker("image", "inspect", "-f", "{{.Size}}", "box")
	e.brig("create", "--name", "new", "box", "true")
	e.brig("run", "--name", "ended", "-v", "vol:/v", "box", "sh", "-c",
		"head -c 3000 /dev/zero > /f; ln /f /g; head -c 5000 /dev/zero > /v/h; head -c 7000 /dev/zero > /tmp/t")
	e.brig("run", "-d", "--name", "runs", "box", "sh", "-c", "head -c 70000 /dev/zero > /f; rm /bin/nc; echo ready; sleep 1000")
	e.eventually("what it writes", func() bool { return e.brig("logs", "runs") == "ready" })
	for name, want := range map[string]string{"new": "0", "ended": "10000", "runs": "70000"} {
		for _, line := range []string{e.brig("inspect", "-s", "-f", "{{.SizeRw}}", name), e.docker("inspect", "-s", "-f", "{{.SizeRw}}", name)} {
			if line != want {
				t.Errorf("%s: %s, want %s", name, line, want)
			}
		}
	}
	if root := e.docker("inspect", "-s", "-f", "{{.SizeRootFs}}", "new"); root != image {
		t.Errorf("root of an unchanged container: %s, image: %s", root, image)
	}
	if out := e.docker("inspect", "-f", "{{.SizeRw}}", "runs"); !strings.Contains(out, "nil") {
		t.Errorf("unasked: %s", out)
	}
	for _, out := range []string{e.brig("ps", "-as", "--format", "{{.Names}} {{.Size}}"), e.docker("ps", "-as", "--format", "{{.Names}} {{.Size}}")} {
		if !strings.Contains(out, "runs 70kB (virtual ") || !strings.Contains(out, "ended 10kB (") || !strings.Contains(out, "new 0B (") {
			t.Errorf("ps -s: %s", out)
		}
	}
	for _, out := range []string{e.brig("system", "df", "--format", "{{.Type}} {{.Size}} {{.Reclaimable}}"),
		e.docker("system", "df", "--format", "{{.Type}} {{.Size}} {{.Reclaimable}}")} {
		if !strings.Contains(out, "Containers 80kB 10kB (12%)") {
			t.Errorf("df: %s", out)
		}
	}
}
