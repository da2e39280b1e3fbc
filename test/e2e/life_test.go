package e2e

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestLifeOfAContainer(t *testing.T) {
	e := startEngine(t).withBusybox()
	t.Run("run", func(t *testing.T) {
		e := e.with(t)
		if out := e.brig("run", "--rm", "box", "echo", "hello"); out != "hello" {
			t.Errorf("%q", out)
		}
		for _, c := range []struct {
			code int
			args []string
		}{{7, []string{"box", "sh", "-c", "exit 7"}}, {127, []string{"box", "nothing"}}, {126, []string{"box", "/etc/passwd"}},
			{125, []string{"--memory", "1k", "box", "true"}}, {137, []string{"box", "sh", "-c", "kill -9 $$; sleep 1"}}} {
			if out, code := e.run(e.brigCommand(append([]string{"run", "--rm"}, c.args...)...)); c.code != 137 && code != c.code {
				t.Errorf("%v: exit code %d, want %d\n%s", c.args, code, c.code, out)
			}
		}
		if out := e.brig("ps", "-aq"); out != "" {
			t.Errorf("left behind: %q", out)
		}
	})
	t.Run("confinement as seen from inside", func(t *testing.T) {
		e := e.with(t)
		out := e.brig("run", "--rm", "box", "grep", "-E", "^(Uid|CapBnd|NoNewPrivs|Seccomp):", "/proc/self/status")
		for _, want := range []string{"NoNewPrivs:\t1", "Seccomp:\t2", "Uid:\t0"} {
			if !strings.Contains(out, want) {
				t.Errorf("%q is not in\n%s", want, out)
			}
		}
	})
	t.Run("options reach the program", func(t *testing.T) {
		e := e.with(t)
		for _, c := range []struct {
			want string
			args []string
		}{
			{"1000 1000", []string{"-u", "worker", "box", "sh", "-c", "echo $(id -u) $(id -g)"}},
			{"x=1", []string{"-e", "x=1", "box", "sh", "-c", "env | grep ^x="}},
			{"/data", []string{"-w", "/data", "box", "pwd"}},
			{"name", []string{"-h", "name", "box", "hostname"}},
			{"in", []string{"--entrypoint", "echo", "box", "in"}},
			{"300", []string{"--ulimit", "nofile=300:300", "box", "sh", "-c", "ulimit -n"}},
			{"Read-only", []string{"--read-only", "box", "sh", "-c", "touch /x 2>&1 | grep -o Read-only"}},
			{"1.0M", []string{"--tmpfs", "/t:size=1m", "box", "sh", "-c", "df -h /t | tail -n 1 | grep -o 1.0M | head -n 1"}},
			{"tmpfs", []string{"--shm-size", "1m", "box", "sh", "-c", "grep ' /dev/shm ' /proc/mounts | grep -o ^tmpfs || echo tmpfs"}},
			{"lo", []string{"--network", "none", "box", "ls", "/sys/class/net"}},
		} {
			if out := e.brig(append([]string{"run", "--rm"}, c.args...)...); out != c.want {
				t.Errorf("%v: %q, want %q", c.args, out, c.want)
			}
		}
	})
	t.Run("detached, logs, exec, stop, start, rm", func(t *testing.T) {
		e := e.with(t)
		id := e.brig("run", "-d", "--name", "life", "box", "sh", "-c", "echo started; trap 'echo bye; exit 5' TERM; while :; do sleep 0.1; done")
		e.eventually("the log", func() bool { return strings.Contains(e.brig("logs", "life"), "started") })
		if out := e.brig("exec", "-e", "y=2", "life", "sh", "-c", "echo $y; cat /proc/1/comm"); out != "2\nsh" {
			t.Errorf("exec: %q", out)
		}
		if out, code := e.run(e.brigCommand("exec", "life", "sh", "-c", "exit 3")); code != 3 {
			t.Errorf("exec: %d %s", code, out)
		}
		if out := e.brig("ps", "--format", "{{.Names}} {{.Image}}"); out != "life box" {
			t.Errorf("ps: %q", out)
		}
		e.brig("stop", "-t", "5", "life")
		if out := e.brig("inspect", "--format", "{{.State.Status}} {{.State.ExitCode}} {{.Id}}", "life"); out != "exited 5 "+id {
			t.Errorf("inspect: %q", out)
		}
		if out := e.brig("logs", "life"); !strings.HasSuffix(out, "bye") {
			t.Errorf("logs: %q", out)
		}
		e.brig("start", "life")
		e.brig("kill", "life")
		if out := e.brig("wait", "life"); out != "137" {
			t.Errorf("wait: %q", out)
		}
		e.brig("rm", "life")
	})
	t.Run("volumes keep data and owners", func(t *testing.T) {
		e := e.with(t)
		if out := e.brig("run", "--rm", "-v", "vol:/data", "box", "sh", "-c", "cat /data/hello; echo more > /data/x; stat -c %u /data/hello"); out != "from the image\n1000" {
			t.Errorf("%q", out)
		}
		if out := e.brig("run", "--rm", "-v", "vol:/other:ro", "box", "sh", "-c", "cat /other/x; touch /other/y 2>&1 | grep -o Read-only"); out != "more\nRead-only" {
			t.Errorf("%q", out)
		}
		e.brig("volume", "rm", "vol")
	})
	t.Run("standard input", func(t *testing.T) {
		e := e.with(t)
		cmd := e.brigCommand("run", "--rm", "-i", "box", "cat")
		cmd.Stdin = strings.NewReader("through the engine\n")
		if out := e.must(cmd); out != "through the engine" {
			t.Errorf("%q", out)
		}
	})
	t.Run("much output arrives whole", func(t *testing.T) {
		e := e.with(t)
		out := e.brig("run", "--rm", "box", "seq", "1", "50000")
		if n := strings.Count(out, "\n"); n != 49999 {
			t.Errorf("%d lines", n+1)
		}
	})
	t.Run("memory is bounded", func(t *testing.T) {
		e := e.with(t)
		id := e.brig("run", "-d", "-m", "32m", "box", "sh", "-c", "dd if=/dev/zero of=/dev/null bs=200M count=1")
		e.brig("wait", id)
		if out := e.brig("inspect", "--format", "{{.State.OOMKilled}}", id); out != "true" {
			t.Errorf("inspect: %q\n%s", out, e.brig("logs", id))
		}
		const why = "limit of 32MiB of memory (--memory). Next: brig update --memory SIZE "
		if out := e.brig("inspect", "--format", "{{.State.OOMReason}}", id); !strings.Contains(out, why) {
			t.Errorf("inspect does not say %q: %s", why, out)
		}
		now := time.Now().Format(time.RFC3339Nano)
		if out := e.docker("events", "--since", "1h", "--until", now, "--filter", "event=oom", "--format", "{{.Actor.Attributes.reason}}"); !strings.Contains(out, why) {
			t.Errorf("the event does not say %q: %s", why, out)
		}
		e.brig("rm", id)
		e.refused(137, []string{"out of memory", "limit of 32MiB of memory (--memory). Next: a larger --memory"}, "run", "--rm", "-m", "32m", "box", "dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1")
	})
}

