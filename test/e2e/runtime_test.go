package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// namedRuntimes is a policy that names the runtimes of this machine and gives them to root.
const namedRuntimes = `
[runtimes.runc]
path = "/usr/sbin/runc"

[runtimes.crun]
path = "/usr/bin/crun"
arguments = ["--cgroup-manager=disabled"]

[[allow]]
users = [0]
runtimes = ["runc", "crun"]
`

// needRuntimes leaves out what needs Debian's packages of two runtimes.
func needRuntimes(t *testing.T) {
	t.Helper()
	for _, path := range []string{"/usr/sbin/runc", "/usr/bin/crun"} {
		if _, err := os.Stat(path); err != nil {
			t.Skip("missing: runc and crun")
		}
	}
}

// A runtime is what the administrator has named, for whom a rule gives it, and with nothing that Brig would have to make in the
// container itself.
func TestOtherRuntimesAreTheAdministrators(t *testing.T) {
	needRuntimes(t)
	e := startEngine(t).withBusybox()
	e.refused(125, []string{"--runtime runc: the administrator's policy names no such runtime; there are brig.", "[runtimes.NAME]"},
		"run", "--runtime", "runc", "box", "true")
	e.apply(namedRuntimes)
	e.refused(125, []string{"--runtime runsc", "there are brig, crun, runc."}, "run", "--runtime", "runsc", "box", "true")
	e.refused(125, []string{"--runtime runc with --init", "--runtime runc with other capabilities"},
		"run", "--runtime", "runc", "--init", "--cap-drop", "ALL", "--cap-add", "NET_ADMIN", "box", "true")
	e.refused(125, []string{"--runtime runc with a mount for reading", "runtime runc with --record", "--runtime runc with level strict"},
		"run", "--runtime", "runc", "--record", "--level", "strict", "-u", "7", "-v", "data:/data:ro", "box", "true")
	e.refused(125, []string{"what another runtime does in its sandbox, only that knows"}, "explain", "run", "--runtime", "crun", "box", "true")
	if out, code := e.run(e.asUser(1000, e.brigCommand("run", "--rm", "--runtime", "runc", "box", "true"))); code != 125 ||
		!strings.Contains(out, `runtimes = ["runc"] in a rule [[allow]] with users = [1000]`) {
		t.Errorf("a user whom no rule names: %d %s", code, out)
	}
	if out := e.docker("info", "-f", "{{.DefaultRuntime}}={{range $name, $_ := .Runtimes}}{{$name}}.{{end}}"); out != "brig=brig.crun.runc." {
		t.Errorf("info: %s", out)
	}
	if out := e.docker("run", "--rm", "--runtime", "crun", "box", "echo", "by crun"); out != "by crun" {
		t.Errorf("docker: %s", out)
	}
	// What was given is taken back for the next start as well.
	e.brig("create", "--name", "later", "--runtime", "runc", "box", "true")
	e.apply("[[allow]]\nusers = [0]\nports = [\"*\"]\n")
	e.refused(1, []string{"runtimes"}, "start", "later")
}

func TestTheDefaultRuntimeIsTheEngines(t *testing.T) {
	needRuntimes(t)
	e := startEngine(t).withBusybox()
	e.apply(namedRuntimes)
	e.stop()
	for _, option := range []string{"-e", "--default-runtime"} {
		e.start(option, "crun")
		if out := e.brig("info", "-f", "{{.DefaultRuntime}}"); out != "crun" {
			t.Errorf("info: %s", out)
		}
		e.brig("run", "--name", "made", "box", "true")
		if out := e.show("{{.HostConfig.Runtime}}", "made"); out != "crun" {
			t.Errorf("a container that names none: %s", out)
		}
		if out := e.brig("run", "--rm", "--runtime", "brig", "box", "cat", "/proc/1/comm"); out != "cat" {
			t.Errorf("one that names Brig: %s", out)
		}
		e.brig("rm", "made")
		e.stop()
	}
	e.start()
	if out := e.brig("info", "-f", "{{.DefaultRuntime}}"); out != "brig" {
		t.Errorf("an engine that was started without: %s", out)
	}
}

// The life of a container that Debian's runc, or crun, makes in a sandbox of Brig's.
func TestOtherRuntimesMakeContainers(t *testing.T) {
	needRuntimes(t)
	e := startEngine(t).withBusybox()
	e.apply(namedRuntimes)
	for _, name := range []string{"runc", "crun"} {
		t.Run(name, func(t *testing.T) { e.with(t).lifeBy(name) })
	}
}

const fence = `grep -E '^(CapBnd|CapEff|NoNewPrivs|Seccomp|Seccomp_filters):' /proc/self/status | tr -d '\t'; unshare -U true 2>/dev/null && echo namespaces;
	mount -t tmpfs none /tmp 2>/dev/null && echo mounts; cat /proc/keys | wc -c; echo 1 2>/dev/null >/proc/sys/kernel/domainname && echo sysctl; ls /proc/1/root/bundle 2>/dev/null; test -d /usr/share && echo host; true`

const fenced = "CapEff:00000000000405fb\nCapBnd:00000000000405fb\nNoNewPrivs:1\nSeccomp:2\nSeccomp_filters:2\n0"

