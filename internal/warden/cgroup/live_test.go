package cgroup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/wire"
)

// live makes a parent of its own in this machine's hierarchies and takes it away again.
func live(t *testing.T) *Parent {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("missing: root")
	}
	h, err := Discover()
	if err != nil {
		t.Skip("missing: control groups: " + err.Error())
	}
	return liveOn(t, h)
}

func liveOn(t *testing.T, h *Host) *Parent {
	t.Helper()
	if h.Version() == "2" && h.unified.base != h.unified.mount {
		t.Skip("missing: a root control group (the test would move other processes)")
	}
	name := "brigtest-" + strconv.Itoa(os.Getpid()) + "-" + strconv.Itoa(int(time.Now().UnixNano()%1e9))
	p, err := h.Parent(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ids, err := p.List()
		if err != nil {
			t.Error(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		for _, id := range ids {
			g, _ := p.Open(id)
			_ = g.Kill(ctx)
			if err := g.Remove(ctx); err != nil {
				t.Error(err)
			}
		}
		p.Close()
		for _, hi := range h.hierarchies {
			if err := os.Remove(filepath.Join(hi.base, name)); err != nil {
				t.Error(err)
			}
		}
	})
	return p
}

var usual = wire.Resources{Memory: 64 << 20, CPUShares: 1024, Pids: 32}

// spawn runs a shell script in g: it is started in the group of version 2, and enters the others by itself.
func spawn(t *testing.T, g *Group, script string) *exec.Cmd {
	t.Helper()
	a, err := g.Attach()
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	cmd := exec.Command("/bin/sh", "-c", script)
	if a.Dir >= 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: a.Dir}
	}
	enter := ""
	for i, fd := range a.Tasks {
		dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		f := os.NewFile(uintptr(dup), "tasks")
		defer f.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, f)
		enter += fmt.Sprintf("echo 0 >&%d; exec %d>&-; ", i+3, i+3)
	}
	cmd.Args[2] = enter + script
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	return cmd
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 500 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("never: " + what)
}

