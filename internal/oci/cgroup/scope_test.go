package cgroup

import (
	"encoding/json"
	"maps"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
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

// What systemd is told is what the files hold; what it writes in larger steps is written once more.
func TestTell(t *testing.T) {
	const none = uint64(math.MaxUint64)
	for name, test := range map[string]struct {
		files map[string]string
		want  map[string]any
	}{
		"bounds": {map[string]string{"memory.max": "1048576\n", "memory.high": "max\n", "memory.low": "0\n", "memory.min": "4096\n", "memory.swap.max": "0\n",
			"pids.max": "20\n", "cpu.weight": "59\n", "io.weight": "default 200\n8:0 300\n", "cpu.max": "50000 200000\n", "cpuset.cpus": "0-2,9\n", "cpuset.mems": "0\n"},
			map[string]any{"MemoryMax": uint64(1048576), "MemoryHigh": none, "MemoryLow": uint64(0), "MemoryMin": uint64(4096), "MemorySwapMax": uint64(0),
				"TasksMax": uint64(20), "CPUWeight": uint64(59), "IOWeight": uint64(200), "CPUQuotaPerSecUSec": uint64(250000), "CPUQuotaPeriodUSec": uint64(200000),
				"AllowedCPUs": []byte{7, 2}, "AllowedMemoryNodes": []byte{1}}},
		"none":    {map[string]string{"memory.max": "max\n", "pids.max": "max\n", "cpu.max": "max 100000\n", "cpuset.cpus": "\n"}, map[string]any{"MemoryMax": none, "TasksMax": none, "CPUQuotaPerSecUSec": none, "CPUQuotaPeriodUSec": uint64(100000)}},
		"idle":    {map[string]string{"cpu.weight": "0\n"}, map[string]any{}},
		"steps":   {map[string]string{"cpu.max": "12345 100000\n"}, map[string]any{"CPUQuotaPerSecUSec": uint64(130000), "CPUQuotaPeriodUSec": uint64(100000)}},
		"bfq":     {map[string]string{"io.weight": "default 100\n", "io.bfq.weight": "default 500\n"}, map[string]any{"IOWeight": uint64(4500)}},
		"nothing": {nil, map[string]any{}},
	} {
		files := maps.Clone(test.files)
		if files == nil {
			files = map[string]string{}
		}
		files["cgroup.controllers"] = "cpuset cpu io memory pids\n"
		g := fake(t, files)
		err := g.Tell(func(got map[string]any) error {
			for _, mask := range []string{"AllowedCPUs", "AllowedMemoryNodes"} {
				if b, ok := got[mask].([]byte); ok {
					got[mask] = []byte(strings.TrimRight(string(b), "\x00"))
				}
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("%s: told\n%v, want\n%v", name, got, test.want)
			}
			if test.files["cpu.max"] != "" {
				return os.WriteFile(g.Dirs[0].file("cpu.max"), []byte("13000 100000\n"), 0)
			}
			return nil
		})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for file, want := range test.files {
			if got, err := os.ReadFile(g.Dirs[0].file(file)); err != nil || !strings.HasPrefix(string(got), strings.TrimSpace(want)) {
				t.Errorf("%s: %s is %q after that (%v), want %q", name, file, got, err, want)
			}
		}
	}
}

// Version 1 has other names, and no bound is a number there.
func TestTellVersionOne(t *testing.T) {
	top := t.TempDir()
	g := &Group{}
	for _, controllers := range []string{"memory", "cpu,cpuacct", "pids", "cpuset", "blkio"} {
		g.Dirs = append(g.Dirs, Dir{Controllers: strings.Split(controllers, ","), Mount: filepath.Join(top, controllers), Path: "/x"})
		if err := os.MkdirAll(filepath.Join(top, controllers, "x"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for file, text := range map[string]string{"memory/x/memory.limit_in_bytes": "9223372036854771712\n", "cpu,cpuacct/x/cpu.shares": "512\n",
		"cpu,cpuacct/x/cpu.cfs_quota_us": "-1\n", "cpu,cpuacct/x/cpu.cfs_period_us": "100000\n", "pids/x/pids.max": "20\n", "cpuset/x/cpuset.cpus": "0\n",
		"blkio/x/blkio.weight": "300\n"} {
		if err := os.WriteFile(filepath.Join(top, file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]any{"MemoryLimit": uint64(math.MaxUint64), "CPUShares": uint64(512), "CPUQuotaPerSecUSec": uint64(math.MaxUint64),
		"CPUQuotaPeriodUSec": uint64(100000), "TasksMax": uint64(20), "BlockIOWeight": uint64(300)}
	err := g.Tell(func(got map[string]any) error {
		if !reflect.DeepEqual(got, want) {
			t.Errorf("told\n%v, want\n%v", got, want)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
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