func (e *engine) lifeBy(name string) {
	t := e.t
	run := func(args ...string) []string { return append([]string{"run", "--rm", "--runtime", name}, args...) }
	if out := e.brig(run("box", "sh", "-c", fence)...); out != fenced {
		t.Errorf("its confinement: %s", out)
	}
	out, code := e.run(e.brigCommand(run("-u", "7:8", "-w", "/data", "-v", "kept-"+name+":/data", "--tmpfs", "/scratch:size=1m", "-e", "A=b",
		"box", "sh", "-c", "id -u; pwd; echo $A; df /scratch | grep -c 1024; head -1 /etc/hosts; exit 7")...))
	if want := "7\n/data\nb\n1\n127.0.0.1\tlocalhost\n"; code != 7 || strings.TrimSpace(out) != strings.TrimSpace(want) {
		t.Errorf("%d, %q", code, out)
	}
	e.brig(run("-v", "kept-"+name+":/data", "box", "sh", "-c", "echo kept >/data/file")...)
	if out := e.brig("run", "--rm", "-v", "kept-"+name+":/data", "box", "cat", "/data/file"); out != "kept" {
		t.Errorf("a volume: %s", out)
	}
	if _, code := e.run(e.brigCommand(run("--read-only", "box", "touch", "/file")...)); code == 0 {
		t.Error("a root for reading was written to")
	}
	if _, code := e.run(e.brigCommand(run("--memory", "32m", "box", "tail", "-c", "200m", "/dev/zero")...)); code != 137 {
		t.Errorf("a program that takes more than its memory: %d", code)
	}
	if out, code := e.run(e.brigCommand(run("box", "/nosuch")...)); code == 0 || !strings.Contains(out, "nosuch") {
		t.Errorf("a program that is not there: %d %s", code, out)
	}

	c := "long-" + name
	e.brig("run", "-d", "--name", c, "--runtime", name, "box", "sh", "-c", "trap 'echo ends; exit 3' TERM; echo begins >/file; cat /file; while :; do sleep 0.1; done")
	e.eventually(c+" begins", func() bool { return e.brig("logs", c) == "begins" })
	for _, program := range []string{"", "brigd", "brig-warden"} {
		if program != "" {
			e.killed(program)
		}
		if out := e.brig("exec", "-e", "X=y", c, "sh", "-c", fence+"; echo $X"); out != fenced+"\ny" {
			t.Errorf("exec after a kill of %q: %s", program, out)
		}
	}
	if out, code := e.run(e.brigCommand("exec", c, "sh", "-c", "exit 9")); code != 9 {
		t.Errorf("exec: %d %s", code, out)
	}
	e.brig("pause", c)
	e.brig("unpause", c)
	for _, args := range [][]string{{"cp", c + ":/file", "-"}, {"diff", c}, {"run", "--rm", "--network", "container:" + c, "box", "true"}} {
		if out, code := e.run(e.brigCommand(args...)); code == 0 || !strings.Contains(out, "only that enters it") {
			t.Errorf("%v while it runs: %d %s", args, code, out)
		}
	}
	e.brig("stop", c)
	if out := e.brig("logs", c); out != "begins\nends" || e.exitCode(c) != "3" {
		t.Errorf("stop: %s, %s", out, e.exitCode(c))
	}
	if out := e.brig("diff", c); out != "A /file" {
		t.Errorf("what it changed: %s", out)
	}
	e.brig("start", c)
	e.brig("kill", c)
	e.brig("wait", c)
	if code := e.exitCode(c); code != "137" {
		t.Errorf("kill: %s", code)
	}
	e.brig("rm", c)
	e.brig("volume", "rm", "kept-"+name)
}

// gVisor from the Go module proxy: a kernel of its own for each container.
func TestRunscMakesContainers(t *testing.T) {
	slow(t)
	const path = "/usr/local/bin/runsc"
	if _, err := exec.LookPath(path); err != nil {
		t.Skip("missing: runsc at /usr/local/bin/runsc")
	}
	e := startEngine(t).withBusybox()
	e.apply("[runtimes.runsc]\npath = \"" + filepath.Clean(path) + "\"\n" +
		`arguments = ["--ignore-cgroups", "--network=host", "--overlay2=none"]` + "\n[[allow]]\nusers = [0]\nruntimes = [\"runsc\"]\n")
	if out := e.brig("run", "--rm", "--runtime", "runsc", "-v", "kept:/data", "box", "sh", "-c", "dmesg | grep -c -i gvisor; echo kept >/data/file"); out == "0" {
		t.Errorf("whose kernel is it? %s", out)
	}
	if out := e.brig("run", "--rm", "-v", "kept:/data", "box", "cat", "/data/file"); out != "kept" {
		t.Errorf("a volume: %s", out)
	}
	e.brig("run", "-d", "--name", "apart", "--runtime", "runsc", "-u", "7", "box", "sh", "-c", "echo begins; sleep 1000")
	e.eventually("the program begins", func() bool { return e.brig("logs", "apart") == "begins" })
	e.killed("brigd")
	if out, code := e.run(e.brigCommand("exec", "apart", "sh", "-c", "id -u; exit 9")); code != 9 || strings.TrimSpace(out) != "7" {
		t.Errorf("exec: %d %s", code, out)
	}
	e.brig("rm", "-f", "apart")
	e.brig("volume", "rm", "kept")
}
