package guest

import (
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
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
	rates(t, e)
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

// rates has io.max hold up what is written to the disk of the engines: 4 MiB at one MiB a second, past the page cache.
func rates(t *testing.T, e *engine) {
	write := func(more ...string) time.Duration {
		begin := time.Now()
		e.brig(append(append([]string{"run", "--rm"}, more...), "box", "dd", "if=/dev/zero", "of=/file", "bs=1M", "count=4", "oflag=direct", "conv=fsync")...)
		return time.Since(begin)
	}
	t.Run("io.max", func(t *testing.T) {
		free, held := write(), write("--device-write-bps", "/dev/vdb:1mb")
		if held < 3*time.Second || held < 2*free {
			t.Errorf("%v without a bound, %v with one", free, held)
		}
	})
	t.Run("io.max as it is told", func(t *testing.T) {
		e.brig("run", "-d", "--name", "rates", "--device-read-bps", "/dev/vdb:2mb", "--device-write-bps", "/dev/vdb:1mb",
			"--device-read-iops", "/dev/vdb:30", "--device-write-iops", "/dev/vdb:20", "box", "sleep", "1000")
		groups, _ := filepath.Glob("/sys/fs/cgroup/brig-*/" + e.brig("inspect", "--format", "{{.Id}}", "rates") + "/io.max")
		if len(groups) != 1 || !strings.HasSuffix(text(t, groups[0]), "rbps=2097152 wbps=1048576 riops=30 wiops=20") {
			t.Errorf("%v: %s", groups, text(t, groups[0]))
		}
		e.brig("update", "--pids-limit", "30", "rates") // leaves the rates alone
		if !strings.HasSuffix(text(t, groups[0]), "rbps=2097152 wbps=1048576 riops=30 wiops=20") {
			t.Error(text(t, groups[0]))
		}
		e.brig("rm", "-f", "rates")
	})
	t.Run("no disk", func(t *testing.T) {
		e.refused(t, 125, []string{"/dev/null is no disk"}, "run", "--rm", "--device-write-bps", "/dev/null:1mb", "box", "true")
		e.refused(t, 125, []string{"/dev/nothing is no disk"}, "run", "--rm", "--device-write-bps", "/dev/nothing:1mb", "box", "true")
	})
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
