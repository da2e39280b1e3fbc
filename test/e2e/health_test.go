package e2e

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// probes are the processes of probes that hang, as seen from inside.
func (e *engine) probes(name string) (pids []string) {
	e.t.Helper()
	for line := range strings.Lines(e.brig("exec", name, "ps", "-o", "pid,args")) {
		if pid, args, _ := strings.Cut(strings.TrimSpace(line), " "); strings.Contains(args, "sleep 12345") {
			pids = append(pids, pid)
		}
	}
	return pids
}

func TestHealthChecks(t *testing.T) {
	e := startEngine(t).withBusybox()
	// An image with a check; the container decides by a file how it is.
	e.brig("import", "--change", "ENV PATH=/bin", "--change", "HEALTHCHECK --interval=300ms --retries=2 CMD echo looked as $(id -u); test -e /tmp/ok",
		filepath.Join(e.dir, "busybox.tar"), "checked")
	e.brig("run", "-d", "--name", "web", "--read-only", "--tmpfs", "/tmp", "-u", "worker", "--health-timeout", "5s", "checked", "sleep", "1000")
	if out := e.docker("ps", "--format", "{{.Status}}"); !strings.HasSuffix(out, "(health: starting)") {
		t.Errorf("docker ps: %q", out)
	}
	e.brig("exec", "web", "touch", "/tmp/ok")
	e.eventually("health", func() bool { return e.show("{{.State.Health.Status}}", "web") == "healthy" })
	for _, out := range []string{e.brig("ps", "--filter", "health=healthy", "--format", "{{.Names}} {{.Status}}"),
		e.docker("ps", "--filter", "health=healthy", "--format", "{{.Names}} {{.Status}}")} {
		if !strings.HasPrefix(out, "web Up ") || !strings.HasSuffix(out, " (healthy)") {
			t.Errorf("ps: %q", out)
		}
	}
	if out := e.brig("ps", "-q", "--filter", "health=unhealthy"); out != "" {
		t.Errorf("ps: %q", out)
	}
	log := e.docker("inspect", "--format", "{{(index .State.Health.Log 0).ExitCode}} {{(index .State.Health.Log 0).Output}}", "web")
	if log = strings.TrimSpace(log); log != "1 looked as 1000" && log != "0 looked as 1000" {
		t.Errorf("the log of a probe: %q", log)
	}
	old := e.show("{{(index .State.Health.Log 0).Start}}", "web")
	e.killed("brigd")
	e.eventually("other probes", func() bool { return e.show("{{(index .State.Health.Log 0).Start}}", "web") > old })
	if got := e.show("{{.State.Health.Status}}", "web"); got != "healthy" {
		t.Errorf("after a kill of brigd: %s", got)
	}
	e.brig("exec", "web", "rm", "/tmp/ok")
	e.eventually("sickness", func() bool { return e.show("{{.State.Health.Status}}", "web") == "unhealthy" })
	since := e.docker("events", "--since", "10m", "--until", strconv.FormatInt(time.Now().Unix()+1, 10), "--filter", "container=web", "--format", "{{.Action}}")
	for _, want := range []string{"health_status: unhealthy", "exec_create: /bin/sh -c echo looked", "exec_start: /bin/sh -c echo looked", "exec_die"} {
		if !strings.Contains(since, want) {
			t.Errorf("events: no %q in\n%s", want, since)
		}
	}
	e.brig("rm", "-f", "web")
	e.brig("run", "-d", "--name", "unchecked", "--no-healthcheck", "checked", "sleep", "1000")
	if out := e.show("{{json .State.Health}} {{.Config.Healthcheck.Test}}", "unchecked"); !strings.HasSuffix(out, "[NONE]") || strings.Contains(out, "Status") {
		t.Errorf("without a check: %s", out)
	}
}

