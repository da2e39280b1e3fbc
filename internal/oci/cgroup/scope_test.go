package cgroup

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"golang.org/x/sys/unix"
)

func TestParseScope(t *testing.T) {
	for path, want := range map[string][3]string{
		"system.slice:docker:abc":                {"docker-abc.scope", "system.slice", "/system.slice"},
		":docker:abc":                            {"docker-abc.scope", "system.slice", "/system.slice"},
		"machine.slice::abc":                     {"abc.scope", "machine.slice", "/machine.slice"},
		"":                                       {"brig-oci-id.scope", "system.slice", "/system.slice"},
		"-.slice:p:n":                            {"p-n.scope", "-.slice", ""},
		"a-b-c.slice:p:n":                        {"p-n.scope", "a-b-c.slice", "/a.slice/a-b.slice/a-b-c.slice"},
		`a\x2db.slice:p:n`:                       {"p-n.scope", `a\x2db.slice`, `/a\x2db.slice`},
		"kubepods-besteffort-pod1_2.slice:cri:n": {"cri-n.scope", "kubepods-besteffort-pod1_2.slice", "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod1_2.slice"},
	} {
		unit, slice, where, err := parseScope(path, "id")
		if got := [3]string{unit, slice, where}; err != nil || got != want {
			t.Errorf("%q: %v %v, want %v", path, got, err, want)
		}
	}
	long := strings.Repeat("n", 247)
	if _, _, _, err := parseScope(":p:"+long, "id"); err != nil {
		t.Error(err)
	}
	for path, words := range map[string]string{
		"/docker/abc": "slice:prefix:name", "a.slice:b": "slice:prefix:name", "a.slice:b:c:d": "slice:prefix:name", "name": "slice:prefix:name",
		"a:b:c": "no name of a slice", "-:b:c": "no name of a slice", ".slice:b:c": "no name of a slice", "a--b.slice:b:c": "no name of a slice", "-a.slice:b:c": "no name of a slice",
		"a-.slice:b:c": "no name of a slice", "../a.slice:b:c": "no name of a slice", "a/b.slice:b:c": "no name of a slice", "a b.slice:b:c": "no name of a slice",
		"a.slice:b:":       "no name of a scope",
		"-.slice::init":    "no name of a scope",
		"a.slice:b:../../": "no name of a scope", "a.slice:b/c:d": "no name of a scope", "a.slice:b:c\x00": "no name of a scope",
		"a.slice:b:c\n": "no name of a scope", "a.slice:b:c@d": "no name of a scope", "a.slice:b:ä": "no name of a scope", "a.slice:b:c%n": "no name of a scope",
		"a.slice:b:c-d.slice": "no name of a scope", ":p:n" + long: "no name of a scope", strings.Repeat("n", 250) + ".slice:b:c": "no name of a slice",
	} {
		if unit, _, _, err := parseScope(path, "id"); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%q: %s %v, want %q", path, unit, err, words)
		}
	}
	if _, err := Place("system.slice:docker:abc", "id"); err == nil || !strings.Contains(err.Error(), "--systemd-cgroup") {
		t.Errorf("a scope without systemd: %v", err)
	}
}

// FuzzParseScope: whatever the path is, a name of a unit comes of it, in a group below the slices that are its own.
func FuzzParseScope(f *testing.F) {
	f.Add("system.slice:docker:abc", "id")
	f.Add("-.slice::x", "id")
	f.Add("-::0", "0")
	f.Add("a-b.slice:../..:x", "a+b")
	f.Fuzz(func(t *testing.T, path, id string) {
		unit, slice, where, err := parseScope(path, id)
		if err != nil {
			return
		}
		whole := where + "/" + unit
		if !isUnit(unit) || !isUnit(slice) || !strings.HasSuffix(unit, ".scope") || strings.Contains(unit, "/") || filepath.Clean(whole) != whole {
			t.Fatalf("%q %q: %q in %q at %q", path, id, unit, slice, where)
		}
		if slice != "-.slice" && filepath.Base(where) != slice {
			t.Fatalf("%q: %q at %q", path, slice, where)
		}
		for part := range strings.SplitSeq(strings.TrimPrefix(where, "/"), "/") {
			if where != "" && (!strings.HasSuffix(part, ".slice") || len(part) == len(".slice")) {
				t.Fatalf("%q: %q", path, where)
			}
		}
	})
}

