package e2e

import (
	"strings"
	"testing"
	"time"
)

func TestInit(t *testing.T) {
	e := startEngine(t).withBusybox()
	t.Run("is process 1 and the program its child", func(t *testing.T) {
		e := e.with(t)
		lines := strings.Split(e.brig("run", "--rm", "--init", "box", "ps", "-o", "pid,args"), "\n")
		if len(lines) != 3 || strings.TrimSpace(lines[1]) != "1 init /bin/ps ps -o pid,args" ||
			!strings.HasSuffix(lines[2], " ps -o pid,args") {
			t.Errorf("%q", lines)
		}
		if out := e.brig("run", "--rm", "box", "sh", "-c", "echo $$"); out != "1" {
			t.Errorf("without --init the program has pid %s", out)
		}
	})
	t.Run("exit codes", func(t *testing.T) {
		e := e.with(t)
		for _, c := range []struct {
			code int
			args []string
		}{{0, []string{"true"}}, {7, []string{"sh", "-c", "exit 7"}}, {143, []string{"sh", "-c", "kill -TERM $$"}},
			{127, []string{"nothing"}}, {126, []string{"/etc/passwd"}}} {
			cmd := e.brigCommand(append([]string{"run", "--rm", "--init", "box"}, c.args...)...)
			if out, code := e.run(cmd); code != c.code {
				t.Errorf("%v: exit code %d, want %d\n%s", c.args, code, c.code, out)
			}
		}
	})
	t.Run("a stop ends a program that has no handler", func(t *testing.T) {
		e := e.with(t)
		e.brig("run", "-d", "--init", "--name", "idle", "box", "sleep", "600")
		if out := e.brig("exec", "idle", "cat", "/proc/1/comm"); out != "init" {
			t.Errorf("process 1 is %s", out)
		}
		begin := time.Now()
		e.brig("stop", "-t", "30", "idle")
		if d := time.Since(begin); d > 10*time.Second {
			t.Errorf("it took %v", d)
		}
		if out := e.brig("inspect", "--format", "{{.State.ExitCode}} {{.HostConfig.Init}}", "idle"); out != "143 true" {
			t.Errorf("inspect: %q", out)
		}
		e.brig("rm", "idle")
	})
	t.Run("docker run --init", func(t *testing.T) {
		e := e.with(t)
		out := e.docker("run", "--rm", "--init", "-u", "worker", "box", "sh", "-c", "id -u; cat /proc/1/comm")
		if out != "1000\ninit" {
			t.Errorf("%q", out)
		}
	})
}
