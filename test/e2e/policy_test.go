package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// confined prints what a strict container is: who, which capabilities, whether more can be had, which filter, what can be
// written, and which interfaces there are.
const confined = `id -u; grep -E '^(CapBnd|CapPrm|NoNewPrivs|Seccomp):' /proc/self/status | tr -d '\t'; touch /x 2>/dev/null && echo writable; ls /sys/class/net`

const isStrict = "1000\nCapPrm:0000000000000000\nCapBnd:0000000000000000\nNoNewPrivs:1\nSeccomp:2\nlo"

func TestLevelStrict(t *testing.T) {
	e := startEngine(t).withBusybox()
	e.refused(125, []string{"-u root: the rule level-strict forbids it", "-u 1000:1000"}, "run", "--level", "strict", "box", "true")
	e.refused(125, []string{"--cap-add CAP_KILL: the rule level-strict", "--device /dev/fuse: the rule level-strict", "-p: the rule level-strict"},
		"run", "--level", "strict", "-u", "1000", "--cap-add", "KILL", "--device", "/dev/fuse", "-p", "8080:80", "box", "true")
	e.refused(125, []string{"brig.level=lax: the levels are"}, "run", "--level", "lax", "box", "true")
	if out := e.brig("run", "--rm", "--level", "strict", "-u", "1000:1000", "box", "sh", "-c", confined); out != isStrict {
		t.Errorf("brig: %s", out)
	}
	if out := e.docker("run", "--rm", "--annotation", "brig.level=strict", "-u", "1000:1000", "box", "sh", "-c", confined); out != isStrict {
		t.Errorf("docker: %s", out)
	}
	e.brig("run", "-d", "--name", "sealed", "--level", "strict", "-u", "1000:1000", "--network", "bridge", "--tmpfs", "/run", "--restart", "always",
		"box", "sh", "-c", "touch /run/ready; sleep 1000")
	if out := e.brig("ps", "--format", "{{.Names}} {{.Level}}"); out != "sealed strict" {
		t.Errorf("ps: %s", out)
	}
	if out := e.show(`{{index .HostConfig.Annotations "brig.level"}} {{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}}`, "sealed"); out != "strict true [ALL]" {
		t.Errorf("inspect: %s", out)
	}
	if out := e.brig("exec", "sealed", "sh", "-c", "ls /sys/class/net; id -u"); out != "eth0\nlo\n1000" {
		t.Errorf("a network that was named: %s", out)
	}
	e.refused(1, []string{"-u 0: the rule level-strict"}, "exec", "-u", "0", "sealed", "id")
	e.killed("brig-warden")
	e.brig("restart", "-t", "0", "sealed")
	if out := e.brig("exec", "sealed", "sh", "-c", confined); !strings.HasPrefix(out, strings.TrimSuffix(isStrict, "lo")) {
		t.Errorf("after a restart: %s", out)
	}
	e.brig("commit", "sealed", "kept")
	if out := e.brig("run", "--rm", "--read-only=false", "-u", "0", "kept", "sh", "-c", "id -u; touch /x && echo writable"); out != "0\nwritable" {
		t.Errorf("an image of it: %s", out)
	}
	if out := e.brig("policy", "check", "run", "--level", "strict", "-u", "1000", "--rm", "box", "true"); !strings.Contains(out, "level:   strict") {
		t.Errorf("check: %s", out)
	}
}

// asUser is a command as a user of the machine, for whom the socket was opened.
func (e *engine) asUser(uid uint32, cmd *exec.Cmd) *exec.Cmd {
	e.t.Helper()
	for _, c := range []struct {
		path string
		mode os.FileMode
	}{{filepath.Join(e.dir, "run"), 0o711}, {e.socket, 0o666}} {
		if err := os.Chmod(c.path, c.mode); err != nil {
			e.t.Fatal(err)
		}
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	cmd.Env = append(cmd.Env, "HOME="+e.dir)
	return cmd
}

// apply puts a policy in force.
func (e *engine) apply(text string) {
	e.t.Helper()
	path := filepath.Join(e.dir, "policy.toml")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		e.t.Fatal(err)
	}
	e.brig("policy", "apply", "--root", e.dir+"/root", path)
}

