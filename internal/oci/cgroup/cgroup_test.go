package cgroup

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

const hybrid = `31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate
52 31 0:29 / /elsewhere rw,relatime - cgroup cgroup rw,cpu,cpuacct
`

func TestPlace(t *testing.T) {
	own := "8:cpu,cpuacct:/mine/here\n2:name=systemd:/\n0::/mine\n"
	for _, test := range []struct{ path, want string }{
		{"/docker/x", "/sys/fs/cgroup/cpu,cpuacct/docker/x /sys/fs/cgroup/systemd/docker/x /sys/fs/cgroup/unified/docker/x"},
		{"", "/sys/fs/cgroup/cpu,cpuacct/mine/here/id /sys/fs/cgroup/systemd/id /sys/fs/cgroup/unified/mine/id"},
		{"sub/x", "/sys/fs/cgroup/cpu,cpuacct/mine/here/sub/x /sys/fs/cgroup/systemd/sub/x /sys/fs/cgroup/unified/mine/sub/x"},
		{"../../etc", "/sys/fs/cgroup/cpu,cpuacct/mine/here/etc /sys/fs/cgroup/systemd/etc /sys/fs/cgroup/unified/mine/etc"},
		{"/../../etc", "/sys/fs/cgroup/cpu,cpuacct/etc /sys/fs/cgroup/systemd/etc /sys/fs/cgroup/unified/etc"},
	} {
		var got []string
		for _, d := range place(hybrid, own, test.path, "id").Dirs {
			got = append(got, d.Name())
		}
		if s := strings.Join(got, " "); s != test.want {
			t.Errorf("%q:\n%s, want\n%s", test.path, s, test.want)
		}
	}
	v2 := place("41 31 0:38 / /sys/fs/cgroup rw - cgroup2 cgroup rw\n", "0::/a.slice\n", "", "id")
	if len(v2.Dirs) != 1 || !v2.Dirs[0].V2() || v2.Dirs[0].Name() != "/sys/fs/cgroup/a.slice/id" {
		t.Errorf("%+v", v2)
	}
}

func TestWeights(t *testing.T) {
	for shares, want := range map[uint64]uint64{2: 1, 1024: 100, 262144: 10000} {
		if got := weight(shares); got != want {
			t.Errorf("%d shares are weight %d, want %d", shares, got, want)
		}
	}
}

// rules of a container that may read and write /dev/null and what else every container has, and one disk to read.
func diskRules(t testing.TB) []rule {
	t.Helper()
	var list []specs.LinuxDeviceCgroup
	err := json.Unmarshal([]byte(`[{"allow":false,"access":"rwm"},{"allow":true,"type":"b","major":254,"minor":0,"access":"r"},
		{"allow":true,"type":"c","major":10,"access":"rw"},{"allow":false,"type":"c","major":10,"minor":229}]`), &list)
	if err != nil {
		t.Fatal(err)
	}
	rules, err := deviceRules(list)
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

func TestDeviceRules(t *testing.T) {
	var lines []string
	for _, r := range diskRules(t)[:5] {
		lines = append(lines, map[bool]string{true: "allow ", false: "deny "}[r.allow]+r.text())
	}
	want := "deny a, deny a, allow b 254:0 r, allow c 10:* rw, deny c 10:229 rwm"
	if got := strings.Join(lines, ", "); got != want {
		t.Errorf("%s, want\n%s", got, want)
	}
	for _, bad := range []specs.LinuxDeviceCgroup{{Type: "d"}, {Access: "rx"}} {
		if _, err := deviceRules([]specs.LinuxDeviceCgroup{bad}); err == nil {
			t.Errorf("%+v is accepted", bad)
		}
	}
}

// The program of version 2 decides as the list of version 1 would: a shell in a group of its own tries.
func TestDeviceProgramDecides(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("missing: root privileges")
	}
	g, err := Place("/brig-oci-devices-test", "x")
	if err != nil {
		t.Fatal(err)
	}
	u := g.unified()
	if u == nil {
		t.Skip("missing: cgroup v2")
	}
	only := &Group{Dirs: []Dir{*u}}
	if err := only.Create(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := only.Remove(); err != nil {
			t.Error(err)
		}
	})
	major, minor := int64(1), int64(7) // full
	if err := only.SetDevices([]specs.LinuxDeviceCgroup{{Allow: true, Type: "c", Major: &major, Minor: &minor, Access: "r"}}); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	kmsg := filepath.Join(dir, "kmsg")
	for name, dev := range map[string]uint64{"kmsg": unix.Mkdev(1, 11), "mem": unix.Mkdev(1, 1)} {
		if err := unix.Mknod(filepath.Join(dir, name), unix.S_IFCHR|0o600, int(dev)); err != nil {
			t.Fatal(err)
		}
	}
	script := `echo $$ > ` + u.file("cgroup.procs") + `
echo x > /dev/null && echo null
head -c 1 /dev/zero > /dev/null && echo zero
head -c 1 ` + kmsg + ` > /dev/null 2>&1 || echo no kmsg
mknod ` + dir + `/made c 1 11 && echo a node may be made
head -c 1 ` + dir + `/made > /dev/null 2>&1 || echo and not be used`
	out, err := exec.Command("sh", "-c", script).CombinedOutput()
	want := "null\nzero\nno kmsg\na node may be made\nand not be used\n"
	if err != nil || string(out) != want {
		t.Errorf("%v\n%s want\n%s", err, out, want)
	}
}

// What a resource needs and this machine lacks is named, and nothing is passed over.
func TestMissingControllerIsNamed(t *testing.T) {
	dir := t.TempDir()
	g := &Group{Dirs: []Dir{{Mount: dir, Path: "/x"}}}
	if err := os.Mkdir(dir+"/x", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/x/cgroup.controllers", []byte("memory pids\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"memory.max", "memory.swap.max", "pids.max"} {
		if err := os.WriteFile(dir+"/x/"+file, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	shares, limit, swap, swappiness := uint64(10), int64(100), int64(150), uint64(10)
	for words, r := range map[string]*specs.LinuxResources{
		"resources.cpu.shares":                   {CPU: &specs.LinuxCPU{Shares: &shares}},
		"resources.memory.swappiness: version 2": {Memory: &specs.LinuxMemory{Swappiness: &swappiness}},
		"resources.unified":                      {Unified: map[string]string{"memory.nonsense": "1"}},
		"resources.hugepageLimits":               {HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: "2MB"}}},
		"no less than memory.limit":              {Memory: &specs.LinuxMemory{Swap: &swap}},
	} {
		if err := apply(g, r); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%v, want %q", err, words)
		}
	}
	if err := apply(g, &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: &limit, Swap: &swap}, Pids: &specs.LinuxPids{Limit: &limit}}); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{"memory.max": "100", "memory.swap.max": "50", "pids.max": "100"} {
		if b, err := os.ReadFile(dir + "/x/" + file); err != nil || string(b) != want {
			t.Errorf("%s: %s %v, want %s", file, b, err, want)
		}
	}
}
