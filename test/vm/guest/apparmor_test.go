package guest

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
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
		// The brigd of the dead warden must be gone as well: what it is asked in its last moment it does not answer.
		const kill = `old=$(pidof brigd); kill -9 $(pidof brig-warden); while new=$(pidof brigd); [ -z "$new" ] || [ "$new" = "$old" ]; do sleep 0.1; done`
		if out, err := exec.CommandContext(t.Context(), "sh", "-c", kill).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		label(t, "brig-default (enforce)")
		if out := e.brig("exec", "stays", "cat", "/proc/1/attr/apparmor/current"); out != "brig-default (enforce)" {
			t.Error(out)
		}
		e.brig("rm", "-f", "stays")
	})
	denied(t, e)
	everyday(t, e)
}

// TestKernel61AppArmorOutOfReach starts an engine that may not load profiles, as one inside of a container, where nobody else
// has: it says so, and refuses what it cannot do.
func TestKernel61AppArmorOutOfReach(t *testing.T) {
	for _, name := range []string{"brig-default", "brig-capable"} { // that an engine before this one left
		if err := os.WriteFile("/sys/kernel/security/apparmor/.remove", []byte(name), 0); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	runtime.LockOSThread() // never unlocked: the thread has lost a capability for good
	if err := unix.Prctl(unix.PR_CAPBSET_DROP, unix.CAP_MAC_ADMIN, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	e := start(t)
	if out := e.brig("info", "--format", "{{.Warnings}} {{.SecurityOptions}}"); !strings.Contains(out, "apparmor profiles of containers") ||
		strings.Contains(out, "name=apparmor") {
		t.Error(out)
	}
	if out := e.brig("run", "--rm", "box", "cat", "/proc/self/attr/apparmor/current"); out != "unconfined" {
		t.Error(out)
	}
	e.refused(t, 125, []string{"apparmor=brig-default", "no AppArmor"}, "run", "--rm", "--security-opt", "apparmor=brig-default", "box", "true")
}

// everyday is what the profile must leave alone: everything is tried, and each failure is one line.
func everyday(t *testing.T, e *engine) {
	script := `try() { sh -c "$1" >/dev/null 2>/tmp/err || echo "$1: $(cat /tmp/err)"; }
		for f in /p /s /pr /sy /pro /procs /system /sysx /x /proc.d /tmp/x /dev/shm/x /data/x; do
			try "echo x >$f && rm $f && mkdir $f && touch $f/x && mv $f/x $f/y && ln $f/y $f/z && rm -r $f"
		done
		for f in /dev/stdout /dev/stderr /proc/self/fd/1 /dev/null /dev/fd/2 /proc/self/comm; do try "echo x >$f"; done
		try "echo 500 >/proc/self/oom_score_adj"
		try "echo 0x33 >/proc/self/coredump_filter"
		try "cp /bin/busybox /tmp/busybox && /tmp/busybox true"
		try "busybox mknod /tmp/fifo p && (echo x >/tmp/fifo & cat /tmp/fifo)"
		try "(echo x | busybox nc -l -p 80 -w 5 &) ; usleep 300000; busybox nc 127.0.0.1 80"
		try "busybox chown 5:5 /tmp/busybox && busybox su -s /bin/sh root -c true"
		try "sleep 100 & kill \$!"
		try "ls /proc/1/root/ /proc/1/fd /sys/class && cat /proc/1/environ /proc/meminfo /proc/net/dev /proc/sys/kernel/osrelease"`
	for name, args := range map[string][]string{"pipes": nil, "terminal": {"-t"}, "init": {"--init"}, "capable": {"--cap-add", "NET_RAW"}} {
		t.Run("everyday things, "+name, func(t *testing.T) {
			args = append(append([]string{"run", "--rm", "-v", "data:/data", "--ulimit", "core=0"}, args...), "box", "sh", "-c", script+"; echo end")
			if out, status := e.try(args...); out != "end" || status != 0 {
				t.Errorf("status %d: %s", status, out)
			}
			plain := append([]string{"run", "--security-opt", "apparmor=unconfined"}, args[1:]...)
			if out, _ := e.try(plain...); out != "end" {
				t.Logf("and without AppArmor: %s", out)
			}
		})
	}
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
