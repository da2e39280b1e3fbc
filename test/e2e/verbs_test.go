package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// bounds reads a control file of a running container, by its name in either version, where the host shows it.
func (e *engine) bounds(container, controller, v1, v2 string) string {
	e.t.Helper()
	groups, err := os.ReadFile("/proc/" + e.brig("inspect", "-f", "{{.State.Pid}}", container) + "/cgroup")
	if err != nil {
		e.t.Fatal(err)
	}
	found := ""
	for line := range strings.Lines(string(groups)) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		for _, path := range []string{filepath.Join("/sys/fs/cgroup", f[1], f[2], v1), filepath.Join("/sys/fs/cgroup", f[2], v2)} {
			b, err := os.ReadFile(path)
			if err == nil && (f[1] == controller || f[1] == "") {
				found = strings.TrimSpace(string(b))
			}
		}
	}
	return found
}

// counting is a container that writes numbers, and ends with 7 when it is asked to.
func (e *engine) counting(name string) {
	e.t.Helper()
	e.brig("run", "-d", "--name", name, "box", "sh", "-c", "trap 'exit 7' TERM; i=0; while :; do i=$((i+1)); echo $i; sleep 0.02; done")
	e.goesOn(name)
}

func (e *engine) lines(name string) int {
	e.t.Helper()
	return strings.Count(e.brig("logs", name)+"\n", "\n")
}

func (e *engine) goesOn(name string) {
	e.t.Helper()
	before := e.lines(name)
	e.eventually(name+" goes on", func() bool { return e.lines(name) > before+1 })
}

func (e *engine) standsStill(name string) {
	e.t.Helper()
	time.Sleep(50 * time.Millisecond) // what was written before is logged
	before := e.lines(name)
	time.Sleep(200 * time.Millisecond)
	if after := e.lines(name); after != before {
		e.t.Errorf("%s has written %d lines while it was paused", name, after-before)
	}
}

func TestPausedContainers(t *testing.T) {
	e := startEngine(t).withBusybox()
	t.Run("stand still, say so, and go on", func(t *testing.T) {
		e := e.with(t)
		e.counting("pp")
		e.brig("pause", "pp")
		e.standsStill("pp")
		for _, list := range []string{e.brig("ps"), e.docker("ps", "--filter", "status=paused")} {
			if !strings.Contains(list, "(Paused)") {
				t.Errorf("it is not listed as paused:\n%s", list)
			}
		}
		if out := e.docker("inspect", "-f", "{{.State.Status}} {{.State.Paused}} {{.State.Running}}", "pp"); out != "paused true true" {
			t.Errorf("inspect: %s", out)
		}
		e.refused(1, []string{"is already paused"}, "pause", "pp")
		e.refused(1, []string{"try unpause instead"}, "start", "pp")
		e.refused(1, []string{"must be unpaused first"}, "rm", "pp")
		for _, c := range []struct{ words, args string }{{"is paused, unpause the container before exec", "exec pp true"}, {"paused", "attach pp"}, {"is already paused", "pause pp"}} {
			if out, code := e.run(e.dockerCommand(strings.Fields(c.args)...)); code == 0 || !strings.Contains(out, c.words) {
				t.Errorf("docker %s: exit code %d: %s", c.args, code, out)
			}
		}
		if out, code := e.run(e.brigCommand("exec", "pp", "true")); code == 0 || !strings.Contains(out, "unpause the container before exec") {
			t.Errorf("exec: %d %s", code, out)
		}
		if out := e.docker("top", "pp", "-o", "pid,stat,comm"); !strings.Contains(out, "sh") {
			t.Errorf("top: %s", out)
		}
		e.docker("unpause", "pp")
		e.goesOn("pp")
		e.refused(1, []string{"is not paused"}, "unpause", "pp")
		e.brig("rm", "-f", "pp")
	})
	t.Run("end by their signal, or are killed", func(t *testing.T) {
		e := e.with(t)
		for _, c := range []struct {
			end  []string
			code string
		}{{[]string{"stop", "-t", "9"}, "7"}, {[]string{"kill", "-s", "TERM"}, "7"}, {[]string{"kill"}, "137"}} {
			e.counting("kk")
			e.brig("pause", "kk")
			began := time.Now()
			e.brig(append(c.end, "kk")...)
			if out := e.brig("wait", "kk"); out != c.code || time.Since(began) > 8*time.Second {
				t.Errorf("%v: exit code %s after %v", c.end, out, time.Since(began))
			}
			e.brig("rm", "kk")
		}
		e.counting("kk")
		e.docker("pause", "kk")
		e.docker("rm", "-f", "kk")
	})
	t.Run("stay paused while the engine is killed", func(t *testing.T) {
		e := e.with(t)
		e.counting("ss")
		e.brig("pause", "ss")
		for _, victim := range []string{"brigd", "brig-warden"} {
			old := e.pid("brigd")
			if err := unix.Kill(e.pid(victim), unix.SIGKILL); err != nil {
				t.Fatal(err)
			}
			e.eventually("the next engine", func() bool { pid := e.find("brigd"); return pid != 0 && pid != old })
			if out := e.brig("inspect", "-f", "{{.State.Status}}", "ss"); out != "paused" {
				t.Errorf("after the death of %s it is %s", victim, out)
			}
			e.standsStill("ss")
		}
		e.brig("unpause", "ss")
		e.goesOn("ss")
		e.brig("pause", "ss")
		e.stop()
		e.start()
		if out := e.brig("inspect", "-f", "{{.State.Status}} {{.State.Paused}} {{.State.ExitCode}}", "ss"); out != "exited false 7" {
			t.Errorf("after the end of the engine: %s", out)
		}
		e.brig("rm", "ss")
	})
}

