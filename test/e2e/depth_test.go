package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// installed puts the built programs into a directory of their own.
func installed(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"brig", "brig-drill", "brig-probe"} {
		b, err := os.ReadFile(bin(t, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestDepthNeedsItsPrograms(t *testing.T) {
	out, err := exec.Command(filepath.Join(installed(t), "brig"), "drill", "--depth").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "Next: make depth") {
		t.Errorf("%v: %s", err, out)
	}
}

// Two attacks of which it is known what stops them, with each layer off, all of them, and all but one.
func TestDepth(t *testing.T) {
	slow(t)
	dir := installed(t)
	build := exec.Command("go", "run", "./dist/weaken", "-o", filepath.Join(dir, "depth"))
	build.Dir = filepath.Join("..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	cmd := exec.Command(filepath.Join(dir, "brig"), "drill", "--depth", "--only", "host-identity,mknod-disk", "--format", "json")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	var got struct {
		Layers []struct{ ID string }
		Probes []struct {
			Probe, With, None string
			Without           map[string]string
			Alone             []string
		}
	}
	if err != nil || json.Unmarshal(out, &got) != nil || len(got.Probes) != 2 || len(got.Layers) < 15 {
		t.Fatalf("%v: %s", err, out)
	}
	for _, p := range got.Probes {
		one := p.Probe == "host-identity" // the user namespace is all that gives other ids
		if p.With != "blocked" || p.None != "exposed" || len(p.Without) != len(got.Layers) {
			t.Errorf("%s: %s with every layer, %s with none", p.Probe, p.With, p.None)
		}
		if exposed := p.Without["user-namespace"] == "exposed"; exposed != one || p.Without["landlock"] != "blocked" {
			t.Errorf("%s with one layer off: %v", p.Probe, p.Without)
		}
		if one != slices.Equal(p.Alone, []string{"user-namespace"}) || !slices.Contains(p.Alone, "user-namespace") {
			t.Errorf("%s is stopped by each of %v alone", p.Probe, p.Alone)
		}
		if !one && !slices.Contains(p.Alone, "landlock") {
			t.Errorf("Landlock alone does not stop %s: %v", p.Probe, p.Alone)
		}
	}
}
