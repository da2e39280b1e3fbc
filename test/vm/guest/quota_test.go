package guest

import (
	"strings"
	"testing"
)

// TestKernel61ProjectQuota: the file system's own quotas are used where it holds projects to them, and an image where it does not.
func TestKernel61ProjectQuota(t *testing.T) {
	for dir, want := range map[string]string{"/quota": "project quota", "/data": "btrfs image"} {
		t.Run(want, func(t *testing.T) {
			t.Setenv("TMPDIR", dir)
			e := start(t)
			if out := e.brig("info"); !strings.Contains(out, want) && !(want == "btrfs image" && strings.Contains(out, "no bound for the disk space")) {
				t.Errorf("%s:\n%s", dir, out)
			}
		})
	}
}