// TestAProbeThatHangsIsKilled at its timeout, also the one that a killed brigd has left.
func TestAProbeThatHangsIsKilled(t *testing.T) {
	e := startEngine(t).withBusybox()
	for _, user := range []string{"root", "worker"} {
		e.brig("run", "-d", "--name", user, "-u", user, "--health-cmd", "echo begun; sleep 12345; echo never", "--health-interval", "300ms",
			"--health-timeout", "1s", "--health-retries", "2", "box", "sleep", "1000")
		e.eventually("sickness", func() bool { return e.show("{{.State.Health.Status}}", user) == "unhealthy" })
		if out := e.show("{{(index .State.Health.Log 0).ExitCode}} {{(index .State.Health.Log 0).Output}}", user); strings.TrimSpace(out) != "-1 Health check exceeded timeout (1s): begun" {
			t.Errorf("%s: the log of a probe that hangs: %q", user, out)
		}
		if n := len(e.probes(user)); n > 2 { // the shell and what it runs
			t.Errorf("%s: %d processes of probes", user, n)
		}
		e.brig("rm", "-f", user)
	}
	e.brig("run", "-d", "--name", "left", "--health-cmd", "sleep 12345", "--health-interval", "1s", "--health-timeout", "1h", "box", "sleep", "1000")
	var before []string
	e.eventually("a probe", func() bool { before = e.probes("left"); return len(before) > 0 })
	another := func() bool {
		now := e.probes("left")
		return len(now) == len(before) && !slices.ContainsFunc(now, func(pid string) bool { return slices.Contains(before, pid) })
	}
	e.killed("brigd")
	e.eventually("the next probe alone", another)
	if out := e.show("{{.State.Health.Status}} {{len .State.Health.Log}}", "left"); out != "starting 0" {
		t.Errorf("what was cut off counts: %s", out)
	}
	// Nothing that somebody else executes is touched.
	e.brig("exec", "-d", "left", "sleep", "54321")
	before = e.probes("left")
	e.killed("brigd")
	e.eventually("the next probe alone", another)
	if out := e.brig("exec", "left", "ps", "-o", "args"); !strings.Contains(out, "sleep 54321") {
		t.Errorf("what somebody executes is gone:\n%s", out)
	}
	e.brig("rm", "-f", "left")
}

func TestUnhealthyContainersAreRestarted(t *testing.T) {
	e := startEngine(t).withBusybox()
	check := []string{"--health-cmd", "test -e /tmp/ok", "--health-interval", "300ms", "--health-retries", "1"}
	program := []string{"box", "sh", "-c", "touch /tmp/ok; trap 'exit 0' TERM; while :; do sleep 0.05; done"}
	e.brig(append(append([]string{"run", "-d", "--name", "brigs", "--restart-unhealthy"}, check...), program...)...)
	e.docker(append(append([]string{"run", "-d", "--name", "dockers", "--label", "dev.brig.restart-unhealthy=true"}, check...), program...)...)
	e.brig(append(append([]string{"run", "-d", "--name", "neither"}, check...), program...)...)
	for _, name := range []string{"brigs", "dockers", "neither"} {
		e.eventually("health", func() bool { return e.show("{{.State.Health.Status}}", name) == "healthy" })
		e.brig("exec", name, "rm", "/tmp/ok")
	}
	for _, name := range []string{"brigs", "dockers"} {
		e.eventually("the restart of "+name, func() bool {
			return e.show("{{.RestartCount}} {{.State.Status}} {{.State.Health.Status}}", name) == "1 running healthy"
		})
	}
	if got := e.show("{{.RestartCount}} {{.State.Health.Status}}", "neither"); got != "0 unhealthy" {
		t.Errorf("not asked for: %s", got)
	}
	e.brig("stop", "brigs")
	time.Sleep(500 * time.Millisecond)
	if got := e.show("{{.State.Status}}", "brigs"); got != "exited" {
		t.Errorf("stopped by hand, and %s", got)
	}
	e.brig("rm", "-f", "brigs", "dockers", "neither")
}
