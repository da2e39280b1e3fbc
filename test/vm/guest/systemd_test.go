package guest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
)

const scopeDir = "/sys/fs/cgroup/mate.slice/mate-deck.slice/"

// TestSystemdMachine holds that the machine is the one that the others are about.
func TestSystemdMachine(t *testing.T) {
	if comm := text(t, "/proc/1/comm"); comm != "systemd" {
		t.Errorf("process 1 is %s", comm)
	}
	if c := text(t, "/sys/fs/cgroup/cgroup.controllers"); !strings.Contains(c, "memory") {
		t.Errorf("controllers %s", c)
	}
}

// TestSystemdScope goes through the life of a container whose groups systemd makes.
func TestSystemdScope(t *testing.T) {
	b := newBundle(t, "mate-deck.slice:brig:one", "sleep 1000")
	b.spec.Linux.Resources = resources()
	sibling(t)
	b.ok("run", "-d", "--bundle", b.dir, "one")
	dir, unit := scopeDir+"brig-one.scope/", "brig-one.scope"

	bounds := func(what string, properties, files map[string]string) {
		t.Helper()
		for name, want := range properties {
			if got := show(t, unit, name); got != want {
				t.Errorf("%s: %s is %q, want %q", what, name, got, want)
			}
		}
		for name, want := range files {
			if got := text(t, dir+name); got != want {
				t.Errorf("%s: %s is %q, want %q", what, name, got, want)
			}
		}
		b.devices(what, "one")
	}
	properties := map[string]string{"ActiveState": "active", "Slice": "mate-deck.slice", "Delegate": "yes", "MemoryMax": "33554432",
		"MemorySwapMax": "0", "MemoryLow": "16777216", "TasksMax": "20", "CPUQuotaPerSecUSec": "130ms", "CPUQuotaPeriodUSec": "100ms", "CPUWeight": "59",
		"AllowedCPUs": "1", "AllowedMemoryNodes": "0", "ControlGroup": "/mate.slice/mate-deck.slice/brig-one.scope"}
	files := map[string]string{"memory.max": "33554432", "memory.swap.max": "0", "memory.low": "16777216", "pids.max": "20",
		"cpu.max": "12345 100000", "cpu.weight": "59", "cpuset.cpus": "1", "cpuset.mems": "0"}
	bounds("create", properties, files)
	if in := strings.Fields(text(t, dir+"cgroup.procs")); len(in) != 1 {
		t.Errorf("processes %v in the scope, want one", in)
	}
	if out := b.ok("exec", "one", "cat", "/proc/self/cgroup"); out != "0::/" {
		t.Errorf("a process of exec is in %q", out)
	}
	systemctl(t, "daemon-reload")
	systemctl(t, "set-property", "--runtime", unit, "TasksMax=21") // has it write everything
	properties["TasksMax"], files["pids.max"], files["cpu.max"] = "21", "21", "13000 100000"
	bounds("daemon-reload and set-property", properties, files)

	b.ok("update", "--memory", "48m", "--memory-swap", "64m", "--pids-limit", "30", "--cpu-quota", "50000", "--cpuset-cpus", "0-1", "one")
	for name, want := range map[string]string{"MemoryMax": "50331648", "MemorySwapMax": "16777216", "TasksMax": "30", "CPUQuotaPerSecUSec": "500ms",
		"AllowedCPUs": "0-1"} {
		properties[name] = want
	}
	for name, want := range map[string]string{"memory.max": "50331648", "memory.swap.max": "16777216", "pids.max": "30", "cpu.max": "50000 100000",
		"cpuset.cpus": "0-1"} {
		files[name] = want
	}
	bounds("update", properties, files)
	systemctl(t, "daemon-reload")
	bounds("update and daemon-reload", properties, files)

	b.ok("pause", "one")
	if out := b.ok("state", "one"); !strings.Contains(out, `"paused"`) {
		t.Error(out)
	}
	b.ok("resume", "one")
	if out, status := b.try("exec", "one", "tail", "/dev/zero"); status != 137 {
		t.Errorf("what takes more memory than there is: status %d: %s", status, out)
	}
	if events(t, dir+"memory.events", "oom_kill") == 0 {
		t.Error("nothing was killed for want of memory")
	}
	b.ok("pause", "one")
	b.ok("delete", "--force", "one")
	gone(t, unit)
}