func TestEachRelaxationIsForWhomThePolicyNames(t *testing.T) {
	needDevice(t, "/dev/fuse")
	e := startEngine(t).withBusybox()
	profile := filepath.Join(e.dir, "profile.json")
	if err := os.WriteFile(profile, []byte(`{"defaultAction":"SCMP_ACT_ALLOW"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	user := func(args ...string) (string, int) {
		return e.run(e.asUser(1000, e.brigCommand(args...)))
	}
	for _, c := range []struct{ option, program, want, refusal, line string }{
		{"--cap-add SETFCAP", "grep CapBnd /proc/self/status | tr -d '\\t'", "CapBnd:00000000800405fb", "--cap-add SETFCAP", `capabilities = ["SETFCAP"]`},
		{"--cap-add NET_ADMIN", "grep CapBnd /proc/self/status | tr -d '\\t'", "CapBnd:00000000000415fb", "--cap-add NET_ADMIN", `capabilities = ["NET_ADMIN"]`},
		{"--security-opt seccomp=unconfined", "grep Seccomp_filters /proc/self/status | tr -d '\\t'", "Seccomp_filters:1", "--security-opt seccomp=unconfined", `security-opt = ["seccomp=unconfined"]`},
		{"--security-opt seccomp=" + profile, "echo ran", "ran", "--security-opt seccomp=profile", `security-opt = ["seccomp=profile"]`},
		{"--security-opt no-new-privileges=false", "grep NoNewPrivs /proc/self/status | tr -d '\\t'", "NoNewPrivs:0", "--security-opt no-new-privileges=false", `security-opt = ["no-new-privileges=false"]`},
		{"--device /dev/fuse", "[ -c /dev/fuse ] && echo there", "there", "--device /dev/fuse", `devices = ["/dev/fuse"]`},
		{"-p 127.0.0.1:81:80", "echo ran", "ran", "-p 81", `ports = [81]`},
		{"--ulimit nice=1", "echo ran", "ran", "--ulimit nice", `ulimits = ["nice"]`},
		{"--level compat", "grep CapBnd /proc/self/status | tr -d '\\t'", "CapBnd:00000000a80425fb", "--level compat", `levels = ["compat"]`},
	} {
		e.brig("policy", "apply", "--default", "--root", e.dir+"/root")
		args := append(append([]string{"run", "--rm"}, strings.Fields(c.option)...), "box", "sh", "-c", c.program)
		out, code := user(args...)
		if code != 125 || !strings.Contains(out, c.refusal+": the rule policy.toml forbids it") || !strings.Contains(out, c.line+" in a rule [[allow]] with users = [1000]") {
			t.Errorf("%s: exit code %d, %s", c.option, code, out)
		}
		e.apply("[[allow]]\nusers = [1000]\nimages = [\"docker.io/library/box:*\"]\n" + c.line + "\n")
		if out, code := user(args...); (out != c.want || code != 0) && !strings.Contains(out, "CAP_SYS_RESOURCE") { // which not every machine has
			t.Errorf("%s, allowed: exit code %d, %s", c.option, code, out)
		}
		if out, code := user(append([]string{"policy", "check"}, args...)...); code != 0 || !strings.Contains(out, "granted: "+c.line+", by the rule in line 1 of policy.toml") {
			t.Errorf("%s, checked: exit code %d, %s", c.option, code, out)
		}
		if out, code := e.run(e.brigCommand(args...)); code != 125 || !strings.Contains(out, "users = [0]") {
			t.Errorf("%s by root, who has no line: exit code %d, %s", c.option, code, out)
		}
	}
	// Only root applies, and only what is right.
	if out, code := user("policy", "apply", "--root", e.dir+"/root", filepath.Join(e.dir, "policy.toml")); code == 0 || !strings.Contains(out, "sudo brig policy apply") {
		t.Errorf("a user has applied a policy: %s", out)
	}
	if err := os.WriteFile(profile, []byte("level = \"standard\"\nprivileged = true\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	e.refused(1, []string{"line 2: there is no key privileged"}, "policy", "apply", "--root", e.dir+"/root", profile)
	if out := e.brig("policy", "show"); !strings.Contains(out, "user 1000, for images docker.io/library/box:* (line 1)") {
		t.Errorf("show: %s", out)
	}
}

// A policy holds for containers that were made by another one, and outlives the engine.
func TestAPolicyHoldsForEveryStart(t *testing.T) {
	e := startEngine(t).withBusybox()
	e.brig("run", "-d", "--name", "more", "--cap-add", "NET_ADMIN", "box", "sleep", "1000")
	e.brig("create", "--name", "plain", "box", "sleep", "1000")
	e.apply("floor = \"strict\"\n")
	if out := e.brig("exec", "more", "echo", "runs on"); out != "runs on" {
		t.Errorf("%s", out)
	}
	e.brig("stop", "-t", "0", "more")
	e.stop()
	e.start()
	e.refused(1, []string{`capabilities = ["NET_ADMIN"]`, `levels = ["standard"]`}, "start", "more")
	e.refused(1, []string{`levels = ["standard"]`}, "start", "plain")
	if out := e.brig("run", "--rm", "-u", "1000:1000", "box", "sh", "-c", confined); out != isStrict {
		t.Errorf("the floor is the default: %s", out)
	}
	e.brig("cp", "plain:/etc/passwd", filepath.Join(e.dir, "passwd"))
	e.apply("floor = \"strict\"\n[[allow]]\nusers = [\"root\"]\nlevels = [\"standard\"]\n")
	e.brig("start", "plain")
	if err := os.WriteFile(filepath.Join(e.dir, "root", "policy", "policy.json"), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	e.refused(125, []string{"Next: brig policy apply"}, "run", "--rm", "-u", "1000:1000", "box", "true")
}
