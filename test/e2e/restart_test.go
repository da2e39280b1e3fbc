package e2e

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// show is what inspect says with a template.
func (e *engine) show(template, name string) string {
	e.t.Helper()
	return e.brig("inspect", "--format", template, name)
}

// killed kills one of the engine's processes and waits until another brigd has taken over.
func (e *engine) killed(program string) {
	e.t.Helper()
	old := e.pid("brigd")
	if err := unix.Kill(e.pid(program), unix.SIGKILL); err != nil {
		e.t.Fatal(err)
	}
	e.eventually("the next engine", func() bool { pid := e.find("brigd"); return pid != 0 && pid != old })
}

func TestRestartPolicies(t *testing.T) {
	e := startEngine(t).withBusybox()
	e.refused(125, []string{"cannot specify both --restart and --rm"}, "run", "--rm", "--restart", "always", "box", "true")
	if out, code := e.run(e.dockerCommand("run", "--restart", "sometimes", "box", "true")); code != 125 || !strings.Contains(out, "unknown policy 'sometimes'") {
		t.Errorf("docker: %d %s", code, out)
	}
	e.docker("run", "-d", "--name", "few", "--restart", "on-failure:2", "box", "sh", "-c", "exit 4")
	e.eventually("three ends", func() bool { return e.show("{{.State.Status}} {{.RestartCount}}", "few") == "exited 2" })
	events := e.docker("events", "--since", "10m", "--until", strconv.FormatInt(time.Now().Unix()+1, 10), "--filter", "container=few", "--format", "{{.Action}}")
	if got := strings.Join(strings.Fields(events), " "); got != "create start die start die start die" {
		t.Errorf("events: %s", got)
	}
	// A container that runs for good, killed from inside, restarted and updated.
	e.brig("run", "-d", "--name", "good", "--restart", "unless-stopped", "box", "sh", "-c", "trap 'exit 0' USR1; while :; do sleep 0.05; done")
	e.brig("exec", "good", "kill", "-USR1", "1")
	e.eventually("a restart", func() bool { return e.show("{{.State.Status}} {{.RestartCount}}", "good") == "running 1" })
	e.docker("restart", "-t", "0", "good")
	if got := e.show("{{.State.Status}} {{.RestartCount}}", "good"); got != "running 0" {
		t.Errorf("after restart: %s", got)
	}
	if got := e.docker("update", "--restart=no", "good"); got != "good" {
		t.Errorf("update: %q", got)
	}
	e.brig("exec", "good", "kill", "-USR1", "1")
	e.eventually("the end", func() bool { return e.show("{{.State.Status}}", "good") == "exited" })
	// One that waits.
	e.brig("run", "-d", "--name", "bad", "box", "sh", "-c", "exit 5")
	e.brig("update", "--restart", "always", "bad")
	e.brig("start", "bad")
	e.eventually("a long delay", func() bool {
		return e.show("{{.State.Status}} {{gt .RestartCount 4}} {{.State.Running}}", "bad") == "restarting true true"
	})
	for _, out := range []string{e.brig("ps", "--format", "{{.Names}} {{.Status}}"), e.docker("ps", "--format", "{{.Names}} {{.Status}}")} {
		if !strings.HasPrefix(out, "bad Restarting (5) ") || !strings.HasSuffix(out, " ago") {
			t.Errorf("ps: %q", out)
		}
	}
	e.refused(1, []string{"container is restarting: stop the container before removing or force remove"}, "rm", "bad")
	e.docker("stop", "bad")
	if got := e.show("{{.State.Status}} {{.State.ExitCode}}", "bad"); got != "exited 5" {
		t.Errorf("stopped: %s", got)
	}
	e.brig("rm", "bad")
}

