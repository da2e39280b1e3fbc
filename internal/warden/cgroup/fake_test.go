package cgroup

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	oracle "github.com/opencontainers/cgroups"
	oraclev1 "github.com/opencontainers/cgroups/fs"
	oraclev2 "github.com/opencontainers/cgroups/fs2"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/wire"
)

var update = flag.Bool("update", false, "write the golden files")

// everything asks for each bound there is.
var everything = wire.Resources{
	Memory: 256 << 20, MemorySwap: 384 << 20, MemoryReservation: 128 << 20, CPUShares: 512, CPUQuota: 150000,
	CPUPeriod: 50000, CpusetCpus: "0", CpusetMems: "0", Pids: 77, BlkioWeight: 300,
	CPUWeight: 59, CPUMax: "150000 50000", IOWeight: 2930,
}

// fakeV2 is a machine with version 2 alone, made of plain directories and files; own is this process's group.
func fakeV2(t *testing.T, controllers, own string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, own), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"", own} {
		file := filepath.Join(dir, d, "cgroup.controllers")
		if err := os.WriteFile(file, []byte(controllers+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func fakeParent(t *testing.T, dir, own string) *Parent {
	t.Helper()
	root := func([]string) (int, error) { return openDir(unix.AT_FDCWD, dir) }
	p, err := openParent("brig", "0::"+own+"\n", root, unix.O_CREAT|unix.O_TRUNC)
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSYS) {
		t.Skip("missing: bpf(2) for device programs")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
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
	dir := fakeV2(t, "cpuset cpu io memory hugetlb pids", "/")
	p := fakeParent(t, dir, "/")
	if p.Version() != "2" || len(p.Missing) != 0 {
		t.Errorf("version %s, missing %q", p.Version(), p.Missing)
	}
	if got := readFile(filepath.Join(dir, "brig/cgroup.subtree_control")); got == "" {
		t.Error("no controller was switched on for the containers")
	}
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
	if p.Version() == "2" {
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
		for _, c := range h.controllers {
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

func TestUnitLeavesItsInnerGroupForTheEngineLeaf(t *testing.T) {
	unit := "/system.slice/brig.service"
	for _, own := range []string{unit, unit + "/engine"} {
		dir := fakeV2(t, "cpu memory pids", own)
		if own != unit {
			if err := os.WriteFile(filepath.Join(dir, unit, "cgroup.controllers"), []byte("cpu\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, unit, "cgroup.type"), []byte("domain\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, unit, "cgroup.procs"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		fakeParent(t, dir, own)
		for _, group := range []string{"engine", "brig"} {
			if _, err := os.Stat(filepath.Join(dir, unit, group)); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestLoginSessionIsLeftAlone(t *testing.T) {
	session := "/user.slice/user-0.slice/session-1.scope"
	dir := fakeV2(t, "cpu memory pids", session)
	fakeParent(t, dir, session)
	if _, err := os.Stat(filepath.Join(dir, "brig")); err != nil {
		t.Error(err)
	}
}

func TestKernelWithoutControllersIsReportedAndExplicitBoundsAreRefused(t *testing.T) {
	dir := fakeV2(t, "cpu pids", "/")
	p := fakeParent(t, dir, "/")
	if len(p.Missing) != 2 || !strings.HasPrefix(p.Missing[1], "memory control group") {
		t.Errorf("missing: %q", p.Missing)
	}
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

func TestHierarchiesAreFoundFromOurOwnGroups(t *testing.T) {
	var asked []string
	dir := t.TempDir()
	for _, d := range []string{"x", "mine"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "cgroup.controllers"), []byte("io rdma"), 0o600); err != nil {
		t.Fatal(err)
	}
	const self = "6:name=systemd:/none\n5:cpu,cpuacct:/\n4:memory:/x\n3:pids:/../mine\n2:devices:/none\njunk\n"
	list, err := discover(self,
		func(controllers []string) (int, error) {
			asked = append(asked, strings.Join(controllers, ","))
			return openDir(unix.AT_FDCWD, dir)
		})
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(list)
	var got []string
	for _, h := range list {
		link, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", h.base))
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, strings.Join(h.controllers, ",")+" "+strings.TrimPrefix(link, dir))
	}
	if want := []string{"blkio ", "cpu ", "memory /x", "pids /mine"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if want := []string{"", "cpu,cpuacct", "memory", "pids"}; !slices.Equal(asked, want) {
		t.Errorf("mounted %q, want %q", asked, want)
	}
	for _, fail := range []string{"", "memory"} {
		if _, err := discover("4:memory:/\n", func(controllers []string) (int, error) {
			if strings.Join(controllers, ",") == fail {
				return -1, unix.EPERM
			}
			return openDir(unix.AT_FDCWD, dir)
		}); !errors.Is(err, unix.EPERM) {
			t.Errorf("hierarchy %q that cannot be mounted: %v", fail, err)
		}
	}
}

func FuzzDiscoverNeverLeavesTheMount(f *testing.F) {
	f.Add("1:memory:/a\n")
	f.Add("2:cpu,cpuacct:/a/b/../../../c\n0::/../..\n")
	f.Fuzz(func(t *testing.T, self string) {
		top := t.TempDir()
		if err := os.WriteFile(filepath.Join(top, "cgroup.controllers"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		list, err := discover(self, func([]string) (int, error) { return openDir(unix.AT_FDCWD, top) })
		if err != nil {
			return
		}
		defer closeAll(list)
		for _, h := range list {
			link, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", h.base))
			if err != nil || link != top && !strings.HasPrefix(link, top+"/") {
				t.Errorf("%q is outside %q (%v)", link, top, err)
			}
		}
	})
}