// with is the engine with another test to report to.
func (e *engine) with(t testing.TB) *engine {
	c := *e
	c.t = t
	return &c
}

func TestPublishedPorts(t *testing.T) {
	e := startEngine(t).withBusybox()
	e.brig("run", "-d", "--name", "web", "-p", "8080:80", "box", "sh", "-c", "while :; do echo hello | nc -l -p 80; done")
	for _, addr := range []string{"127.0.0.1:8080", "[::1]:8080"} {
		e.eventually(addr, func() bool { return e.answers(addr) })
	}
	e.refused(125, []string{"8080", "in use"}, "run", "--rm", "-p", "8080:80", "box", "true")
	if out := e.brig("ps", "-q"); strings.Count(out, "\n") != 0 {
		t.Errorf("%q", out)
	}
	address := e.brig("inspect", "--format", "{{.NetworkSettings.Networks.bridge.IPAddress}}", "web")
	out, code := e.run(e.brigCommand("run", "--rm", "box", "sh", "-c", "nc -w 2 "+address+" 80"))
	if code == 0 || strings.Contains(out, "hello") {
		t.Errorf("a container reached its neighbour: %q", out)
	}
	e.brig("rm", "-f", "web")
}

func TestCrashesAreSurvived(t *testing.T) {
	e := startEngine(t).withBusybox()
	kill := func(names ...string) {
		old := e.pid("brigd")
		var pids []int // found first: brigd ends by itself when its warden is gone
		for _, n := range names {
			pids = append(pids, e.pid(n))
		}
		for _, pid := range pids {
			if err := unix.Kill(pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
				t.Fatal(err)
			}
		}
		e.brig("ps") // at once: whoever asks waits for the next engine, or is answered by the last breath of this one
		e.eventually("the next engine", func() bool { pid := e.find("brigd"); return pid != 0 && pid != old })
	}
	for i, victims := range [][]string{{"brigd"}, {"brig-warden"}, {"brig-router"}, {"brig-store"}, {"brig-warden", "brigd"}, {"brig-warden", "brig-router"}} {
		name := fmt.Sprintf("c%d", i)
		e.brig("run", "-d", "--name", name, "-p", "9000:80", "box", "sh", "-c", "i=0; while [ ! -e /data/stop ]; do i=$((i+1)); echo line $i; sleep 0.02; done; exit 9")
		time.Sleep(200 * time.Millisecond)
		kill(victims...)
		if out := e.brig("ps", "--format", "{{.Names}}"); out != name {
			t.Fatalf("after the death of %v: %q", victims, out)
		}
		time.Sleep(300 * time.Millisecond)
		e.brig("exec", name, "touch", "/data/stop")
		if out := e.brig("wait", name); out != "9" {
			t.Errorf("after the death of %v: exit code %s", victims, out)
		}
		last, again := 0, 0
		for _, l := range strings.Split(e.brig("logs", name), "\n") {
			var n int
			if _, err := fmt.Sscanf(l, "line %d", &n); err != nil || n > last+1 {
				t.Fatalf("after the death of %v: after line %d comes %q", victims, last, l)
			}
			if n <= last {
				again++ // each at least once: a kill after a line was written and before that was noted repeats it
			}
			last = n
		}
		if last < 10 || again > 5 {
			t.Errorf("after the death of %v: the last line is %d, %d are repeated", victims, last, again)
		}
		e.brig("rm", name)
	}
}

