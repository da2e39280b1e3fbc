package oci

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// On a machine that has version 2 of control groups alone, as most have: here by a mount namespace that shows no other.
// Controllers are missing then, and what needs one is refused; devices, freezing and killing are there without.
func TestVersionTwoAlone(t *testing.T) {
	b := newBox(t, "head -c 1 /dev/zero > /dev/null && echo null; head -c 1 /dev/kmsg || echo refused; cat /proc/self/cgroup; ls /sys/fs/cgroup/cgroup.procs; "+idle)
	b.spec.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/kmsg", Type: "c", Major: 1, Minor: 11}}
	b.spec.Process.Capabilities.Bounding = append(b.spec.Process.Capabilities.Bounding, "CAP_SYSLOG")
	b.write()
	script := `set -e
mount --make-rprivate /
umount -R /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
oci() { "$0" --root "$1" "$@"; }
run="$0 --root $1"
$run run -d --bundle "$2" "$3" > "$2/out" 2>&1
while ! grep -q cgroup.procs "$2/out"; do sleep 0.01; done
$run exec "$3" cat /proc/self/cgroup
$run pause "$3"
$run state "$3" | grep -o paused
cat /sys/fs/cgroup/"$3"/cgroup.freeze
$run resume "$3"
$run ps --format json "$3" | grep -c '[0-9]'
if $run update --cpu-share 10 "$3"; then echo too much; fi
$run kill --all "$3" KILL
while $run state "$3" | grep -q running; do sleep 0.01; done
$run delete "$3"
test ! -e /sys/fs/cgroup/"$3"
cat "$2/out"
`
	script = strings.Replace(script, "oci() { \"$0\" --root \"$1\" \"$@\"; }\n", "", 1)
	out, err := exec.Command("unshare", "--mount", "sh", "-c", script, b.program, b.state, b.dir, b.id).CombinedOutput()
	controllers, _ := os.ReadFile("/sys/fs/cgroup/cgroup.controllers")
	want := []string{"0::/\n", "paused\n1\n1\n", "null\n", "not permitted\nrefused\n", "/sys/fs/cgroup/cgroup.procs\n"}
	if !strings.Contains(string(controllers), "cpu") {
		want = append(want, "no controller cpu")
	}
	for _, w := range want {
		if !strings.Contains(string(out), w) {
			t.Errorf("no %q (%v):\n%s", w, err, out)
		}
	}
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// Resources reach the kernel's files, whichever version holds the controller, and a device that is not allowed is not.
func TestResources(t *testing.T) {
	b := newBox(t, idle)
	b.spec.Process.Capabilities.Bounding = append(b.spec.Process.Capabilities.Bounding, "CAP_SYSLOG")
	b.spec.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/kmsg", Type: "c", Major: 1, Minor: 11}, {Path: "/dev/allowed", Type: "c", Major: 1, Minor: 5}}
	memory, pids, shares, quota, period := int64(64<<20), int64(33), uint64(512), int64(50000), uint64(100000)
	b.spec.Linux.Resources.Memory = &specs.LinuxMemory{Limit: &memory}
	b.spec.Linux.Resources.Pids = &specs.LinuxPids{Limit: &pids}
	b.spec.Linux.Resources.CPU = &specs.LinuxCPU{Shares: &shares, Quota: &quota, Period: &period, Cpus: "0"}
	b.write()
	b.ok("run", "-d", "--bundle", b.dir, b.id)
	out := b.ok("exec", b.id, "sh", "-c", "head -c 1 /dev/kmsg || echo refused; head -c 1 /dev/allowed > /dev/null && echo allowed")
	if !strings.Contains(out, "not permitted\nrefused\nallowed\n") {
		t.Errorf("devices:\n%s", out)
	}
	found := 0
	for file, want := range map[string]string{"memory.limit_in_bytes": "67108864", "memory.max": "67108864", "pids.max": "33", "cpu.shares": "512",
		"cpu.cfs_quota_us": "50000", "cpu.max": "50000 100000", "cpuset.cpus": "0"} {
		files, _ := filepath.Glob("/sys/fs/cgroup/*/" + b.id + "/" + file)
		more, _ := filepath.Glob("/sys/fs/cgroup/" + b.id + "/" + file)
		for _, f := range append(files, more...) {
			found++
			if text, err := os.ReadFile(f); err != nil || strings.TrimSpace(string(text)) != want {
				t.Errorf("%s: %q %v, want %s", f, text, err, want)
			}
		}
	}
	if found < 4 {
		t.Errorf("only %d files were found\n%s", found, out)
	}
}