// What systemd has to know is what will be written, in its own terms.
func TestProperties(t *testing.T) {
	const none = uint64(math.MaxUint64)
	v2 := fake(t, map[string]string{"cgroup.controllers": "cpuset cpu io memory pids hugetlb\n", "cpu.max": "30000 200000\n", "memory.max": "1000000\n",
		"memory.swap.max": "max\n"})
	v1 := &Group{}
	for _, controllers := range []string{"memory", "cpu,cpuacct", "pids", "cpuset", "blkio"} {
		v1.Dirs = append(v1.Dirs, Dir{Controllers: strings.Split(controllers, ","), Mount: filepath.Join(t.TempDir(), controllers), Path: "/x"})
	}
	d := v1.find("cpu")
	if err := os.MkdirAll(d.Name(), 0o755); err != nil {
		t.Fatal(err)
	}
	for file, text := range map[string]string{"cpu.cfs_quota_us": "30000\n", "cpu.cfs_period_us": "200000\n"} {
		if err := os.WriteFile(d.file(file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for resources, want := range map[string][2]map[string]any{
		`{}`: {{}, {}},
		`{"memory":{"limit":1048576,"reservation":4096},"pids":{"limit":20},"cpu":{"shares":512,"cpus":"0-2,9","mems":"0"},"blockIO":{"weight":300}}`: {
			{"MemoryLimit": uint64(1048576), "TasksMax": uint64(20), "CPUShares": uint64(512), "BlockIOWeight": uint64(300)},
			{"MemoryMax": uint64(1048576), "MemoryLow": uint64(4096), "TasksMax": uint64(20), "CPUWeight": uint64(59), "IOWeight": uint64(2930), "AllowedCPUs": []byte{7, 2},
				"AllowedMemoryNodes": []byte{1}}},
		`{"memory":{"limit":-1,"swap":-1},"pids":{"limit":-1}}`: {{"MemoryLimit": none, "TasksMax": none}, {"MemoryMax": none, "MemorySwapMax": none, "TasksMax": none}},
		`{"memory":{"swap":1500000}}`:                           {{}, {"MemorySwapMax": uint64(500000)}},
		`{"cpu":{"quota":12345,"period":100000}}`:               {{"CPUQuotaPerSecUSec": uint64(130000), "CPUQuotaPeriodUSec": uint64(100000)}, {"CPUQuotaPerSecUSec": uint64(130000), "CPUQuotaPeriodUSec": uint64(100000)}},
		`{"cpu":{"quota":50000}}`:                               {{"CPUQuotaPerSecUSec": uint64(250000), "CPUQuotaPeriodUSec": uint64(200000)}, {"CPUQuotaPerSecUSec": uint64(250000), "CPUQuotaPeriodUSec": uint64(200000)}},
		`{"cpu":{"period":100000}}`:                             {{"CPUQuotaPerSecUSec": uint64(300000), "CPUQuotaPeriodUSec": uint64(100000)}, {"CPUQuotaPerSecUSec": uint64(300000), "CPUQuotaPeriodUSec": uint64(100000)}},
		`{"cpu":{"quota":-1}}`:                                  {{"CPUQuotaPerSecUSec": none, "CPUQuotaPeriodUSec": uint64(200000)}, {"CPUQuotaPerSecUSec": none, "CPUQuotaPeriodUSec": uint64(200000)}},
		`{"hugepageLimits":[{"pageSize":"2MB","limit":2097152}],"blockIO":{"weightDevice":[{"major":8,"minor":0,"weight":300}]}}`: {{}, {}},
		`{"unified":{"memory.high":"1M","memory.min":"max","cpu.max":"50000","io.max":"8:0 rbps=1"}}`: {nil,
			{"MemoryHigh": uint64(1048576), "MemoryMin": none, "CPUQuotaPerSecUSec": uint64(500000), "CPUQuotaPeriodUSec": uint64(100000)}},
	} {
		var r specs.LinuxResources
		if err := json.Unmarshal([]byte(resources), &r); err != nil {
			t.Fatal(err)
		}
		for i, g := range []*Group{v1, v2} {
			list, err := g.Settings(&r)
			if want[i] == nil && err != nil {
				continue
			}
			got := g.Properties(list)
			for _, mask := range []string{"AllowedCPUs", "AllowedMemoryNodes"} {
				if b, ok := got[mask].([]byte); ok {
					got[mask] = []byte(strings.TrimRight(string(b), "\x00"))
				}
			}
			if err != nil || !reflect.DeepEqual(got, want[i]) {
				t.Errorf("%s on version %d: %v\n%v, want\n%v", resources, i+1, err, got, want[i])
			}
		}
	}
	if err := os.WriteFile(v2.Dirs[0].file(bfqWeight), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	weight := uint16(500)
	list, err := v2.Settings(&specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{Weight: &weight}})
	if got := v2.Properties(list); err != nil || !reflect.DeepEqual(got, map[string]any{"IOWeight": uint64(4500)}) {
		t.Errorf("BFQ: %v %v", got, err)
	}
}

// What systemd keeps of rules on version 1 is what the group has, or the container is not made.
func TestScopeDevices(t *testing.T) {
	v1 := &Group{Dirs: []Dir{{Controllers: []string{"devices"}, Mount: "/none", Path: "/x"}}}
	usual := "char-* m, block-* m, /dev/char/1:3 rwm, /dev/char/1:5 rwm, /dev/char/1:7 rwm, /dev/char/1:8 rwm, /dev/char/1:9 rwm, " +
		"/dev/char/5:0 rwm, /dev/char/5:2 rwm, char-136 rwm"
	for rules, want := range map[string]string{
		``:                 usual,
		`{"access":"rwm"}`: usual,
		`{"allow":true,"type":"b","major":8,"minor":0,"access":"r"},{"allow":true,"type":"c","major":10}`: "/dev/block/8:0 r, char-10 rwm, " + usual,
		`{"allow":true,"type":"c","major":1,"minor":3},{"type":"c","major":10,"minor":229}`:               "/dev/char/1:3 rwm, " + usual, // Docker's own
		`{"allow":true,"access":"rwm"}`:                   "",
		`{"allow":true},{"access":"rwm"}`:                 usual,
		`{"allow":true},{"type":"c","major":1,"minor":3}`: "refused",
		`{"allow":true,"type":"c","major":10,"access":"rw"},{"type":"c","major":10,"minor":229,"access":"w"}`: "refused",
		`{"allow":true,"type":"c","major":10,"access":"r"},{"type":"c","major":10,"minor":229,"access":"w"}`:  "char-10 r, " + usual,
		`{"allow":true,"type":"c","minor":5}`: "refused",
	} {
		var list []specs.LinuxDeviceCgroup
		if err := json.Unmarshal([]byte("["+rules+"]"), &list); err != nil {
			t.Fatal(err)
		}
		got, err := v1.ScopeDevices(list)
		var lines []string
		if known := reflect.ValueOf(got["DeviceAllow"]); known.IsValid() {
			for i := range known.Len() {
				lines = append(lines, known.Index(i).Field(0).String()+" "+known.Index(i).Field(1).String())
			}
		}
		said := strings.Join(lines, ", ")
		if err != nil && strings.Contains(err.Error(), "Next: set the engine to cgroupfs") {
			said = "refused"
		}
		if said != want || (got["DevicePolicy"] == "strict") != (want != "" && want != "refused") {
			t.Errorf("%s:\n%s %v, want\n%s", rules, said, err, want)
		}
	}
	if known, err := fake(t, map[string]string{"cgroup.controllers": ""}).ScopeDevices(nil); err != nil || known != nil {
		t.Errorf("version 2: %v %v", known, err)
	}
}

// Whoever has the name of a scope that has ended, or had it before ours was made, gets no signal and is not stopped.
func TestAScopeIsKnownByItsNumber(t *testing.T) {
	dir := t.TempDir()
	g := &Group{Unit: "x.scope", Dirs: []Dir{{Mount: dir, Path: "/x.scope"}}}
	group, other := filepath.Join(dir, "x.scope"), filepath.Join(dir, "other")
	for _, d := range []string{group, other} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if g.Ours() {
		t.Error("it was not made yet")
	}
	if g.Serial = g.Number(); !g.Ours() {
		t.Error("it is not known")
	}
	if err := errors.Join(os.Remove(group), os.Rename(other, group)); err != nil {
		t.Fatal(err)
	}
	if g.Ours() {
		t.Error("another one of its name is taken for it")
	}
	kill := filepath.Join(group, "cgroup.kill")
	if err := os.WriteFile(kill, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := g.Signal(unix.SIGKILL); err != nil {
		t.Error(err)
	}
	if b, err := os.ReadFile(kill); err != nil || len(b) > 0 {
		t.Errorf("it was killed: %q, %v", b, err)
	}
}