// TestKillsInTheDelay: whoever dies between an end and the next start, no run is missing and none is too many.
func TestKillsInTheDelay(t *testing.T) {
	e := startEngine(t).withBusybox()
	host := filepath.Join(e.dir, "host")
	if err := os.Mkdir(host, 0o777); err != nil {
		t.Fatal(err)
	}
	e.brig("run", "-d", "--name", "counted", "--restart", "on-failure:6", "-v", "runs:/runs", "box", "sh", "-c", "echo x >>/runs/n; exit 1")
	// The engine has to know whose this is: a path of the host.
	e.brig("run", "-d", "--name", "mine", "--restart", "on-failure:6", "-v", host+":/h", "box", "sh", "-c", "ls /h && exit 1")
	for _, victim := range []string{"brigd", "brig-warden", "brigd", "brigd", "brig-warden", "brigd"} {
		time.Sleep(300 * time.Millisecond)
		e.killed(victim)
	}
	e.brig("ps")
	for _, name := range []string{"counted", "mine"} {
		e.eventually("the last end", func() bool {
			return e.show("{{.State.Status}} {{.RestartCount}} {{.State.ExitCode}}", name) == "exited 6 1"
		})
	}
	if out := e.brig("run", "--rm", "-v", "runs:/runs", "box", "wc", "-l", "/runs/n"); !strings.HasPrefix(out, "7 ") {
		t.Errorf("runs: %s, want 7", out)
	}
}

// TestContainersComeUpWithTheEngine: after it was stopped, and after the machine has lost everything but its disk.
func TestContainersComeUpWithTheEngine(t *testing.T) {
	e := startEngine(t).withBusybox()
	host := filepath.Join(e.dir, "host")
	if err := os.Mkdir(host, 0o777); err != nil {
		t.Fatal(err)
	}
	long := []string{"box", "sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.05; done"}
	run := func(name string, options ...string) {
		t.Helper()
		e.brig(append(append([]string{"run", "-d", "--name", name}, options...), long...)...)
	}
	run("plain")
	run("always", "--restart", "always", "-v", host+":/h", "-p", "80:80")
	run("unless", "--restart", "unless-stopped")
	run("failing", "--restart", "on-failure")
	run("always-stopped", "--restart", "always")
	run("unless-stopped", "--restart", "unless-stopped")
	run("failing-stopped", "--restart", "on-failure")
	e.brig("create", "--name", "never-started", "--restart", "always", "box", "true")
	for _, name := range []string{"always-stopped", "unless-stopped", "failing-stopped"} {
		e.brig("stop", name)
	}
	running := func(want string) {
		t.Helper()
		var got string
		for range 100 {
			if got = strings.Join(strings.Fields(e.brig("ps", "--format", "{{.Names}}", "--filter", "status=running")), " "); len(got) == len(want) {
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
		time.Sleep(300 * time.Millisecond)
		for _, name := range []string{"plain", "always", "unless", "failing", "always-stopped", "unless-stopped", "failing-stopped", "never-started"} {
			is, should := e.show("{{.State.Running}}", name) == "true", strings.Contains(" "+want+" ", " "+name+" ")
			if is != should {
				t.Errorf("%s runs: %v, %s", name, is, e.show("{{json .State}}", name))
			}
		}
	}
	running("plain always unless failing")
	e.stop()
	e.start()
	running("always unless always-stopped") // failing has ended well

	e.brig("start", "plain", "failing")
	e.brig("stop", "always-stopped")
	e.lose()
	e.start()
	running("always unless failing always-stopped") // how they ended nobody knows, and that is a failure
	if got := e.show("{{.RestartCount}}", "always"); got != "0" {
		t.Errorf("%s restarts are counted", got)
	}
	e.brig("kill", "always", "unless", "failing", "always-stopped")
}

// lose kills everything at once and forgets /run, as a loss of power does.
func (e *engine) lose() {
	e.t.Helper()
	victims := []int{e.pid("brig-keeper"), e.pid("brig-warden"), e.pid("brig-router"), e.pid("brig-store"), e.pid("brigd")}
	for _, id := range strings.Fields(e.brig("ps", "-q")) {
		pid, err := strconv.Atoi(e.show("{{.State.Pid}}", id))
		if err != nil {
			e.t.Fatal(err)
		}
		victims = append(victims, pid)
	}
	for _, pid := range victims {
		if err := unix.Kill(pid, unix.SIGKILL); err != nil {
			e.t.Fatal(err)
		}
	}
	e.eventually("the end", func() bool { return !e.runs("brig-keeper") && !e.runs("brig-warden") && !e.runs("brigd") })
	if err := os.RemoveAll(filepath.Join(e.dir, "run")); err != nil {
		e.t.Fatal(err)
	}
}