// TestSystemdCrowd: many are made and removed at once, while systemd is reloaded again and again.
func TestSystemdCrowd(t *testing.T) {
	done := make(chan int)
	stop := make(chan struct{})
	go func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				done <- n
				return
			default:
				_ = exec.Command("systemctl", "daemon-reload").Run()
			}
		}
	}()
	t.Run("all", func(t *testing.T) {
		for i := range 3 {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				for range 2 {
					id := fmt.Sprintf("crowd%d", i)
					b := newBundle(t, "crowd.slice:brig:"+id, "sleep 1000")
					b.spec.Linux.Resources = resources()
					b.ok("run", "-d", "--bundle", b.dir, id)
					if got := show(t, "brig-"+id+".scope", "MemoryMax"); got != "33554432" {
						t.Errorf("MemoryMax is %s", got)
					}
					b.ok("update", "--pids-limit", "33", id)
					if got := show(t, "brig-"+id+".scope", "TasksMax") + " " + text(t, "/sys/fs/cgroup/crowd.slice/brig-"+id+".scope/memory.max"); got != "33 33554432" {
						t.Errorf("TasksMax and memory.max are %s", got)
					}
					b.ok("delete", "--force", id)
					gone(t, "brig-"+id+".scope")
				}
			})
		}
	})
	close(stop)
	t.Logf("%d reloads", <-done)
}

// TestSystemdEnds: whichever way a container ends, nothing is left of its scope.
func TestSystemdEnds(t *testing.T) {
	t.Run("by itself", func(t *testing.T) {
		b := newBundle(t, ":brig:ends", "true")
		b.ok("create", "--bundle", b.dir, "ends")
		if got := show(t, "brig-ends.scope", "Slice"); got != "system.slice" {
			t.Errorf("slice %s", got)
		}
		b.ok("start", "ends")
		for end := time.Now().Add(20 * time.Second); !strings.Contains(b.ok("state", "ends"), `"stopped"`); time.Sleep(100 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("it does not end")
			}
		}
		b.ok("delete", "ends")
		gone(t, "brig-ends.scope")
	})
	t.Run("in the foreground", func(t *testing.T) {
		b := newBundle(t, "", "cat /proc/self/cgroup; exit 3")
		if out, status := b.try("run", "--bundle", b.dir, "front"); status != 3 || out != "0::/" {
			t.Errorf("status %d: %s", status, out)
		}
		gone(t, "brig-oci-front.scope")
	})
	t.Run("killed", func(t *testing.T) {
		b := newBundle(t, "mate.slice::killed", "sleep 1000")
		b.ok("run", "-d", "--bundle", b.dir, "killed")
		b.ok("kill", "killed", "KILL")
		b.ok("delete", "--force", "killed")
		gone(t, "killed.scope")
	})
	t.Run("others that stay", func(t *testing.T) {
		b := newBundle(t, ":brig:stays", "(trap '' TERM; sleep 1000) & sleep 1")
		b.without(specs.PIDNamespace)
		b.ok("run", "-d", "--bundle", b.dir, "stays")
		time.Sleep(2 * time.Second)
		begin := time.Now()
		b.ok("delete", "stays")
		if took := time.Since(begin); took > 20*time.Second {
			t.Errorf("delete takes %s", took)
		}
		gone(t, "brig-stays.scope")
	})
	t.Run("never begun", func(t *testing.T) {
		b := newBundle(t, ":brig:never", "true")
		b.spec.Process.Args = []string{"/no/such/program"}
		b.refused("no such file", "run", "-d", "--bundle", b.dir, "never")
		gone(t, "brig-never.scope")
		hundred := int64(100)
		b.spec.Linux.Resources = &specs.LinuxResources{Memory: &specs.LinuxMemory{KernelTCP: &hundred}}
		b.refused("resources.memory.kernelTCP", "run", "-d", "--bundle", b.dir, "never")
		gone(t, "brig-never.scope")
	})
	t.Run("with who makes it", func(t *testing.T) {
		b := newBundle(t, ":brig:dies", "sleep 1000")
		b.spec.Hooks = &specs.Hooks{CreateRuntime: []specs.Hook{{Path: "/bin/sh", Args: []string{"sh", "-c", "kill -9 $PPID"}}}}
		if _, status := b.try("create", "--bundle", b.dir, "dies"); status != -1 {
			t.Fatalf("status %d of a runtime that its hook kills", status)
		}
		b.ok("delete", "--force", "dies")
		gone(t, "brig-dies.scope")
	})
	t.Run("killed for want of memory", func(t *testing.T) {
		b := newBundle(t, ":brig:hog", "tail /dev/zero")
		b.spec.Linux.Resources = resources()
		if out, status := b.try("run", "--bundle", b.dir, "hog"); status != 137 {
			t.Errorf("status %d: %s", status, out)
		}
		gone(t, "brig-hog.scope")
	})
}

