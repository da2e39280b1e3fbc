package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// bounded skips where nothing can bound disk space, and gives what info says of it.
func (e *engine) bounded() string {
	e.t.Helper()
	out := e.brig("info")
	if strings.Contains(out, "no bound for the disk space") {
		e.t.Skip("missing: a way to bound disk space")
	}
	_, rest, ok := strings.Cut(out, "Disk bound:")
	if !ok {
		e.t.Fatalf("info does not say how disk space is bounded:\n%s", out)
	}
	line, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSpace(line)
}

// fill writes until it cannot, and prints how many KiB were written.
const fill = "dd if=/dev/zero of=$0/big bs=64k count=2000 2>/dev/null; du -k $0/big | cut -f1"

// touch makes empty files until it cannot, and prints how many were made.
const touch = "mkdir $0/n; i=0; while [ $i -lt 20000 ] && echo -n 2>/dev/null > $0/n/$i; do i=$((i+1)); done; echo $i"

// TestDiskIsBounded (A2): bytes and inodes of the writable layer and of a volume, by either command line, and again at
// the next start of a container that has filled its disk.
func TestDiskIsBounded(t *testing.T) {
	e := startEngine(t).withBusybox()
	if how := e.bounded(); !strings.Contains(how, "10GiB for each container") && !strings.Contains(how, "project") {
		t.Logf("info: %s", how)
	}
	number := func(out string) int {
		n, err := strconv.Atoi(out)
		if err != nil {
			t.Fatalf("%q", out)
		}
		return n
	}
	for name, out := range map[string]string{
		"brig":   e.brig("run", "--rm", "--storage-opt", "size=20m", "box", "sh", "-c", fill, "/tmp"),
		"docker": e.docker("run", "--rm", "--storage-opt", "size=20m", "box", "sh", "-c", fill, "/root"),
	} {
		if n := number(out); n < 15<<10 || n > 20<<10 {
			t.Errorf("%s: %d KiB of 20 MiB were written", name, n)
		}
	}
	if n := number(e.brig("run", "--rm", "--storage-opt", "size=2m", "box", "sh", "-c", touch, "/tmp")); n < 100 || n > 10000 {
		t.Errorf("%d inodes in 2 MiB", n)
	}
	e.brig("volume", "create", "--opt", "size=10m", "vol")
	if n := number(e.docker("run", "--rm", "-v", "vol:/v", "box", "sh", "-c", fill, "/v")); n < 7<<10 || n > 10<<10 {
		t.Errorf("%d KiB of a volume of 10 MiB were written", n)
	}
	if out := e.docker("volume", "inspect", "-f", "{{.Options.size}}", "vol"); out != "10m" {
		t.Errorf("inspect: %s", out)
	}
	// What is full starts again, and can be emptied.
	e.brig("create", "--name", "full", "--storage-opt", "size=5m", "box", "sh", "-c", "if [ -f /big ]; then rm /big; echo empty; else "+strings.ReplaceAll(fill, "$0", "")+"; fi")
	if n := number(e.brig("start", "-a", "full")); n < 3<<10 || n > 5<<10 {
		t.Errorf("%d KiB of 5 MiB were written", n)
	}
	if out := e.brig("start", "-a", "full"); out != "empty" {
		t.Errorf("%q", out)
	}
	if out := e.docker("inspect", "-f", "{{.HostConfig.StorageOpt.size}}", "full"); out != "5m" {
		t.Errorf("inspect: %s", out)
	}
	e.brig("rm", "full")
	e.brig("volume", "rm", "vol")
	for _, words := range [][]string{{"--storage-opt", "size=1k"}, {"--storage-opt", "size=1000000g"}, {"--storage-opt", "inodes=7"}} {
		if out, code := e.run(e.brigCommand(append(append([]string{"run"}, words...), "box", "true")...)); code != 125 || !strings.Contains(out, words[1]) {
			t.Errorf("%q: %d %s", words, code, out)
		}
	}
}

