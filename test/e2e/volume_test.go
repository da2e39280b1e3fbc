package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestAVolumeThatIsAPlaceOfTheHost: made by either command line, it is a bind mount of whoever uses it, and has nothing
// of its own that could be removed.
func TestAVolumeThatIsAPlaceOfTheHost(t *testing.T) {
	e := startEngine(t).withBusybox()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "f")
	if err := os.WriteFile(file, []byte("host\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	e.brig("volume", "create", "--opt", "type=none", "--opt", "o=bind", "--opt", "device="+dir, "place")
	if out := e.docker("run", "--rm", "-v", "place:/m", "box", "sh", "-c", "cat /m/f; echo more >> /m/f; stat -c %u /m/f"); out != "host\n0" {
		t.Errorf("%q", out)
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "host\nmore\n" {
		t.Errorf("%q, %v", b, err)
	}
	// --mount makes one, and a read-only one stays that.
	out, code := e.run(e.dockerCommand("run", "--rm", "--mount",
		"type=volume,src=fixed,dst=/m,volume-driver=local,volume-opt=type=none,\"volume-opt=o=bind,ro\",volume-opt=device="+dir,
		"box", "sh", "-c", "cat /m/f; echo more >> /m/f"))
	if code == 0 || !strings.Contains(out, "host\nmore") || !strings.Contains(out, "Read-only file system") {
		t.Errorf("%d: %s", code, out)
	}
	if out := e.docker("volume", "inspect", "-f", "{{.Options.device}} {{.Options.o}}", "fixed"); out != dir+" bind,ro" {
		t.Errorf("inspect: %s", out)
	}
	if out := e.brig("run", "--name", "user", "-v", "place:/m", "box", "cat", "/m/f"); out != "host\nmore" {
		t.Errorf("%q", out)
	}
	if out := e.docker("inspect", "-f", "{{range .Mounts}}{{.Type}} {{.Name}} {{.Driver}}{{end}}", "user"); out != "volume place local" {
		t.Errorf("inspect: %s", out)
	}
	if _, code := e.run(e.dockerCommand("volume", "rm", "place")); code == 0 {
		t.Error("a volume in use was removed")
	}
	e.brig("rm", "user")
	e.brig("volume", "rm", "place", "fixed")
	if _, err := os.Stat(file); err != nil {
		t.Errorf("the host's file went with the volume: %v", err)
	}
	for _, words := range [][]string{{"type=tmpfs", "device=tmpfs"}, {"type=nfs", "o=addr=192.0.2.1", "device=:/x"}} {
		args := []string{"volume", "create"}
		for _, w := range words {
			args = append(args, "--opt", w)
		}
		if out, code := e.run(e.brigCommand(args...)); code != 1 || !strings.Contains(out, words[0]) {
			t.Errorf("%q: %d %s", words, code, out)
		}
	}
}
