package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const root = "../.."

// Whoever changes a defence is told here that its removal does not apply any more.
func TestEditsApply(t *testing.T) {
	if _, err := edited(root); err != nil {
		t.Error(err)
	}
	seen := map[string]bool{}
	for _, d := range Defences() {
		if seen[d.ID] || d.What == "" || len(d.Edits) == 0 || len(d.Red) == 0 {
			t.Errorf("%s: twice, or without words, edits or a test", d.ID)
		}
		seen[d.ID] = true
	}
	for line := range strings.Lines(list()) {
		if id, what, ok := strings.Cut(line, "\t"); !ok || !seen[id] || what == "\n" {
			t.Errorf("line %q of the list", line)
		}
	}
}

// Each defence is switched off alone, and the tests that answer for it fail. With all of them on, the same build passes.
func TestEveryDefenceIsMissedByATest(t *testing.T) {
	if os.Getenv("BRIG_SLOW") == "" {
		t.Skip("missing: the slow lane (make test-all)")
	}
	if os.Geteuid() != 0 {
		t.Skip("missing: root, to make containers")
	}
	abs, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file, err := overlay(abs, dir)
	if err != nil {
		t.Fatal(err)
	}
	binaries := map[string]string{}
	for _, d := range Defences() {
		t.Run(d.ID, func(t *testing.T) {
			for _, red := range d.Red {
				binary := binaries[red.Package]
				if binary == "" {
					binary = filepath.Join(dir, strings.ReplaceAll(red.Package, "/", "_")+".test")
					binaries[red.Package] = binary
					build := exec.Command("go", "test", "-c", "-vet=off", "-overlay", file, "-o", binary, "./"+red.Package)
					build.Dir = abs
					if out, err := build.CombinedOutput(); err != nil {
						t.Fatalf("build: %v\n%s", err, out)
					}
				}
				if out, err := runTest(abs, binary, red, ""); err != nil || !strings.Contains(out, "--- PASS: "+red.Run+" ") {
					t.Errorf("with every defence %s is not green: %v\n%s", red.Run, err, out)
				}
				out, err := runTest(abs, binary, red, d.ID)
				if err == nil || !strings.Contains(out, "--- FAIL: "+red.Run+" ") {
					t.Errorf("without %s %s is not red: %v\n%s", d.ID, red.Run, err, out)
				}
				t.Logf("without %s: %s", d.ID, out) // a test may be red for a wrong reason: whoever wonders can read it
			}
		})
	}
}

func runTest(root, binary string, test Test, without string) (string, error) {
	cmd := exec.Command(binary, "-test.v", "-test.timeout=3m", "-test.run", "^"+test.Run+"$")
	cmd.Dir = filepath.Join(root, test.Package)
	cmd.Env = append(os.Environ(), "BRIG_WITHOUT="+without)
	out, err := cmd.CombinedOutput()
	return string(out), err
}
