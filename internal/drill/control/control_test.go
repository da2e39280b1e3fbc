package control

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/brig-engine/brig/internal/drill"
	"github.com/brig-engine/brig/internal/drill/netns"
)

func TestMain(m *testing.M) {
	Main()
	os.Exit(m.Run())
}

func buildProbe(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "brig-probe")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", path,
		"github.com/brig-engine/brig/cmd/brig-probe")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build brig-probe: %v\n%s", err, out)
	}
	return path
}

// A probe that does not report exposed where there is no defence proves nothing where there is one.
func TestEveryProbeIsExposedWithoutDefences(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("missing: root, to make namespaces, a loop device and a container without defences")
	}
	e, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	program := buildProbe(t)
	report, err := drill.Run(ctx, e, drill.Options{
		Program: program, Outside: true, MemoryHog: 128 << 20, Forks: 1500,
	})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]drill.Verdict{}
	for _, v := range report.Verdicts {
		seen[v.Probe] = v
		t.Logf("%-20s %-14s %s", v.Probe, v.Verdict, v.Detail)
	}
	// How long a neighbour waits is a matter of chance, too: what is measured gets more than one chance to be seen.
	for _, p := range drill.Catalogue() {
		for try := 0; p.Needs&drill.NeedNeighbour != 0 && seen[p.ID].Verdict == drill.Blocked && try < 8; try++ {
			again, err := drill.Run(ctx, e, drill.Options{Program: program, Outside: true, MemoryHog: 128 << 20, Forks: 1500, Only: []string{p.ID}})
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range again.Verdicts {
				seen[v.Probe] = v
				t.Logf("%-20s %-14s %s (again)", v.Probe, v.Verdict, v.Detail)
			}
		}
	}
	for _, p := range drill.Catalogue() {
		if v, ok := seen[p.ID]; !ok {
			t.Errorf("%s did not run", p.ID)
		} else if v.Verdict == drill.NotApplicable {
			t.Logf("missing: %s: %s", p.ID, v.Detail)
		} else if v.Verdict != drill.Exposed {
			t.Errorf("%s reports %s (%s): %s", p.ID, v.Verdict, v.Layer, v.Detail)
		}
	}
	if len(report.StartMS) == 0 {
		t.Error("no start was measured")
	}
}

// Ctrl-C in the middle of a drill must leave no canary behind: no file, no disk, no interface, no process.
func TestAnInterruptedDrillSweeps(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("missing: root, to make namespaces, a loop device and a container without defences")
	}
	program := buildProbe(t)
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	e, err := New()
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err = drill.Run(ctx, e, drill.Options{Program: program, Only: []string{"mknod-disk", "forge-door", "cpu-hog"},
		Progress: func(p drill.Probe) {
			if p.ID == "forge-door" {
				cancel()
			}
		}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("an interrupted drill reports %v", err)
	}
	left, _ := filepath.Glob(filepath.Join(dir, "brig-drill-*"))
	if len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	backing, _ := filepath.Glob("/sys/block/loop*/loop/backing_file")
	for _, name := range backing {
		if b, _ := os.ReadFile(name); strings.HasPrefix(string(b), dir) {
			t.Errorf("%s is still %s", name, b)
		}
	}
	host, _ := e.Network(t.Context())
	if err := netns.Do(host, func() error {
		links, err := netlink.LinkList()
		for _, l := range links {
			if name := l.Attrs().Name; strings.HasPrefix(name, "brigdrill") {
				t.Errorf("interface %s is still there", name)
			}
		}
		return err
	}); err != nil {
		t.Error(err)
	}
}
