package cgroup

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	oracle "github.com/opencontainers/cgroups"
	oraclev1 "github.com/opencontainers/cgroups/fs"
	oraclev2 "github.com/opencontainers/cgroups/fs2"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/control"
	"github.com/brig-engine/brig/internal/wire"
)

var update = flag.Bool("update", false, "write the golden files")

// everything asks for each bound there is.
var everything = wire.Resources{
	Memory: 256 << 20, MemorySwap: 384 << 20, MemoryReservation: 128 << 20, CPUShares: 512, CPUQuota: 150000,
	CPUPeriod: 50000, CpusetCpus: "0", CpusetMems: "0", Pids: 77, BlkioWeight: 300,
	CPUWeight: 59, CPUMax: "150000 50000", IOWeight: 2930,
}

// fakeParent is the group of an engine on a machine with version 2 alone, made of plain directories and files.
func fakeParent(t *testing.T, controllers ...string) (p *Parent, dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "brig"), 0o755); err != nil {
		t.Fatal(err)
	}
	root := func([]string) (int, error) { return control.Dir(unix.AT_FDCWD, dir) }
	made := wire.Groups{Instance: "brig", Hierarchies: []wire.Hierarchy{{Used: controllers, Path: "/brig"}}}
	p, err := openParent(made, root, unix.O_CREAT|unix.O_TRUNC)
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSYS) {
		t.Skip("missing: bpf(2) for device programs")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p, dir
}

func readFile(path string) string {
	s, _ := control.Read(unix.AT_FDCWD, path)
	return s
}

// content gives the files of a directory as sorted lines "name value".
func content(t *testing.T, dir string) string {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, f := range files {
		if !f.IsDir() {
			fmt.Fprintf(&b, "%s %s\n", f.Name(), readFile(filepath.Join(dir, f.Name())))
		}
	}
	return b.String()
}

func TestVersion2FilesAreGoldenAndEqualTheOraclesFiles(t *testing.T) {
	p, dir := fakeParent(t, "cpuset", "cpu", "blkio", "memory", "pids")
	g := p.Open("c1")
	ours, theirs := filepath.Join(dir, "brig/c1"), filepath.Join(dir, "brig/c2")
	for _, d := range []string{ours, theirs} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.bound(everything); err != nil {
		t.Fatal(err)
	}
	got := content(t, ours)
	golden := "testdata/v2.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(golden); err != nil || got != string(want) {
		t.Errorf("%v; got:\n%swant:\n%s", err, got, want)
	}
	// The oracle opens existing files only.
	for line := range strings.Lines(got) {
		name, _, _ := strings.Cut(line, " ")
		if err := os.WriteFile(filepath.Join(theirs, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	oracle.TestMode = true
	defer func() { oracle.TestMode = false }()
	list := filepath.Join(theirs, "cgroup.controllers")
	if err := os.WriteFile(list, []byte("cpuset cpu io memory pids"), 0o600); err != nil {
		t.Fatal(err)
	}
	m, err := oraclev2.NewManager(&oracle.Cgroup{Path: "/brig/c2", Resources: oracleResources()}, theirs)
	if err != nil {
		t.Fatal(err)
	}
	r := oracleResources()
	r.CpuWeight = oracle.ConvertCPUSharesToCgroupV2Value(everything.CPUShares)
	r.CpuShares = 0
	if err := m.Set(r); err != nil {
		t.Fatal(err)
	}
	os.Remove(list)
	if want := content(t, theirs); got != want {
		t.Errorf("ours:\n%stheirs:\n%s", got, want)
	}
}

func oracleResources() *oracle.Resources {
	e := everything
	pids := e.Pids
	return &oracle.Resources{
		Memory: e.Memory, MemorySwap: e.MemorySwap, MemoryReservation: e.MemoryReservation, CpuShares: e.CPUShares,
		CpuQuota: e.CPUQuota, CpuPeriod: e.CPUPeriod, CpusetCpus: e.CpusetCpus, CpusetMems: e.CpusetMems,
		PidsLimit: &pids, BlkioWeight: e.BlkioWeight, SkipDevices: true,
	}
}

func TestVersion1ValuesEqualTheOraclesLive(t *testing.T) {
	p := live(t)
	if len(p.hierarchies) == 1 {
		t.Skip("missing: version 1 control groups")
	}
	res := everything
	res.BlkioWeight = 0
	paths := map[string]string{}
	if _, err := p.Create("ours", res); err != nil {
		t.Fatal(err)
	}
	other := wire.Resources{Memory: 1 << 40, Pids: 9, CpusetCpus: "0", CpusetMems: "0"}
	if _, err := p.Create("theirs", other); err != nil {
		t.Fatal(err)
	}
	for _, h := range p.hierarchies {
		for _, c := range h.Used {
			if !h.v2 && c != "blkio" {
				paths[c] = fmt.Sprintf("/proc/self/fd/%d/theirs", h.fd)
			}
		}
	}
	r := oracleResources()
	r.BlkioWeight = 0
	m, err := oraclev1.NewManager(&oracle.Cgroup{Path: "/theirs", Resources: r}, paths)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Set(r); err != nil {
		t.Fatal(err)
	}
	for _, s := range settings(res, false) {
		if s.v1.value == "" || paths[s.controller] == "" {
			continue
		}
		theirs := readFile(filepath.Join(paths[s.controller], s.v1.file))
		ours := readFile(filepath.Join(filepath.Dir(paths[s.controller]), "ours", s.v1.file))
		if ours != theirs || ours != s.v1.value {
			t.Errorf("%s: ours %q, theirs %q, written %q", s.v1.file, ours, theirs, s.v1.value)
		}
	}
}

func TestExplicitBoundsAreRefusedByAKernelWithoutTheirControllers(t *testing.T) {
	p, dir := fakeParent(t, "cpu", "pids")
	g := p.Open("c")
	if err := os.Mkdir(filepath.Join(dir, "brig/c"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := g.bound(usual); err != nil {
		t.Errorf("defaults: %v", err)
	}
	for _, res := range []wire.Resources{
		{MemoryReservation: 1 << 20}, {MemorySwap: 1 << 30, Memory: 1 << 20}, {CpusetCpus: "0"},
	} {
		err := g.bound(res)
		if !errors.Is(err, errdefs.ErrNotImplemented) {
			t.Errorf("%+v: %v", res, err)
		}
	}
}

func TestOnlyNamesMakeGroups(t *testing.T) {
	p := &Parent{}
	for _, id := range []string{"", ".", "..", "a/b", "a.b", "x\n", strings.Repeat("a", 65)} {
		if _, err := p.Create(id, usual); !errors.Is(err, errdefs.ErrInvalidArgument) {
			t.Errorf("id %q: %v", id, err)
		}
	}
}
