package cgroup

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/control"
	"github.com/brig-engine/brig/internal/wire"
)

// ticks is the processor time that a process has had.
func ticks(pid int) int {
	_, rest, _ := strings.Cut(readFile(fmt.Sprintf("/proc/%d/stat", pid)), ") ")
	f := strings.Fields(rest)
	if len(f) < 13 {
		return -1
	}
	user, _ := strconv.Atoi(f[11])
	system, _ := strconv.Atoi(f[12])
	return user + system
}

func TestFrozenGroupStandsStillAndCanBeKilled(t *testing.T) {
	p := live(t)
	g, err := p.Create("ice", usual)
	if err != nil {
		t.Fatal(err)
	}
	cmd := spawn(t, g, "while :; do :; done")
	eventually(t, "it runs", func() bool { return ticks(cmd.Process.Pid) > 0 })
	if g.Frozen() {
		t.Error("it is frozen before it is told so")
	}
	for range 2 { // the second time nothing is to be done
		if err := g.Freeze(true); err != nil {
			t.Fatal(err)
		}
	}
	before := ticks(cmd.Process.Pid)
	time.Sleep(100 * time.Millisecond)
	if after := ticks(cmd.Process.Pid); after != before || !g.Frozen() {
		t.Errorf("frozen %v, and it had %d ticks and has %d", g.Frozen(), before, after)
	}
	if err := g.Freeze(false); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it goes on", func() bool { return ticks(cmd.Process.Pid) > before })
	if err := errors.Join(g.Freeze(true), g.Kill()); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	if err := g.Remove(10 * time.Second); err != nil {
		t.Fatal(err)
	}
	if err := g.Freeze(true); !errdefs.IsNotFound(err) {
		t.Errorf("a group that is gone: %v", err)
	}
}

// Memory with swap has to be raised before memory and lowered after it: both orders work.
func TestBoundsChangeInEveryDirection(t *testing.T) {
	p := live(t)
	g, err := p.Create("change", usual)
	if err != nil {
		t.Fatal(err)
	}
	cmd := spawn(t, g, "sleep 100")
	for _, want := range []wire.Resources{
		{Memory: 256 << 20, Pids: 64, CPUShares: 512, CPUWeight: 59, CPUQuota: 50_000, CPUPeriod: 100_000, CPUMax: "50000 100000"},
		{Memory: 32 << 20, Pids: 16, CPUShares: 1024, CPUWeight: 100, CPUQuota: -1, CPUPeriod: 100_000, CPUMax: "max 100000"},
		{Memory: 64 << 20, MemorySwap: 128 << 20, Pids: 16, CPUShares: 2, CPUWeight: 1},
		{Memory: 16 << 20, Pids: 8, CPUShares: 1024, CPUWeight: 100, CPUQuota: 5_000, CPUPeriod: 10_000, CPUMax: "5000 10000"},
	} {
		if err := g.Update(want); err != nil {
			t.Fatalf("%+v: %v", want, err)
		}
		got := reading(g, "memory", "memory.limit_in_bytes", "memory.max") + " " + reading(g, "pids", "pids.max", "pids.max")
		if s := fmt.Sprint(want.Memory, want.Pids); p.find("memory") != nil && got != s {
			t.Errorf("bounds %s, want %s", got, s)
		}
		if want.CPUQuota != 0 && p.find("cpu") != nil {
			quota, _, _ := strings.Cut(reading(g, "cpu", "cpu.cfs_quota_us", "cpu.max"), " ")
			if s := strconv.FormatInt(want.CPUQuota, 10); quota != s && (s != "-1" || quota != "max") {
				t.Errorf("quota %s, want %s", quota, s)
			}
		}
	}
	if err := g.Update(wire.Resources{Memory: 16 << 20, Pids: 8, CPUPeriod: 10, CPUQuota: 10_000, CPUMax: "10000 10"}); !errdefs.IsInvalidArgument(err) {
		t.Errorf("what the kernel refuses: %v", err)
	}
	if p.find("cpuset") == nil {
		t.Skip("missing: cpuset control group")
	}
	bind := usual
	bind.CpusetCpus = "0"
	for range 2 {
		if err := g.Update(bind); err != nil {
			t.Fatal(err)
		}
		if s := readFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid)); !strings.Contains(s, "Cpus_allowed_list:\t0\n") {
			t.Errorf("it is not bound to processor 0: %s", s)
		}
	}
	if g.Frozen() {
		t.Error("it stands still")
	}
}

func TestReadingsOutliveTheirGroupHarmlessly(t *testing.T) {
	p := live(t)
	g, err := p.Create("read", usual)
	if err != nil {
		t.Fatal(err)
	}
	cmd := spawn(t, g, "while :; do :; done")
	names, fds := g.Readings()
	defer wire.CloseAll(fds)
	if len(names) != len(fds) || !slices.Contains(names, "cpu.stat") {
		t.Fatalf("%v", names)
	}
	b := make([]byte, 4096)
	for i, fd := range fds {
		if n, err := unix.Pread(fd, b, 0); err != nil || n == 0 && !strings.Contains(names[i], "io") {
			t.Errorf("%s: %d bytes, %v", names[i], n, err)
		}
	}
	used := func() string {
		n, _ := unix.Pread(fds[slices.Index(names, "cpu.stat")], b, 0)
		return string(b[:max(n, 0)])
	}
	eventually(t, "time that was used", func() bool { return !strings.HasPrefix(used(), "usage_usec 0\n") })
	if pids, err := g.Processes(); err != nil || !slices.Equal(pids, []string{strconv.Itoa(cmd.Process.Pid)}) {
		t.Errorf("processes: %v %v", pids, err)
	}
	_ = g.Kill()
	cmd.Wait()
	if err := g.Remove(10 * time.Second); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Pread(fds[0], b, 0); err != unix.ENODEV {
		t.Errorf("a reading of what is gone: %v", err)
	}
	if _, err := os.Stat("/proc/self/fd/" + strconv.Itoa(fds[0])); err != nil {
		t.Error(err)
	}
	if names, fds := g.Readings(); len(names)+len(fds) != 0 {
		t.Errorf("readings of what is gone: %v", names)
	}
}

// On version 2 everything is in one hierarchy, and has its own name.
func TestReadingsOfVersion2(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(dir+"/c", 0o700); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"memory.current", "memory.stat", "cpu.stat", "pids.current", "io.stat", "memory.max", "cgroup.procs"} {
		if err := os.WriteFile(dir+"/c/"+file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	fd, err := control.Dir(unix.AT_FDCWD, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	g := &Group{&Parent{hierarchies: []*hierarchy{{v2: true, fd: fd, Hierarchy: wire.Hierarchy{Used: []string{"memory", "cpu", "pids", "blkio"}}}}}, "c"}
	names, fds := g.Readings()
	wire.CloseAll(fds)
	if want := []string{"memory.current", "memory.stat", "cpu.stat", "pids.current", "io.stat"}; !slices.Equal(names, want) || len(fds) != len(want) {
		t.Errorf("%v, want %v", names, want)
	}
}
