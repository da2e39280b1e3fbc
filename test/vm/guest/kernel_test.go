package guest

import (
	"strings"
	"testing"
)

// TestKernel61Machine holds that the machine is the one that the others are about.
func TestKernel61Machine(t *testing.T) {
	if v := text(t, "/proc/sys/kernel/osrelease"); !strings.HasPrefix(v, "6.1.") {
		t.Errorf("kernel %s", v)
	}
	if lsm := text(t, "/sys/kernel/security/lsm"); !strings.Contains(lsm, "apparmor") || !strings.Contains(lsm, "landlock") {
		t.Errorf("LSMs %s", lsm)
	}
	have := " " + text(t, "/sys/fs/cgroup/cgroup.controllers") + " "
	for _, c := range []string{"cpuset", "cpu", "io", "memory", "hugetlb", "pids"} {
		if !strings.Contains(have, " "+c+" ") {
			t.Errorf("no controller %s among%s", c, have)
		}
	}
	if mounts := text(t, "/proc/self/mountinfo"); !strings.Contains(mounts, " /quota ") || !strings.Contains(mounts, "prjquota") {
		t.Errorf("no project quotas: %s", mounts)
	}
}