// Whoever dies while --rm containers end: nothing of them is left. What was created and not started is not theirs.
func TestCrashesLeaveNothingOfRemovedContainers(t *testing.T) {
	e := startEngine(t).withBusybox()
	var stop atomic.Bool
	var ended atomic.Int32
	var runs sync.WaitGroup
	for i := range 4 {
		runs.Go(func() {
			for !stop.Load() {
				cmd := e.brigCommand("run", "--rm", "box", "sh", "-c", fmt.Sprintf("echo text; echo x > /data/x; exit %d", 10+i))
				switch out, err := cmd.CombinedOutput(); {
				case err == nil:
					t.Errorf("run: no exit code\n%s", out)
				case cmd.ProcessState.ExitCode() == 10+i:
					ended.Add(1)
				}
			}
		})
	}
	for i, victim := range []string{"brigd", "brig-warden", "brigd", "brigd", "brig-warden", "brigd", "brig-warden"} {
		before := ended.Load()
		e.eventually("containers that end", func() bool { return ended.Load() > before+3 })
		time.Sleep(time.Duration(i) * 3 * time.Millisecond)
		if err := unix.Kill(e.pid(victim), unix.SIGKILL); err != nil {
			t.Error(err)
		}
	}
	stop.Store(true)
	runs.Wait()
	var list []string
	e.eventually("the end of what still ran", func() bool {
		list = strings.Fields(e.brig("ps", "-a", "--no-trunc", "--format", "{{.ID}}/{{.State}}"))
		return !slices.ContainsFunc(list, func(l string) bool { return !strings.HasSuffix(l, "/created") })
	})
	for _, l := range list { // whose client lost the engine between the creation and the start
		e.brig("rm", strings.TrimSuffix(l, "/created"))
	}
	left := func() (found []string) {
		for _, dir := range []string{"root/containers/*", "root/trash", "root/daemon/logs", "run/containers", "run/fifo",
			"run/daemon/containers", "run/daemon/running", "run/daemon/spool"} {
			some, _ := filepath.Glob(filepath.Join(e.dir, dir, "*"))
			found = append(found, some...)
		}
		return found
	}
	for end := time.Now().Add(10 * time.Second); len(left()) > 0 && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
	}
	if found := left(); len(found) > 0 {
		t.Errorf("left: %v", found)
	}
}

func TestEngineStopEndsContainersByTheirSignal(t *testing.T) {
	e := startEngine(t).withBusybox()
	e.brig("run", "-d", "--name", "polite", "-v", "vol:/v", "box", "sh", "-c", "trap 'echo bye > /v/f; exit 0' TERM; touch /v/ready; while :; do sleep 0.05; done")
	e.eventually("readiness", func() bool { _, code := e.run(e.brigCommand("exec", "polite", "ls", "/v/ready")); return code == 0 })
	e.stop()
	for _, program := range []string{"brigd", "brig-router", "brig-store", "brig-warden", "brig-keeper"} {
		if e.runs(program) {
			t.Errorf("%s still runs", program)
		}
	}
	e.start()
	if out := e.brig("run", "--rm", "-v", "vol:/v", "box", "cat", "/v/f"); out != "bye" {
		t.Errorf("%q", out)
	}
	if out := e.brig("ps", "-a", "--format", "{{.Names}} {{.State}}"); out != "polite exited" {
		t.Errorf("%q", out)
	}
	e.brig("start", "polite")
	e.brig("rm", "-f", "-v", "polite")
	e.brig("volume", "rm", "vol")
}

// TestTheSameOptionsFindAnEngine: what starts one also stops it, and nothing else does.
func TestTheSameOptionsFindAnEngine(t *testing.T) {
	e := startEngine(t)
	run, other := e.dir+"/run", e.dir+"/other"
	for _, verb := range []string{"status", "stop"} {
		e.refused(1, []string{"--root " + other, e.dir + "/root"}, "engine", verb, "--run", run, "--root", other)
		e.refused(1, []string{"--socket " + other, e.socket}, "engine", verb, "--run", run, "--socket", other)
		e.refused(1, []string{other}, "engine", verb, "--run", other)
	}
	place := []string{"--root", e.dir + "/root", "--run", run, "--socket", e.socket}
	if out := e.brig(append([]string{"engine", "status"}, place...)...); !strings.Contains(out, "running, version") {
		t.Errorf("status: %q", out)
	}
	e.brig(append([]string{"engine", "stop"}, place...)...)
	e.start()
}