// TestStateFromBeforeDisksWereBounded: containers and volumes that lie in the engine's directory itself work as before, beside
// new ones that have a bound; and without any bound a size is refused by name.
func TestStateFromBeforeDisksWereBounded(t *testing.T) {
	e := startEngine(t).withBusybox()
	e.bounded()
	e.stop()
	for _, name := range []string{"disk", "disk.img", "disk.dev"} {
		os.Remove(filepath.Join(e.dir, "root", name))
	}
	e.start("--storage-opt", "brig.image=off")
	if out := e.brig("info"); !strings.Contains(out, "no bound for the disk space") {
		t.Skip("missing: a file system without project quota")
	}
	for _, args := range [][]string{{"run", "--storage-opt", "size=5m", "box", "true"}, {"volume", "create", "--opt", "size=5m", "vv"}} {
		if out, code := e.run(e.brigCommand(args...)); code == 0 || !strings.Contains(out, "cannot be bounded") || !strings.Contains(out, "size=5") {
			t.Errorf("%q: %d %s", args, code, out)
		}
	}
	e.brig("create", "--name", "old", "-v", "oldvol:/v", "box", "sh", "-c", "echo x >> /f; echo x >> /v/f; wc -l < /f; wc -l < /v/f")
	e.brig("start", "-a", "old")
	e.stop()
	e.start("--storage-opt", "dm.basesize=9m")
	if out := e.brig("start", "-a", "old"); out != "2\n2" {
		t.Errorf("the old container: %q", out)
	}
	if out := e.brig("info"); !strings.Contains(out, "containers or volumes from before") {
		t.Errorf("%s", out)
	}
	e.brig("rm", "old")
	e.brig("volume", "rm", "oldvol")
	e.stop()
	e.start("--storage-opt", "dm.basesize=9m")
	e.brig("run", "--rm", "-v", "oldvol:/v", "box", "sh", "-c", "echo x > /v/f; echo x >> /v/f")
	if out := e.brig("run", "--rm", "-v", "oldvol:/v", "box", "sh", "-c", "wc -l < /v/f; "+strings.ReplaceAll(fill, "$0", "")); !strings.HasPrefix(out, "2\n") {
		t.Errorf("a new one: %q", out)
	} else if n, _ := strconv.Atoi(out[2:]); n < 5<<10 || n > 9<<10 {
		t.Errorf("%d KiB with --storage-opt dm.basesize=9m", n)
	}
	e.brig("volume", "rm", "oldvol")
	for _, dir := range []string{"containers/*/*", "volumes/*", "trash/*"} {
		e.eventually("an empty "+dir, func() bool {
			left, _ := filepath.Glob(filepath.Join(e.dir, "root", dir))
			return len(left) == 0
		})
	}
}

// TestDiskOfAnEngineThatWasKilled: containers go on, and the next engine finds the same device.
func TestDiskOfAnEngineThatWasKilled(t *testing.T) {
	e := startEngine(t).withBusybox()
	if how := e.bounded(); !strings.HasPrefix(how, "btrfs image") {
		t.Skip("missing: an image; this engine has " + how)
	}
	e.brig("volume", "create", "vol")
	e.brig("run", "-d", "--name", "goes-on", "-v", "vol:/v", "box", "sh", "-c", "while sleep 0.05; do echo x >> /v/f; echo x >> /f; done")
	for range 2 {
		for _, name := range []string{"brig-keeper", "brig-warden", "brig-router", "brigd"} {
			if pid := e.find(name); pid != 0 {
				unix.Kill(pid, unix.SIGKILL)
			}
		}
		e.eventually("the end", func() bool { return !e.runs("brig-keeper") && !e.runs("brig-warden") && !e.runs("brigd") })
		e.start()
		e.brig("exec", "goes-on", "sh", "-c", "a=$(wc -l < /v/f); sleep 0.3; [ $(wc -l < /v/f) -gt $a ]")
		e.brig("run", "--rm", "-v", "vol:/v", "box", "sh", "-c", "a=$(wc -l < /v/f); sleep 0.3; [ $(wc -l < /v/f) -gt $a ]")
	}
	out, err := exec.Command("losetup", "-n", "-O", "NAME", "-j", filepath.Join(e.dir, "root", "disk.img")).Output()
	if devices := strings.Fields(string(out)); err == nil && len(devices) != 1 {
		t.Errorf("devices of the image: %q", devices)
	}
	// A warden alone, with what a crash leaves: a directory that nothing refers to.
	e.killed("brig-warden")
	e.brig("rm", "-f", "goes-on")
	e.brig("volume", "rm", "vol")
}
