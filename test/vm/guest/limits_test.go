package guest

import (
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestKernel61Limits has the controllers of version 2 do what they are told.
func TestKernel61Limits(t *testing.T) {
	e := start(t)
	t.Run("memory.max", func(t *testing.T) {
		out, status := e.try("run", "--name", "hog", "-m", "32m", "box", "tail", "/dev/zero")
		if status != 137 {
			t.Errorf("status %d: %s", status, out)
		}
		out = e.brig("inspect", "--format", "{{.State.OOMKilled}} {{.State.OOMReason}}", "hog")
		if !strings.HasPrefix(out, "true ") || !strings.Contains(out, "limit of 32MiB of memory") || !strings.Contains(out, "--memory") {
			t.Errorf("inspect says %q", out)
		}
	})
	t.Run("pids.max", func(t *testing.T) {
		out, _ := e.try("run", "--rm", "--pids-limit", "8", "box", "sh", "-c", "for i in $(seq 20); do sleep 5 & done")
		if !strings.Contains(out, "can't fork") {
			t.Errorf("%q", out)
		}
	})
	e.brig("run", "-d", "--name", "box", "-m", "64m", "--memory-reservation", "16m", "--memory-swap", "64m", "--pids-limit", "20", "--cpus", "0.2",
		"--cpu-shares", "512", "--cpuset-cpus", "1", "--blkio-weight", "500", "box", "sh", "-c", "while :; do :; done")
	groups, err := filepath.Glob("/sys/fs/cgroup/brig-*/" + e.brig("inspect", "--format", "{{.Id}}", "box"))
	if err != nil || len(groups) != 1 {
		t.Fatalf("control groups %v: %v", groups, err)
	}
	for file, want := range map[string]string{
		"memory.max": "67108864", "memory.low": "16777216", "memory.swap.max": "0", "pids.max": "20", "cpu.max": "20000 100000",
		"cpu.weight": "59", "cpuset.cpus": "1", "cpuset.cpus.effective": "1", "io.weight": "default 4950",
	} {
		t.Run(file, func(t *testing.T) {
			if got := text(t, filepath.Join(groups[0], file)); got != want {
				t.Errorf("%s is %q, want %q", file, got, want)
			}
		})
	}
	t.Run("cpu.max throttles", func(t *testing.T) {
		e.brig("exec", "box", "sleep", "2")
		if n := events(t, filepath.Join(groups[0], "cpu.stat"), "nr_throttled"); n < 3 {
			t.Errorf("throttled in %d periods", n)
		}
	})
	t.Run("update", func(t *testing.T) {
		e.brig("update", "-m", "80m", "--memory-swap", "80m", "--pids-limit", "30", "box")
		if got := text(t, filepath.Join(groups[0], "memory.max")) + " " + text(t, filepath.Join(groups[0], "pids.max")); got != "83886080 30" {
			t.Error(got)
		}
	})
	t.Run("pause", func(t *testing.T) {
		e.brig("pause", "box")
		if n := events(t, filepath.Join(groups[0], "cgroup.events"), "frozen"); n != 1 {
			t.Error("it is not frozen")
		}
		e.brig("unpause", "box")
	})
	t.Run("stats", func(t *testing.T) {
		if out := e.brig("stats", "--no-stream", "--format", "{{.MemUsage}} {{.PIDs}}", "box"); !strings.HasSuffix(out, "/ 80MiB 1") {
			t.Error(out)
		}
	})
	t.Run("devices", func(t *testing.T) { // the program of version 2 refuses what is not in the list
		out, _ := e.try("run", "--rm", "--device", "/dev/loop-control:/dev/loop-control:r", "box", "sh", "-c",
			": </dev/loop-control && echo may read; : >/dev/loop-control")
		if !strings.Contains(out, "may read") || !strings.Contains(out, "can't create /dev/loop-control: Operation not permitted") {
			t.Error(out)
		}
	})
	e.brig("rm", "-f", "box")
}

// events reads a number of a file of names and numbers.
func events(t *testing.T, path, name string) int {
	t.Helper()
	for line := range strings.Lines(text(t, path) + "\n") {
		if f := strings.Fields(line); len(f) == 2 && f[0] == name {
			n, err := strconv.Atoi(f[1])
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("%s has no %s", path, name)
	return 0
}
