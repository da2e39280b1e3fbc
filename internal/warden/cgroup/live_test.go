package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
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

	"github.com/brig-engine/brig/internal/cli/launch/groups"
	"github.com/brig-engine/brig/internal/kernel/control"
	"github.com/brig-engine/brig/internal/kernel/mount"
	"github.com/brig-engine/brig/internal/wire"
)

// live makes a parent of its own in this machine's hierarchies and takes it away again.
func live(t *testing.T) *Parent {
	t.Helper()
	return liveOn(t, control.Root)
}

func liveOn(t *testing.T, root func([]string) (int, error)) *Parent {
	t.Helper()
	p, err := openParent(makeGroups(t), root, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ids, err := p.List()
		if err != nil {
			t.Error(err)
		}
		for _, id := range ids {
			g := p.Open(id)
			_ = g.Kill()
			if err := g.Remove(10 * time.Second); err != nil {
				t.Error(err)
			}
		}
		if err := p.Remove(); err != nil {
			t.Error(err)
		}
		p.Close()
	})
	return p
}

// makeGroups makes the groups of an engine, as its start does.
func makeGroups(t testing.TB) wire.Groups {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("missing: root")
	}
	self := readFile("/proc/self/cgroup")
	if strings.HasPrefix(self, "0::/") && strings.TrimSpace(self) != "0::/" && !strings.Contains(self, "\n") {
		t.Skip("missing: a root control group (the test would move other processes)")
	}
	made, _, err := groups.Make("brigtest-" + strconv.Itoa(os.Getpid()) + "-" + strconv.Itoa(int(time.Now().UnixNano()%1e9)))
	if err != nil {
		t.Fatal(err)
	}
	return made
}

var usual = wire.Resources{Memory: 64 << 20, CPUShares: 1024, CPUWeight: 100, Pids: 32}

// spawn runs a shell script in g: it is started in the group of version 2, and enters the others by itself.
func spawn(t *testing.T, g *Group, script string) *exec.Cmd {
	t.Helper()
	dir, tasks, err := g.Attach()
	if err != nil {
		t.Fatal(err)
	}
	defer wire.CloseAll(append(tasks, dir))
	cmd := exec.Command("/bin/sh", "-c", script)
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: dir}
	enter := ""
	for i, fd := range tasks {
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

// procs lists the processes of g and of the groups below it.
func procs(t *testing.T, g *Group) (pids []string) {
	t.Helper()
	dir := fmt.Sprintf("/proc/self/fd/%d/%s", g.p.unified().fd, g.id)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Name() == "cgroup.procs" {
			pids = append(pids, strings.Fields(readFile(path))...)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	return pids
}

// reading is the content of a file of g, by its name in either version.
func reading(g *Group, controller, v1, v2 string) string {
	h := g.p.find(controller)
	if h == nil {
		return ""
	}
	if h.v2 {
		v1 = v2
	}
	s, _ := control.Read(h.fd, g.id+"/"+v1)
	return s
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
	eventually(t, "three processes", func() bool { return len(procs(t, g)) == 3 })
	for controller, want := range map[string][3]string{
		"memory": {"memory.limit_in_bytes", "memory.max", strconv.Itoa(64 << 20)}, "pids": {"pids.max", "pids.max", "32"},
	} {
		if got := reading(g, controller, want[0], want[1]); got != want[2] {
			t.Errorf("bound on %s: %q, want %s", controller, got, want[2])
		}
	}
	eventually(t, "pids reading", func() bool { return reading(g, "pids", "pids.current", "pids.current") == "3" })
	if n := g.OOMKills(); n != 0 {
		t.Errorf("out-of-memory kills: %d", n)
	}
	if _, err := p.Create("c1", usual); !errors.Is(err, errdefs.ErrAlreadyExists) {
		t.Errorf("second create of one id: %v", err)
	}
	if err := g.Kill(); err != nil {
		t.Fatal(err)
	}
	err = cmd.Wait()
	if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || ws.Signal() != syscall.SIGKILL {
		t.Errorf("ended with %v", err)
	}
	if err := g.Remove(10 * time.Second); err != nil {
		t.Fatal(err)
	}
	if ids, err := p.List(); err != nil || len(ids) != 0 {
		t.Errorf("left behind: %v %v", ids, err)
	}
	if err := g.Remove(10 * time.Second); err != nil {
		t.Errorf("second removal: %v", err)
	}
	if n := g.OOMKills(); n != 0 {
		t.Errorf("out-of-memory kills in a removed group: %d", n)
	}
}

func TestForkBombEndsAtItsLimit(t *testing.T) {
	p := live(t)
	if p.find("pids") == nil {
		t.Skip("missing: pids control group")
	}
	g, err := p.Create("bomb", usual)
	if err != nil {
		t.Fatal(err)
	}
	spawn(t, g, "i=0; while [ $i -lt 100 ]; do sleep 100 & i=$((i+1)); done; wait")
	running := func() int {
		n, _ := strconv.Atoi(reading(g, "pids", "pids.current", "pids.current"))
		return n
	}
	eventually(t, "the limit", func() bool { return running() >= 30 })
	for end := time.Now().Add(300 * time.Millisecond); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if n := running(); n > 32 {
			t.Fatalf("%d processes", n)
		}
	}
}

func TestMemoryHogIsKilledAndCounted(t *testing.T) {
	p := live(t)
	if p.find("memory") == nil {
		t.Skip("missing: memory control group")
	}
	g, err := p.Create("hog", wire.Resources{Memory: 16 << 20, Pids: 8})
	if err != nil {
		t.Fatal(err)
	}
	spawn(t, g, "x=xxxxxxxxxxxxxxxx; while :; do x=$x$x; done").Wait()
	if n := g.OOMKills(); n == 0 {
		t.Errorf("out-of-memory kills: %d", n)
	}
}

func TestCpusetBindsFromBirth(t *testing.T) {
	p := live(t)
	if p.find("cpuset") == nil {
		t.Skip("missing: cpuset control group")
	}
	g, err := p.Create("set", wire.Resources{Memory: 64 << 20, Pids: 32, CpusetCpus: "0", CpusetMems: "0"})
	if err != nil {
		t.Fatal(err)
	}
	cmd := spawn(t, g, "echo ready; sleep 100")
	eventually(t, "bound from birth", func() bool {
		return strings.Contains(readFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid)), "Cpus_allowed_list:\t0\n")
	})
}