func TestContainerIsBoundInEveryHierarchyAndDiesAtOnce(t *testing.T) {
	p := live(t)
	g, err := p.Create("c1", usual)
	if err != nil {
		t.Fatal(err)
	}
	cmd := spawn(t, g, "sleep 100 & sleep 100 & wait")
	eventually(t, "three processes", func() bool { l, _ := g.Procs(); return len(l) == 3 })
	var s Stats
	eventually(t, "pids reading", func() bool { s, err = g.Stats(); return err == nil && s.Pids.Current == 3 })
	if s.Memory.Limit != 64<<20 || s.Pids.Limit != 32 || s.Memory.Usage == 0 || s.CPU.Usage == 0 {
		t.Errorf("readings: %+v", s)
	}
	if _, err := p.Create("c1", usual); !errors.Is(err, errdefs.ErrAlreadyExists) {
		t.Errorf("second create of one id: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := g.Freeze(ctx); err != nil {
		t.Fatal(err)
	}
	if err := g.Kill(ctx); err != nil {
		t.Fatal(err)
	}
	err = cmd.Wait()
	if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || ws.Signal() != syscall.SIGKILL {
		t.Errorf("ended with %v", err)
	}
	if err := g.Remove(ctx); err != nil {
		t.Fatal(err)
	}
	if ids, err := p.List(); err != nil || len(ids) != 0 {
		t.Errorf("left behind: %v %v", ids, err)
	}
	if err := g.Remove(ctx); err != nil {
		t.Errorf("second removal: %v", err)
	}
	if _, err := g.Stats(); !errors.Is(err, errdefs.ErrNotFound) {
		t.Errorf("readings of a removed group: %v", err)
	}
}

func TestForkBombEndsAtItsLimit(t *testing.T) {
	p := live(t)
	if p.host.find("pids") == nil {
		t.Skip("missing: pids control group")
	}
	g, err := p.Create("bomb", usual)
	if err != nil {
		t.Fatal(err)
	}
	spawn(t, g, "i=0; while [ $i -lt 100 ]; do sleep 100 & i=$((i+1)); done; wait")
	eventually(t, "the limit", func() bool { s, _ := g.Stats(); return s.Pids.Current >= 30 })
	if s, _ := g.Stats(); s.Pids.Current > 32 {
		t.Errorf("%d processes", s.Pids.Current)
	}
}

func TestMemoryHogIsKilledAndCounted(t *testing.T) {
	p := live(t)
	if p.host.find("memory") == nil {
		t.Skip("missing: memory control group")
	}
	g, err := p.Create("hog", wire.Resources{Memory: 16 << 20, Pids: 8})
	if err != nil {
		t.Fatal(err)
	}
	spawn(t, g, "x=xxxxxxxxxxxxxxxx; while :; do x=$x$x; done").Wait()
	if n, err := g.OOMKills(); err != nil || n == 0 {
		t.Errorf("out-of-memory kills: %d %v", n, err)
	}
}

func TestUpdateRaisesAndLowersInAnyOrder(t *testing.T) {
	p := live(t)
	g, err := p.Create("u", usual)
	if err != nil {
		t.Fatal(err)
	}
	spawn(t, g, "sleep 100")
	for _, m := range []int64{128 << 20, 1 << 30, 32 << 20} {
		if err := g.Update(wire.Resources{Memory: m, CPUPeriod: 50000, CPUQuota: 25000, Pids: 7}); err != nil {
			t.Fatal(err)
		}
		if s, _ := g.Stats(); p.host.find("memory") != nil && s.Memory.Limit != m || s.Pids.Limit != 7 {
			t.Errorf("after %d: %+v", m, s)
		}
	}
	if err := g.Update(wire.Resources{CPUPeriod: 100000, CPUQuota: -1}); err != nil {
		t.Error(err)
	}
	if err := g.Update(wire.Resources{MemorySwap: 1 << 20}); err == nil {
		t.Error("memory and swap together below memory was taken")
	}
	mem := []wire.DeviceRule{{Type: "c", Major: 1, Minor: 1, Access: "r"}}
	if err := g.Update(wire.Resources{Devices: mem}); err == nil {
		t.Error("devices of a running container were changed, or ignored")
	}
}

func TestUpdateMovesProcessesIntoCpuset(t *testing.T) {
	p := live(t)
	if p.host.find("cpuset") == nil {
		t.Skip("missing: cpuset control group")
	}
	g, err := p.Create("set", usual)
	if err != nil {
		t.Fatal(err)
	}
	cmd := spawn(t, g, "sleep 100 & wait")
	eventually(t, "two processes", func() bool { l, _ := g.Procs(); return len(l) == 2 })
	if err := g.Update(wire.Resources{CpusetCpus: "0"}); err != nil {
		t.Fatal(err)
	}
	status := readPath(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
	if !strings.Contains(status, "Cpus_allowed_list:\t0\n") {
		t.Error("the process may still use other processors")
	}
	g2, err := p.Create("set2", wire.Resources{Memory: 64 << 20, Pids: 32, CpusetCpus: "0", CpusetMems: "0"})
	if err != nil {
		t.Fatal(err)
	}
	cmd = spawn(t, g2, "echo ready; sleep 100")
	eventually(t, "bound from birth", func() bool {
		return strings.Contains(readPath(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid)), "Cpus_allowed_list:\t0\n")
	})
}

func TestGroupsThatAContainerMadeAreKilledAndRemoved(t *testing.T) {
	p := live(t)
	g, err := p.Create("nest", usual)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range p.host.hierarchies {
		if !h.lazy() {
			if err := os.MkdirAll(fmt.Sprintf("/proc/self/fd/%d/nest/a/b", h.fd), 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	cmd := spawn(t, g, "sleep 100")
	if h := p.host.unified; h != nil {
		if err := g.write(h, "a/b/cgroup.procs", strconv.Itoa(cmd.Process.Pid)); err != nil {
			t.Fatal(err)
		}
	}
	if l, err := g.Procs(); err != nil || !slices.Contains(l, cmd.Process.Pid) {
		t.Errorf("processes: %v %v", l, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := g.Kill(ctx); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	if err := g.Remove(ctx); err != nil {
		t.Fatal(err)
	}
}

func TestVersion1AloneKillsWhatForks(t *testing.T) {
	mounts := readPath("/proc/self/mountinfo")
	var lines []string
	for line := range strings.Lines(mounts) {
		switch {
		case strings.Contains(line, " - cgroup2 "):
		case strings.HasSuffix(line, ",cpuset\n"): // first: most containers have no group there
			lines = append([]string{line}, lines...)
		default:
			lines = append(lines, line)
		}
	}
	h, err := discover(strings.Join(lines, ""), readPath("/proc/self/cgroup"))
	if err != nil || h.find("freezer") == nil || h.find("devices") == nil {
		t.Skip("missing: freezer and devices control groups of version 1")
	}
	p := liveOn(t, h)
	g, err := p.Create("v1", usual)
	if err != nil {
		t.Fatal(err)
	}
	cmd := spawn(t, g, "while :; do /bin/true; done & while :; do /bin/true; done")
	eventually(t, "it runs", func() bool { l, _ := g.Procs(); return len(l) >= 2 })
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := g.Freeze(ctx); err != nil {
		t.Fatal(err)
	}
	before, _ := g.Stats()
	time.Sleep(30 * time.Millisecond)
	if after, _ := g.Stats(); after.CPU.Usage != before.CPU.Usage || after.CPU.Usage == 0 {
		t.Errorf("ran on while frozen: %d, %d ns", before.CPU.Usage, after.CPU.Usage)
	}
	if err := g.Thaw(); err != nil {
		t.Fatal(err)
	}
	// The shell is this test's child and must be reaped while Kill looks for what is left.
	done := make(chan struct{})
	go func() { cmd.Wait(); close(done) }()
	if err := g.Kill(ctx); err != nil {
		t.Fatal(err)
	}
	<-done
	if err := g.Remove(ctx); err != nil {
		t.Fatal(err)
	}
}

func BenchmarkCreate(b *testing.B) {
	h, err := Discover()
	if err != nil {
		b.Skip("missing: control groups")
	}
	p, err := h.Parent("brigbench-" + strconv.Itoa(os.Getpid()))
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		p.Close()
		for _, hi := range h.hierarchies {
			os.Remove(filepath.Join(hi.base, "brigbench-"+strconv.Itoa(os.Getpid())))
		}
	}()
	for i := 0; b.Loop(); i++ {
		g, err := p.Create("b"+strconv.Itoa(i), usual)
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := g.Remove(context.Background()); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