// TestSystemdFew: the least bound of processes is enough, whatever has waited in the scope.
func TestSystemdFew(t *testing.T) {
	b := newBundle(t, ":brig:few", "sleep 1000")
	few := int64(2)
	b.spec.Linux.Resources = &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: &few}}
	b.spec.Process.Args = []string{"sleep", "1000"}
	b.ok("run", "-d", "--bundle", b.dir, "few") // as many as without systemd: it takes two to be born
	if got := show(t, "brig-few.scope", "TasksMax") + " " + text(t, "/sys/fs/cgroup/system.slice/brig-few.scope/pids.max"); got != "2 2" {
		t.Errorf("pids.max is %s", got)
	}
	b.ok("delete", "--force", "few")
	gone(t, "brig-few.scope")
}

// TestSystemdNames: a unit that is somebody else's stays so, and what is no name is refused before anything is made.
func TestSystemdNames(t *testing.T) {
	b := newBundle(t, ":brig:name", "sleep 1000")
	b.ok("run", "-d", "--bundle", b.dir, "first")
	b.refused("already", "run", "-d", "--bundle", b.dir, "second")
	if got := show(t, "brig-name.scope", "ActiveState"); got != "active" {
		t.Errorf("the first is %s", got)
	}
	if _, status := b.try("exec", "first", "true"); status != 0 {
		t.Error("the first does not run any more")
	}
	b.ok("delete", "--force", "first")
	gone(t, "brig-name.scope")
	for _, path := range []string{"/plain/path", "a.slice:b", "a.slice:b:c:d", "../x.slice:b:c", "a--b.slice:p:n", "system:p:n", "a.slice:p:n/../../m",
		"a.slice:p:", "a.slice:p:n@m", "a.slice:p:" + strings.Repeat("n", 250), "a.slice:p:b.slice"} {
		b.spec.Linux.CgroupsPath = path
		b.refused("linux.cgroupsPath", "run", "-d", "--bundle", b.dir, "third")
	}
	// systemd escapes what the kernel would take for a file of a controller.
	b.spec.Linux.CgroupsPath = "system.slice::cpu"
	b.ok("run", "-d", "--bundle", b.dir, "third")
	if got := show(t, "cpu.scope", "ControlGroup"); got != "/system.slice/_cpu.scope" || len(text(t, "/sys/fs/cgroup"+got+"/cgroup.procs")) == 0 {
		t.Errorf("it is in %s", got)
	}
	b.ok("delete", "--force", "third")
	gone(t, "cpu.scope")
	// Without the option the path is none.
	b.spec.Linux.CgroupsPath = "system.slice:brig:name"
	b.write()
	out, err := exec.Command("/vm/bin/brig-oci", "--root", b.state, "run", "-d", "--bundle", b.dir, "fourth").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "--systemd-cgroup") {
		t.Errorf("%v: %s", err, out)
	}
}

