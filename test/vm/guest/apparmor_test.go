package guest

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestKernel61AppArmor has AppArmor alone refuse what is otherwise allowed: the administrator has taken away Landlock and
// the filter where they would come first.
func TestKernel61AppArmor(t *testing.T) {
	e := start(t)
	label := func(t *testing.T, want string, args ...string) {
		t.Helper()
		if out := e.brig(append(append([]string{"run", "--rm"}, args...), "box", "cat", "/proc/self/attr/apparmor/current")...); out != want {
			t.Errorf("run %v: confined by %q, want %q", args, out, want)
		}
	}
	t.Run("info", func(t *testing.T) {
		if out := e.brig("info", "--format", "{{.SecurityOptions}}"); !strings.Contains(out, "name=apparmor") {
			t.Error(out)
		}
	})
	t.Run("the profiles are loaded", func(t *testing.T) {
		for _, want := range []string{"brig-default (enforce)", "brig-capable (enforce)"} {
			if have := text(t, "/sys/kernel/security/apparmor/profiles"); !strings.Contains(have, want) {
				t.Errorf("no %s in %s", want, have)
			}
		}
	})
	t.Run("by default", func(t *testing.T) { label(t, "brig-default (enforce)") })
	t.Run("with an init", func(t *testing.T) { label(t, "brig-default (enforce)", "--init") })
	t.Run("with a terminal", func(t *testing.T) { label(t, "brig-default (enforce)", "-t") })
	t.Run("with new privileges", func(t *testing.T) {
		label(t, "brig-default (enforce)", "--security-opt", "no-new-privileges=false")
	})
	t.Run("with capabilities", func(t *testing.T) { label(t, "brig-capable (enforce)", "--cap-add", "NET_ADMIN") })
	t.Run("unconfined", func(t *testing.T) { label(t, "unconfined", "--security-opt", "apparmor=unconfined") })
	t.Run("unconfined, the old spelling", func(t *testing.T) { label(t, "unconfined", "--security-opt", "apparmor:unconfined") })
	t.Run("a profile that is not loaded", func(t *testing.T) {
		e.refused(t, 125, []string{"AppArmor profile nobodys", "no such thing"}, "run", "--rm", "--security-opt", "apparmor=nobodys", "box", "true")
	})
	t.Run("one of the administrator's", func(t *testing.T) {
		if _, err := os.Stat("/vm/apparmor.policy"); err != nil { // which is compiled outside
			t.Skip("missing: apparmor_parser")
		}
		if err := os.WriteFile("/sys/kernel/security/apparmor/.load", readFile(t, "/vm/apparmor.policy"), 0); err != nil {
			t.Fatal(err)
		}
		label(t, "of-a-test (enforce)", "--security-opt", "apparmor=of-a-test")
		out, _ := e.try("run", "--rm", "--security-opt", "apparmor=of-a-test", "box", "touch", "/forbidden")
		if !strings.Contains(out, "Permission denied") {
			t.Errorf("it does not confine: %s", out)
		}
	})
	t.Run("inspect and exec", func(t *testing.T) {
		e.brig("run", "-d", "--name", "web", "box", "sleep", "1000")
		if out := e.brig("inspect", "--format", "{{.AppArmorProfile}}", "web"); out != "brig-default" {
			t.Errorf("inspect says %q", out)
		}
		if out := e.brig("exec", "web", "cat", "/proc/self/attr/apparmor/current"); out != "brig-default (enforce)" {
			t.Errorf("what is executed is confined by %q", out)
		}
		if out := e.brig("exec", "web", "sh", "-c", "kill -0 1 && echo may signal its own"); out != "may signal its own" {
			t.Error(out)
		}
		e.brig("stop", "-t", "1", "web")
		e.brig("rm", "web")
	})
	t.Run("a new engine confines what runs", func(t *testing.T) {
		e.brig("run", "-d", "--name", "stays", "box", "sleep", "1000")
		if out, err := exec.Command("sh", "-c", "kill -9 $(pidof brig-warden)").CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		label(t, "brig-default (enforce)")
		if out := e.brig("exec", "stays", "cat", "/proc/1/attr/apparmor/current"); out != "brig-default (enforce)" {
			t.Error(out)
		}
		e.brig("rm", "-f", "stays")
	})
	denied(t, e)
}

// denied compares what programs may with AppArmor and without it. Everything else that would refuse is out of the way.
func denied(t *testing.T, e *engine) {
	e.brig("run", "-d", "--name", "victim", "box", "sleep", "1000")
	defer e.brig("rm", "-f", "victim")
	run := func(profile, script string) string {
		args := []string{"run", "--rm", "--pid", "container:victim", "--cap-add", "SYS_PTRACE", "--security-opt", "seccomp=unconfined",
			"--security-opt", "no-new-privileges=false", "--security-opt", "apparmor=" + profile}
		out, _ := e.try(append(args, "box", "sh", "-c", script+" && echo done")...)
		return out
	}
	for name, script := range map[string]string{
		"changing one's own profile":         "echo exec unconfined >/proc/self/attr/apparmor/exec",
		"switches in proc":                   "echo 0 >/proc/self/sched",
		"signals to another profile":         "kill -0 1",
		"the environment of another profile": "cat /proc/1/environ",
		"the root directory of another":      "ls /proc/1/root/",
		"the descriptors of another":         "busybox readlink /proc/1/fd/1",
	} {
		t.Run(name, func(t *testing.T) {
			if out := run("brig-capable", script); strings.HasSuffix(out, "done") {
				t.Errorf("allowed: %s", out)
			}
			if out := run("unconfined", script); !strings.HasSuffix(out, "done") {
				t.Errorf("refused by something else than AppArmor: %s", out)
			}
		})
	}
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