func TestUpdateOfRunningContainers(t *testing.T) {
	e := startEngine(t).withBusybox()
	e.brig("run", "-d", "--name", "uu", "-m", "64m", "box", "sleep", "1000")
	defer e.brig("rm", "-f", "uu")
	memory := func() string { return e.bounds("uu", "memory", "memory.limit_in_bytes", "memory.max") }
	check := func(want ...string) {
		t.Helper()
		quota, _, _ := strings.Cut(e.bounds("uu", "cpu", "cpu.cfs_quota_us", "cpu.max"), " ")
		quota = strings.Replace(quota, "max", "-1", 1)
		got := []string{memory(), e.bounds("uu", "pids", "pids.max", "pids.max"), quota}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("memory, processes and quota are %v, want %v", got, want)
		}
	}
	check("67108864", "2048", "-1")
	e.brig("update", "-m", "128m", "--pids-limit", "50", "--cpus", "0.5", "uu")
	check("134217728", "50", "50000")
	e.docker("update", "-m", "32m", "--cpuset-cpus", "0", "--cpu-shares", "512", "uu")
	check("33554432", "50", "50000")
	if out := e.brig("exec", "uu", "grep", "Cpus_allowed_list", "/proc/1/status"); !strings.HasSuffix(out, "\t0") {
		t.Errorf("it is not bound to processor 0: %s", out)
	}
	e.brig("update", "--cpu-quota", "-1", "uu")
	check("33554432", "50", "-1")
	e.refused(1, []string{"--memory-swap -1"}, "update", "--restart", "always", "--memory-swap", "-1", "uu")
	e.refused(1, []string{"-m 1048576", "6m"}, "update", "-m", "1m", "uu")
	if err := unix.Kill(e.pid("brigd"), unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	e.brig("restart", "-t", "0", "uu")
	check("33554432", "50", "-1")
	if out := e.docker("inspect", "-f", "{{.HostConfig.Memory}} {{.HostConfig.PidsLimit}} {{.HostConfig.CpusetCpus}} {{.HostConfig.CpuShares}}", "uu"); out != "33554432 50 0 512" {
		t.Errorf("inspect: %s", out)
	}
}