// TestHybridScope: on version 1 the scope is in the hierarchies that systemd has, and in those that it has not; and systemd writes
// no rule of devices but the container's.
func TestHybridScope(t *testing.T) {
	b := newBundle(t, "mate-deck.slice:brig:old", "sleep 1000")
	b.spec.Linux.Resources = resources()
	b.spec.Linux.Resources.Memory.Swap, b.spec.Linux.Resources.CPU.Mems = nil, ""
	ten, fuse := int64(10), int64(229)
	b.spec.Linux.Resources.Devices = append(b.spec.Linux.Resources.Devices,
		specs.LinuxDeviceCgroup{Type: "c", Major: &ten, Minor: &fuse, Access: "rwm"}) // as Docker has it
	sibling(t)
	b.ok("run", "-d", "--bundle", b.dir, "old")
	const path = "/mate.slice/mate-deck.slice/brig-old.scope"
	var state struct{ PID int }
	if err := json.Unmarshal([]byte(b.ok("state", "old")), &state); err != nil {
		t.Fatal(err)
	}
	controllers := 0
	for line := range strings.Lines(text(t, fmt.Sprintf("/proc/%d/cgroup", state.PID))) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if f[2] != path {
			t.Errorf("the container is in %v", f)
		}
		controllers++
	}
	if controllers < 6 {
		t.Errorf("%d hierarchies", controllers)
	}
	holds := func(what string, properties, files map[string]string) {
		t.Helper()
		for name, want := range properties {
			if got := show(t, "brig-old.scope", name); got != want {
				t.Errorf("%s: %s is %q, want %q", what, name, got, want)
			}
		}
		for name, want := range files {
			dir, file, _ := strings.Cut(name, "/")
			if got := text(t, "/sys/fs/cgroup/"+dir+path+"/"+file); got != want {
				t.Errorf("%s: %s is %q, want %q", what, name, got, want)
			}
		}
		b.devices(what, "old")
	}
	properties := map[string]string{"MemoryLimit": "33554432", "TasksMax": "20", "CPUShares": "512", "CPUQuotaPerSecUSec": "130ms", "DevicePolicy": "strict"}
	files := map[string]string{"memory/memory.limit_in_bytes": "33554432", "pids/pids.max": "20", "cpu,cpuacct/cpu.shares": "512",
		"cpu,cpuacct/cpu.cfs_quota_us": "12345", "cpuset/cpuset.cpus": "1"}
	holds("create", properties, files)
	delete(files, "cpu,cpuacct/cpu.cfs_quota_us")
	systemctl(t, "daemon-reload")
	holds("daemon-reload", properties, files)
	b.ok("update", "--memory", "48m", "--pids-limit", "30", "old")
	properties["MemoryLimit"], properties["TasksMax"] = "50331648", "30"
	files["memory/memory.limit_in_bytes"], files["pids/pids.max"] = "50331648", "30"
	holds("update", properties, files)
	systemctl(t, "daemon-reload")
	systemctl(t, "set-property", "--runtime", "brig-old.scope", "TasksMax=31") // has it write everything
	properties["TasksMax"], files["pids/pids.max"] = "31", "31"
	holds("set-property", properties, files)
	if out := b.ok("state", "old"); !strings.Contains(out, `"running"`) {
		t.Error(out)
	}
	b.ok("delete", "--force", "old")
	gone(t, "brig-old.scope")

	// What systemd has no word for is refused: it would write something else.
	five := int64(5)
	b.spec.Linux.Resources.Devices = []specs.LinuxDeviceCgroup{{Access: "rwm"}, {Allow: true, Type: "c", Major: &ten, Access: "rw"},
		{Type: "c", Major: &ten, Minor: &fuse, Access: "w"}}
	b.refused("systemd cannot keep", "run", "-d", "--bundle", b.dir, "old")
	b.spec.Linux.Resources.Devices = []specs.LinuxDeviceCgroup{{Allow: true, Type: "c", Minor: &five, Access: "rw"}}
	b.refused("systemd cannot keep", "run", "-d", "--bundle", b.dir, "old")
	gone(t, "brig-old.scope")
}

