package oci

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go/features"
)

// Where there is no systemd nothing is made, and the error says what to do. (What there is with systemd: test/vm.)
func TestWithoutSystemd(t *testing.T) {
	b := newBox(t, "true")
	b.spec.Linux.CgroupsPath = "a.slice:brig:" + b.id
	b.write()
	const script = `mount --make-rprivate / && umount -R /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup && mkdir -p /run/systemd &&
		mount -t tmpfs none /run/systemd && exec "$0" --systemd-cgroup --root "$1" run --bundle "$2" "$3"`
	out, err := exec.Command("unshare", "--mount", "sh", "-c", script, b.program, b.state, b.dir, b.id).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "no systemd answers at /run/systemd/private") || !strings.Contains(string(out), "Next: set the engine to cgroupfs") {
		t.Errorf("%v: %s", err, out)
	}
	if left, err := os.ReadDir(b.state); err != nil || len(left) > 0 {
		t.Errorf("left: %v %v", left, err)
	}
}

func TestFeaturesSaysSystemd(t *testing.T) {
	var f features.Features
	if err := json.Unmarshal([]byte(newBox(t, "true").ok("features")), &f); err != nil || f.Linux.Cgroup.Systemd == nil || !*f.Linux.Cgroup.Systemd {
		t.Errorf("%v: %+v", err, f.Linux)
	}
}

// Each driver refuses the paths of the other.
func TestPathsOfTheOtherDriver(t *testing.T) {
	b := newBox(t, "true")
	b.write()
	b.refused("with --systemd-cgroup it is slice:prefix:name", "--systemd-cgroup", "run", "--bundle", b.dir, b.id)
	b.spec.Linux.CgroupsPath = "system.slice:brig:" + b.id
	b.write()
	b.refused("is a scope of systemd. Next: brig-oci --systemd-cgroup", "run", "--bundle", b.dir, b.id)
}