// What is out of the kernel's ranges the kernel refuses, and nothing stays behind.
func TestImpossibleBoundsAreRefusedByTheKernel(t *testing.T) {
	p := live(t)
	for name, res := range map[string]wire.Resources{
		"quota":  {CPUQuota: 10},
		"period": {CPUPeriod: 10, CPUQuota: 10000},
		"cpuset": {CpusetCpus: "x"},
	} {
		res.Memory, res.Pids = usual.Memory, usual.Pids
		if _, err := p.Create("no", res); !errdefs.IsInvalidArgument(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if ids, err := p.List(); err != nil || len(ids) != 0 {
		t.Errorf("left behind: %v %v", ids, err)
	}
}

func TestGroupsThatAContainerMadeAreKilledAndRemoved(t *testing.T) {
	p := live(t)
	g, err := p.Create("nest", usual)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range p.hierarchies {
		if !h.lazy() {
			if err := os.MkdirAll(fmt.Sprintf("/proc/self/fd/%d/nest/a/b", h.fd), 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	cmd := spawn(t, g, "sleep 100")
	if err := control.Write(p.unified().fd, "nest/a/b/cgroup.procs", strconv.Itoa(cmd.Process.Pid), 0); err != nil {
		t.Fatal(err)
	}
	if l := procs(t, g); !slices.Contains(l, strconv.Itoa(cmd.Process.Pid)) {
		t.Errorf("processes: %v", l)
	}
	if err := g.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	if err := g.Remove(10 * time.Second); err != nil {
		t.Fatal(err)
	}
}

// A machine on which nobody has mounted version 2 gets it from us.
func TestVersion1AloneKillsWhatForks(t *testing.T) {
	p := liveOn(t, func(controllers []string) (int, error) {
		if len(controllers) > 0 {
			return control.Root(controllers)
		}
		if _, err := os.Stat("/sys/fs/cgroup/unified"); err != nil {
			return -1, errors.ErrUnsupported // a new mount could change the options of the host's
		}
		return mount.New("cgroup2", unix.MOUNT_ATTR_NOSUID)
	})
	g, err := p.Create("v1", usual)
	if err != nil {
		t.Fatal(err)
	}
	cmd := spawn(t, g, "while :; do /bin/true; done & while :; do /bin/true; done")
	eventually(t, "it runs", func() bool { return len(procs(t, g)) >= 2 })
	if err := g.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	if err := g.Remove(10 * time.Second); err != nil {
		t.Fatal(err)
	}
}

func BenchmarkCreate(b *testing.B) {
	p, err := OpenParent(makeGroups(b))
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		p.Remove()
		p.Close()
	}()
	for i := 0; b.Loop(); i++ {
		g, err := p.Create("b"+strconv.Itoa(i), usual)
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := g.Remove(10 * time.Second); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

// Huge pages that were set aside are of no bound but this one; it is for all containers together.
func TestNoContainerGetsHugePages(t *testing.T) {
	p := live(t)
	h := p.find("hugetlb")
	if h == nil {
		t.Skip("missing: the hugetlb control group")
	}
	bounds := 0
	files, err := os.ReadDir(fmt.Sprintf("/proc/self/fd/%d", h.fd))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if name := f.Name(); strings.HasPrefix(name, "hugetlb.") && (strings.HasSuffix(name, ".max") || strings.HasSuffix(name, ".limit_in_bytes")) {
			bounds++
			if got, err := control.Read(h.fd, name); err != nil || strings.TrimSpace(got) != "0" {
				t.Errorf("%s is %q, %v", name, got, err)
			}
		}
	}
	if bounds == 0 {
		t.Error("nothing is bound")
	}
}