// sibling is a unit with rules of devices. Beside one systemd writes those of all, and of who has none that all may be used.
func sibling(t *testing.T) {
	t.Helper()
	out, err := exec.Command("/usr/bin/systemd-run", "--unit", "sibling", "--slice", "mate-deck.slice", "-p", "DevicePolicy=closed", "/bin/sleep", "1000").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

func resources() *specs.LinuxResources {
	memory, low, tasks, quota, period, shares := int64(32<<20), int64(16<<20), int64(20), int64(12345), uint64(100000), uint64(512)
	misc, loop := int64(10), int64(237)
	return &specs.LinuxResources{
		Devices: []specs.LinuxDeviceCgroup{{Access: "rwm"}, {Allow: true, Type: "c", Major: &misc, Minor: &loop, Access: "r"}},
		Memory:  &specs.LinuxMemory{Limit: &memory, Swap: &memory, Reservation: &low}, Pids: &specs.LinuxPids{Limit: &tasks},
		CPU: &specs.LinuxCPU{Quota: &quota, Period: &period, Shares: &shares, Cpus: "1", Mems: "0"},
	}
}

// bundle is one for brig-oci, which is told of systemd.
type bundle struct {
	t          *testing.T
	dir, state string
	spec       *specs.Spec
}

func newBundle(t *testing.T, path, command string) *bundle {
	t.Helper()
	box(t)
	top := t.TempDir()
	b := &bundle{t: t, dir: top, state: filepath.Join(top, "state")}
	if out, err := exec.Command("cp", "-a", "/run/box", filepath.Join(top, "rootfs")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, d := range []string{"proc", "sys", "dev"} {
		if err := os.MkdirAll(filepath.Join(top, "rootfs", d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("mknod", filepath.Join(top, "rootfs/tmp/loop"), "c", "10", "237").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if out, err := exec.Command("/vm/bin/brig-oci", "spec", "--bundle", top).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := json.Unmarshal([]byte(text(t, filepath.Join(top, "config.json"))), &b.spec); err != nil {
		t.Fatal(err)
	}
	b.spec.Process.Terminal, b.spec.Process.Args, b.spec.Linux.CgroupsPath = false, []string{"sh", "-c", command}, path
	return b
}

// devices wants what every container has, and of /dev/loop-control what resources give: nobody needs a capability for it.
func (b *bundle) devices(what, id string) {
	b.t.Helper()
	out, _ := b.try("exec", id, "sh", "-c", "head -c 1 /dev/full >/dev/null && echo usual; : </tmp/loop && echo reads; : >/tmp/loop; echo done")
	if !strings.HasPrefix(out, "usual\nreads\n") || !strings.Contains(out, "can't create /tmp/loop: Operation not permitted") {
		b.t.Errorf("%s: devices: %s", what, out)
	}
}

func (b *bundle) without(kind specs.LinuxNamespaceType) {
	for i, n := range b.spec.Linux.Namespaces {
		if n.Type == kind {
			b.spec.Linux.Namespaces = append(b.spec.Linux.Namespaces[:i], b.spec.Linux.Namespaces[i+1:]...)
			return
		}
	}
}

func (b *bundle) write() {
	b.t.Helper()
	out, err := json.Marshal(b.spec)
	if err == nil {
		err = os.WriteFile(filepath.Join(b.dir, "config.json"), out, 0o600)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

// try runs brig-oci. Its output is a file: a container that stays would keep a pipe open.
func (b *bundle) try(args ...string) (string, int) {
	b.t.Helper()
	b.write()
	out, err := os.CreateTemp(b.dir, "output-")
	if err != nil {
		b.t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.Command("/vm/bin/brig-oci", append([]string{"--systemd-cgroup", "--root", b.state}, args...)...)
	cmd.Stdout, cmd.Stderr = out, out
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		b.t.Fatal(err)
	}
	said, err := os.ReadFile(out.Name())
	if err != nil {
		b.t.Fatal(err)
	}
	return strings.TrimSpace(string(said)), cmd.ProcessState.ExitCode()
}

func (b *bundle) ok(args ...string) string {
	b.t.Helper()
	out, status := b.try(args...)
	if status != 0 {
		b.t.Fatalf("brig-oci %s: status %d\n%s", strings.Join(args, " "), status, out)
	}
	return out
}

func (b *bundle) refused(words string, args ...string) {
	b.t.Helper()
	if out, status := b.try(args...); status == 0 || !strings.Contains(out, words) {
		b.t.Errorf("brig-oci %s with %q: status %d, want a failure that says %q:\n%s", strings.Join(args, " "), b.spec.Linux.CgroupsPath, status, words, out)
	}
}

func systemctl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("systemctl", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("systemctl %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return string(bytes.TrimSpace(out))
}

func show(t *testing.T, unit, property string) string {
	t.Helper()
	return systemctl(t, "show", "--value", "--property", property, unit)
}

// gone wants nothing of a scope: no unit that systemd has loaded, no group, no file below /run.
func gone(t *testing.T, unit string) {
	t.Helper()
	if out := systemctl(t, "list-units", "--all", "--plain", "--no-legend", unit); out != "" {
		t.Errorf("left: %s", out)
	}
	if got := show(t, unit, "LoadState"); got != "not-found" {
		t.Errorf("%s is %s", unit, got)
	}
	err := filepath.WalkDir("/sys/fs/cgroup", func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.TrimPrefix(d.Name(), "_") == unit {
			err = fmt.Errorf("control group %s is left", path)
		}
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if left, _ := filepath.Glob("/run/systemd/transient/" + unit + "*"); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}
