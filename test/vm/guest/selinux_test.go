package guest

import (
	"strings"
	"testing"
)

// TestSELinux: the engine lives beside SELinux, sets no label, and says so to whoever asks for one; nor does it pretend to
// have AppArmor.
func TestSELinux(t *testing.T) {
	if lsm := text(t, "/sys/kernel/security/lsm"); !strings.Contains(lsm, "selinux") || strings.Contains(lsm, "apparmor") {
		t.Fatalf("LSMs %s", lsm)
	}
	e := start(t)
	t.Run("containers run", func(t *testing.T) {
		if out := e.brig("run", "--rm", "box", "echo", "runs"); out != "runs" {
			t.Error(out)
		}
	})
	t.Run("info", func(t *testing.T) {
		if out := e.brig("info", "--format", "{{.SecurityOptions}}"); strings.Contains(out, "selinux") || strings.Contains(out, "apparmor") {
			t.Error(out)
		}
	})
	t.Run("nothing to switch off", func(t *testing.T) {
		e.brig("run", "--rm", "--security-opt", "label=disable", "--security-opt", "apparmor=unconfined", "box", "true")
	})
	for _, o := range []string{"label=user:u", "label=role:r", "label=type:t", "label=level:s0:c1,c2", "label:level:s0:c1,c2"} {
		t.Run(o, func(t *testing.T) {
			e.refused(t, 125, []string{"--security-opt " + o, "Brig sets no SELinux label"}, "run", "--rm", "--security-opt", o, "box", "true")
		})
	}
	t.Run("AppArmor", func(t *testing.T) {
		e.refused(t, 125, []string{"--security-opt apparmor=brig-default", "no AppArmor"}, "run", "--rm", "--security-opt", "apparmor=brig-default", "box", "true")
	})
}
