package cgroup

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// fake is a group of version 2 of plain files.
func fake(t *testing.T, files map[string]string) *Group {
	t.Helper()
	g := &Group{Dirs: []Dir{{Mount: t.TempDir(), Path: "/x"}}}
	for name, text := range files {
		file := g.Dirs[0].file(name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return g
}

func apply(g *Group, r *specs.LinuxResources) error {
	list, err := g.Settings(r)
	if err != nil {
		return err
	}
	return g.Write(list)
}

// One value of a pair is changed, and the other stays.
func TestPairs(t *testing.T) {
	n := func(n int64) *int64 { return &n }
	u := func(n uint64) *uint64 { return &n }
	for _, test := range []struct {
		name, now, file, want string
		r                     specs.LinuxResources
	}{
		{"period", "50000 100000", "cpu.max", "50000 200000", specs.LinuxResources{CPU: &specs.LinuxCPU{Period: u(200000)}}},
		{"quota", "50000 200000", "cpu.max", "60000 200000", specs.LinuxResources{CPU: &specs.LinuxCPU{Quota: n(60000)}}},
		{"no quota", "50 200000", "cpu.max", "max 200000", specs.LinuxResources{CPU: &specs.LinuxCPU{Quota: n(-1)}}},
		{"both", "50000 200000", "cpu.max", "60000 300000", specs.LinuxResources{CPU: &specs.LinuxCPU{Quota: n(60000), Period: u(300000)}}},
		{"swap", "100", "memory.swap.max", "500", specs.LinuxResources{Memory: &specs.LinuxMemory{Swap: n(1500)}}},
		{"swap and memory", "100", "memory.swap.max", "700", specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: n(1800), Swap: n(2500)}}},
	} {
		files := map[string]string{"cgroup.controllers": "cpu memory\n", "memory.max": "1000\n"}
		files[test.file] = test.now
		g := fake(t, files)
		if err := apply(g, &test.r); err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		if got, err := os.ReadFile(g.Dirs[0].file(test.file)); err != nil || string(got) != test.want {
			t.Errorf("%s: %s is %q, want %q (%v)", test.name, test.file, got, test.want, err)
		}
	}
	g := fake(t, map[string]string{"cgroup.controllers": "memory\n", "memory.max": "max\n", "memory.swap.max": "max\n"})
	if err := apply(g, &specs.LinuxResources{Memory: &specs.LinuxMemory{Swap: n(1500)}}); err == nil {
		t.Error("swap and memory together are bounded, and memory is not")
	}
}

// Who enters a group that has handed controllers down goes to where its first process is.
func TestAttachBelow(t *testing.T) {
	for name, test := range map[string]struct {
		down string
		pid  int
		want string
	}{"nothing handed down": {"\n", 40, ""}, "below": {"cpu\n", 40, "/a/b"}, "new": {"cpu\n", 0, ""}, "nowhere": {"cpu\n", 41, "none"}} {
		g := fake(t, map[string]string{"cgroup.subtree_control": test.down, "cgroup.procs": "", "a/cgroup.procs": "7\n", "a/b/cgroup.procs": "9\n40\n"})
		dir, _, err := g.Attach(test.pid)
		if test.want == "none" {
			if err == nil {
				t.Errorf("%s: a group was found", name)
			}
			continue
		}
		got, linkErr := os.Readlink(filepath.Join("/proc/self/fd", strconv.Itoa(dir)))
		if err != nil || linkErr != nil || got != g.Dirs[0].Name()+test.want {
			t.Errorf("%s: %s %v %v", name, got, err, linkErr)
		}
	}
}
