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
}

// fakeV2 is a machine with version 2 alone, made of plain directories and files.
func fakeV2(t *testing.T, controllers, own string) (*Host, string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, own), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, own, "cgroup.controllers"), []byte(controllers+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	h, err := discover("31 23 0:28 / "+dir+" rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n", "0::"+own+"\n")
	if err != nil {
		t.Fatal(err)
	}
	return h, dir
}

func fakeParent(t *testing.T, h *Host) *Parent {
	t.Helper()
	p, err := h.parent("brig", unix.O_CREAT|unix.O_TRUNC)
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
			fmt.Fprintf(&b, "%s %s\n", f.Name(), readPath(filepath.Join(dir, f.Name())))
		}
	}
	return b.String()
}

func TestVersion2FilesAreGoldenAndEqualTheOraclesFiles(t *testing.T) {
	h, dir := fakeV2(t, "cpuset cpu io memory hugetlb pids", "/")
	p := fakeParent(t, h)
	if h.Version() != "2" || len(h.Missing()) != 0 {
		t.Errorf("version %s, missing %q", h.Version(), h.Missing())
	}
	if got := readPath(filepath.Join(dir, "brig/cgroup.subtree_control")); got == "" {
		t.Error("no controller was switched on for the containers")
	}
	g, err := p.Open("c1")
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := filepath.Join(dir, "brig/c1"), filepath.Join(dir, "brig/c2")
	for _, d := range []string{ours, theirs} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.apply(p.settings(everything)); err != nil {
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
	if p.host.Version() == "2" {
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
	for _, h := range p.host.hierarchies {
		link, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", h.fd))
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range h.controllers {
			if !h.v2 && !slices.Contains([]string{"devices", "blkio"}, c) {
				paths[c] = filepath.Join(link, "theirs")
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
	for _, s := range p.settings(res) {
		theirs := readPath(filepath.Join(paths[s.controller], s.file))
		ours := readPath(filepath.Join(filepath.Dir(paths[s.controller]), "ours", s.file))
		if ours != theirs || ours != s.value {
			t.Errorf("%s: ours %q, theirs %q, written %q", s.file, ours, theirs, s.value)
		}
	}
}

func TestWeightEqualsTheOracles(t *testing.T) {
	for shares := uint64(2); shares <= 262144; shares = shares*9/8 + 1 {
		if got, want := weight(shares), oracle.ConvertCPUSharesToCgroupV2Value(shares); got != want {
			t.Errorf("%d shares: weight %d, oracle %d", shares, got, want)
		}
	}
	if weight(1024) != 100 || weight(2) != 1 || weight(262144) != 10000 {
		t.Error("the three fixed points moved")
	}
}

func TestUnitLeavesItsInnerGroupForTheEngineLeaf(t *testing.T) {
	unit := "/system.slice/brig.service"
	for _, own := range []string{unit, unit + "/engine"} {
		h, dir := fakeV2(t, "cpu memory pids", own)
		if h.unified.base != filepath.Join(dir, unit) {
			t.Errorf("%s: base %s", own, h.unified.base)
		}
	}
	h, dir := fakeV2(t, "cpu memory pids", unit)
	if err := os.WriteFile(filepath.Join(dir, unit, "cgroup.type"), []byte("domain\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	fakeParent(t, h)
	if _, err := os.Stat(filepath.Join(dir, unit, "engine")); err != nil {
		t.Error(err)
	}
}

func TestLoginSessionIsLeftAlone(t *testing.T) {
	h, dir := fakeV2(t, "cpu memory pids", "/user.slice/user-0.slice/session-1.scope")
	if h.unified.base != dir {
		t.Errorf("base %s", h.unified.base)
	}
}

func TestKernelWithoutControllersIsReportedAndExplicitBoundsAreRefused(t *testing.T) {
	h, dir := fakeV2(t, "cpu pids", "/")
	if len(h.Missing()) != 2 || !strings.HasPrefix(h.Missing()[0], "memory control group") {
		t.Errorf("missing: %q", h.Missing())
	}
	p := fakeParent(t, h)
	g, _ := p.Open("c")
	if err := os.Mkdir(filepath.Join(dir, "brig/c"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := g.apply(p.settings(usual)); err != nil {
		t.Errorf("defaults: %v", err)
	}
	for _, res := range []wire.Resources{
		{MemoryReservation: 1 << 20}, {MemorySwap: 1 << 30, Memory: 1 << 20}, {CpusetCpus: "0"},
	} {
		err := g.apply(p.settings(res))
		if !errors.Is(err, errdefs.ErrNotImplemented) {
			t.Errorf("%+v: %v", res, err)
		}
	}
}

func TestUnboundedAndImpossibleRequestsAreRefused(t *testing.T) {
	with := func(f func(*wire.Resources)) wire.Resources {
		r := usual
		f(&r)
		return r
	}
	for name, res := range map[string]wire.Resources{
		"no memory bound": with(func(r *wire.Resources) { r.Memory = 0 }),
		"memory -1":       with(func(r *wire.Resources) { r.Memory = -1 }),
		"no pids bound":   with(func(r *wire.Resources) { r.Pids = 0 }),
		"pids -1":         with(func(r *wire.Resources) { r.Pids = -1 }),
		"swap < memory":   with(func(r *wire.Resources) { r.MemorySwap = 1 }),
		"shares":          with(func(r *wire.Resources) { r.CPUShares = 1 }),
		"quota":           with(func(r *wire.Resources) { r.CPUQuota = 10 }),
		"period":          with(func(r *wire.Resources) { r.CPUPeriod = 10 }),
		"cpuset newline":  with(func(r *wire.Resources) { r.CpusetCpus = "0\n1" }),
		"weight":          with(func(r *wire.Resources) { r.BlkioWeight = 5 }),
		"device type":     with(func(r *wire.Resources) { r.Devices = []wire.DeviceRule{{Type: "a", Access: "rwm"}} }),
		"device access":   with(func(r *wire.Resources) { r.Devices = []wire.DeviceRule{{Type: "c", Access: "rwx"}} }),
		"device major": with(func(r *wire.Resources) {
			r.Devices = []wire.DeviceRule{{Type: "c", Major: 4096, Access: "r"}}
		}),
		"devices": with(func(r *wire.Resources) {
			r.Devices = slices.Repeat([]wire.DeviceRule{{Type: "c", Major: 1, Access: "r"}}, maxDevices+1)
		}),
	} {
		if err := validate(res, true); !errors.Is(err, errdefs.ErrInvalidArgument) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := validate(usual, true); err != nil {
		t.Error(err)
	}
	p := &Parent{host: &Host{}}
	for _, id := range []string{"", ".", "..", "a/b", "a.b", "x\n", strings.Repeat("a", 65)} {
		if _, err := p.Open(id); !errors.Is(err, errdefs.ErrInvalidArgument) {
			t.Errorf("id %q: %v", id, err)
		}
	}
}

func TestMountsAreUnderstood(t *testing.T) {
	const co = `30 23 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw
32 30 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
33 30 0:30 / /sys/fs/cgroup/net\040x rw,relatime - cgroup cgroup rw,memory
34 30 0:31 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
35 30 0:32 /docker/abc /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
36 30 0:33 /other /sys/fs/cgroup/devices rw - cgroup cgroup rw,devices
`
	h, err := discover(co, "5:cpu,cpuacct:/\n4:memory:/x\n3:pids:/docker/abc/y\n2:devices:/mine\n")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, hi := range h.hierarchies {
		got = append(got, strings.Join(hi.controllers, ",")+" "+hi.base)
	}
	want := []string{
		"cpu,cpuacct /sys/fs/cgroup/cpu,cpuacct", "memory /sys/fs/cgroup/net x/x", "pids /sys/fs/cgroup/pids/y",
	}
	if !slices.Equal(got, want) || h.Version() != "1" {
		t.Errorf("got %q, version %s", got, h.Version())
	}
	if _, err := discover("", "0::/\n"); err == nil {
		t.Error("a machine without control groups was accepted")
	}
}

func FuzzDiscoverNeverLeavesTheMount(f *testing.F) {
	f.Add("31 23 0:28 / /sys/fs/cgroup rw - cgroup cgroup rw,memory\n", "1:memory:/a\n")
	f.Add("31 23 0:28 /a/b /m\\040 rw - cgroup cgroup rw,cpu,cpuacct\n", "2:cpu,cpuacct:/a/b/../../c\n")
	f.Fuzz(func(t *testing.T, mounts, self string) {
		if strings.Contains(mounts, "cgroup2") {
			return // its controllers are read from disk
		}
		h, err := discover(mounts, self)
		if err != nil {
			return
		}
		for _, hi := range h.hierarchies {
			if rel, err := filepath.Rel(hi.mount, hi.base); err != nil || rel == ".." || strings.HasPrefix(rel, "../") {
				t.Errorf("mount %q, base %q", hi.mount, hi.base)
			}
		}
	})
}

func TestBlockReadingsOfBothVersions(t *testing.T) {
	want := []Device{{8, 0, 1, 2, 3, 4}, {254, 16, 5, 0, 0, 0}}
	v2 := parseIO("8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=9\n254:16 rbytes=5\njunk\n")
	v1 := parseBlkio("8:0 Read 1\n8:0 Write 2\n8:0 Total 3\n254:16 Read 5\nTotal 9\n", "8:0 Read 3\n8:0 Write 4\n")
	if !slices.Equal(v2, want) || !slices.Equal(v1, want) {
		t.Errorf("v2 %v, v1 %v", v2, v1)
	}
}