func TestWhatContainersUse(t *testing.T) {
	e := startEngine(t).withBusybox()
	e.brig("run", "-d", "--name", "busy", "-m", "64m", "box", "sh", "-c", "while :; do :; done")
	e.brig("create", "--name", "idle", "box", "true")
	const format = "{{.Name}} {{.CPUPerc}} {{.MemUsage}} {{.PIDs}}"
	usual := regexp.MustCompile(`^busy (\d+\.\d\d)% [\d.]+[KM]iB / 64MiB 1$`)
	for name, out := range map[string]string{"brig": e.brig("stats", "--no-stream", "--format", format, "busy"),
		"docker": e.docker("stats", "--no-stream", "--format", format, "busy")} {
		m := usual.FindStringSubmatch(out)
		if m == nil {
			t.Errorf("%s stats: %q", name, out)
			continue
		}
		if share, _ := strconv.ParseFloat(m[1], 64); share < 5 || share > 110 {
			t.Errorf("%s stats: a loop uses %v%% of a processor", name, share)
		}
	}
	if out := e.brig("stats", "--no-stream", "-a", "--format", "{{.Name}} {{.MemUsage}}"); !strings.Contains(out, "busy ") || !strings.Contains(out, "idle 0B / 0B") {
		t.Errorf("stats -a: %q", out)
	}
	if out := e.brig("stats", "--no-stream"); strings.Contains(out, "idle") || !strings.HasPrefix(out, "CONTAINER ID   NAME      CPU %") {
		t.Errorf("stats: %q", out)
	}
	e.refused(1, []string{"No such container: nobody"}, "stats", "--no-stream", "nobody")
	var row map[string]string
	if err := json.Unmarshal([]byte(e.brig("stats", "--no-stream", "--format", "json", "busy")), &row); err != nil || len(row) != 9 || row["NetIO"] == "" {
		t.Errorf("%v %v", row, err)
	}
	// A stream holds descriptors as long as its container runs, and no network namespace longer than that.
	cmd := e.brigCommand("stats", "busy")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	readings := func() (n int) {
		links, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", e.pid("brigd")))
		for _, l := range links {
			if to, _ := os.Readlink(l); strings.HasSuffix(to, "/net/dev") || strings.HasSuffix(to, "/cpu.stat") {
				n++
			}
		}
		return n
	}
	e.eventually("descriptors", func() bool { return readings() >= 2 })
	e.brig("rm", "-f", "busy")
	e.eventually("their end", func() bool { return readings() == 0 })
	if err := cmd.Wait(); err != nil {
		t.Errorf("stats of a container that was removed: %v", err)
	}
}

func TestProcessesOfContainers(t *testing.T) {
	e := startEngine(t).withBusybox()
	e.brig("run", "-d", "--name", "tt", "-u", "worker", "box", "sh", "-c", "sleep 1000 & exec sleep 2000")
	pid := e.docker("inspect", "-f", "{{.State.Pid}}", "tt")
	e.eventually("both programs", func() bool {
		return strings.Count(e.brig("top", "tt"), "sleep") == 2 && !strings.Contains(e.brig("top", "tt"), "sh -c")
	})
	for name, out := range map[string]string{"brig": e.brig("top", "tt"), "docker": e.docker("top", "tt")} {
		lines := strings.Split(out, "\n")
		f := strings.Fields(lines[0])
		if strings.Join(f, " ") != "UID PID PPID C STIME TTY TIME CMD" || len(lines) != 3 {
			t.Fatalf("%s top:\n%s", name, out)
		}
		if f = strings.Fields(lines[1]); f[0] != "worker" || f[1] != pid || strings.Join(f[7:], " ") != "sleep 2000" {
			t.Errorf("%s top: process 1 is %v, not %s", name, f, pid)
		}
	}
	if out := e.docker("top", "tt", "aux"); !strings.HasPrefix(out, "USER") || !strings.Contains(out, "COMMAND") {
		t.Errorf("top aux:\n%s", out)
	}
	if out := e.brig("top", "tt", "-eo", "uid,user,args"); !strings.Contains(out, "1000") || strings.Count(out, "worker") != 2 {
		t.Errorf("top -eo:\n%s", out)
	}
	e.refused(1, []string{"--forest", "not supported"}, "top", "tt", "--forest")
	e.brig("stop", "-t", "0", "tt")
	e.refused(1, []string{"is not running"}, "top", "tt")
	e.brig("rm", "tt")
}
