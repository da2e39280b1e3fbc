package oci

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

const idle = "trap 'exit 5' TERM; while :; do sleep 0.05; done"

// A container's life, command by command.
func TestLife(t *testing.T) {
	b := newBox(t, "echo started; "+idle)
	b.write()
	pidFile := filepath.Join(b.dir, "pid")
	b.ok("create", "--bundle", b.dir, "--pid-file", pidFile, b.id)
	if s := b.status(); s != "created" {
		t.Errorf("status %s after create", s)
	}
	pid, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	b.refused("already exists", "create", "--bundle", b.dir, b.id)
	b.refused("that is not stopped", "delete", b.id)
	b.ok("start", b.id)
	b.refused("running state", "start", b.id)
	var pids []int
	if err := json.Unmarshal([]byte(b.ok("ps", "--format", "json", b.id)), &pids); err != nil || strconv.Itoa(pids[0]) != string(pid) {
		t.Errorf("ps: %v %v, want %s first", pids, err, pid)
	}
	if out := b.ok("list"); !strings.Contains(out, b.id) || !strings.Contains(out, "running") {
		t.Errorf("list:\n%s", out)
	}
	b.ok("pause", b.id)
	if s := b.status(); s != "paused" {
		t.Errorf("status %s after pause", s)
	}
	b.refused("paused container", "exec", b.id, "true")
	b.ok("resume", b.id)
	b.refused("not paused", "resume", b.id)
	b.catches()
	b.ok("kill", b.id, "TERM")
	b.until("stopped")
	b.refused("not running", "kill", b.id, "KILL")
	b.refused("stopped container", "exec", b.id, "true")
	b.ok("delete", b.id)
	b.refused("does not exist", "state", b.id)
	b.ok("delete", "--force", b.id)
}

// While it waits for start, a container costs the machine less than a megabyte: the goal is that it is no more than runc's.
func TestWaitingCostsLittle(t *testing.T) {
	b := newBox(t, "true")
	b.write()
	pidFile := filepath.Join(b.dir, "pid")
	b.ok("create", "--bundle", b.dir, "--pid-file", pidFile, b.id)
	pid, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join("/proc", string(pid), "status"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	var kb int
	if _, err := fmt.Sscan(rest, &kb); err != nil || kb > 1024 {
		t.Errorf("%d KB resident, %v; want at most 1024", kb, err)
	}
	// Nobody may look into it: it is a copy of the runtime (T13). The files in its /proc directory are root's, not its own.
	if info, err := os.Stat(filepath.Join("/proc", string(pid), "environ")); err != nil || info.Mode().Perm() != 0o400 {
		t.Errorf("%v %v", info, err)
	}
}

func TestExitStatuses(t *testing.T) {
	if out, status := newBox(t, "echo out; exit 7").once(); status != 7 || out != "out\n" {
		t.Errorf("status %d: %q", status, out)
	}
	b := newBox(t, "")
	b.spec.Process.Args = []string{"nothing-of-that-name"}
	b.write()
	b.refused(`exec: "nothing-of-that-name": executable file not found in $PATH`, "run", "--bundle", b.dir, b.id)
	b.spec.Process.Args = []string{"/bin/none"}
	b.write()
	b.refused("no such file or directory", "run", "--bundle", b.dir, b.id)
	b.spec.Process.Args = []string{"/etc/passwd"}
	b.write()
	b.refused("permission denied", "create", "--bundle", b.dir, b.id)
	if left, _ := os.ReadDir(b.state); len(left) > 0 {
		t.Errorf("a container that could not be made left %v", left)
	}
}

func TestExec(t *testing.T) {
	b := newBox(t, idle)
	b.write()
	b.ok("run", "-d", "--bundle", b.dir, b.id)
	out, status := b.run(nil, "exec", "--user", "7:8", "--cwd", "/tmp", "--env", "A=b", "--additional-gids", "9", b.id, "sh", "-c", "id; pwd; echo $A $HOME; exit 3")
	if want := "uid=7 gid=8 groups=9\n/tmp\nb /home/mate\n"; status != 3 || out != want {
		t.Errorf("status %d\n%s want\n%s", status, out, want)
	}
	if out, _ := b.run([]byte("through\n"), "exec", b.id, "cat"); out != "through\n" {
		t.Errorf("cat: %q", out)
	}
	if out := b.ok("exec", "--tty", b.id, "tty"); !strings.Contains(out, "/dev/pts/0") {
		t.Errorf("tty: %q", out)
	}
	if _, status := b.run(nil, "exec", b.id, "none"); status != 255 {
		t.Errorf("status %d of a program that is not there", status)
	}
	process := filepath.Join(b.dir, "process.json")
	text, _ := json.Marshal(map[string]any{"args": []string{"sh", "-c", "grep CapEff /proc/self/status; id -u"}, "cwd": "/", "env": []string{"PATH=/bin"},
		"user": map[string]int{"uid": 0, "gid": 0}, "capabilities": map[string][]string{"bounding": {"CAP_KILL"}, "effective": {"CAP_KILL"}, "permitted": {"CAP_KILL"}}})
	if err := os.WriteFile(process, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if out := b.ok("exec", "--process", process, b.id); out != "CapEff:\t0000000000000020\n0\n" {
		t.Errorf("exec --process: %q", out)
	}
	pidFile := filepath.Join(b.dir, "exec.pid")
	b.ok("exec", "--detach", "--pid-file", pidFile, b.id, "sleep", "100")
	pid, _ := os.ReadFile(pidFile)
	if out := b.ok("ps", "--format", "json", b.id); !strings.Contains(out, string(pid)) || len(pid) == 0 {
		t.Errorf("ps %s does not name process %s", out, pid)
	}
	b.ok("kill", b.id, "KILL")
	b.until("stopped")
}

func TestUpdateAndEvents(t *testing.T) {
	b := newBox(t, idle)
	b.write()
	b.ok("run", "-d", "--bundle", b.dir, b.id)
	b.ok("update", "--memory", "64m", "--pids-limit", "20", b.id)
	var event struct {
		Type string
		Data struct {
			Memory struct{ Usage struct{ Limit, Usage uint64 } }
			Pids   struct{ Current, Limit uint64 }
		}
	}
	if err := json.Unmarshal([]byte(b.ok("events", "--stats", b.id)), &event); err != nil {
		t.Fatal(err)
	}
	if d := event.Data; d.Memory.Usage.Limit != 64<<20 || d.Pids.Limit != 20 || d.Pids.Current == 0 || d.Memory.Usage.Usage == 0 {
		t.Errorf("%+v", event)
	}
	resources := `{"memory":{"limit":33554432},"pids":{"limit":10}}`
	if out, status := b.run([]byte(resources), "update", "--resources", "-", b.id); status != 0 {
		t.Errorf("update: %s", out)
	}
	if err := json.Unmarshal([]byte(b.ok("events", "--stats", b.id)), &event); err != nil || event.Data.Memory.Usage.Limit != 32<<20 {
		t.Errorf("%v %+v", err, event)
	}
	b.refused("devices cannot be changed", "update", "--resources", resourcesFile(t, `{"devices":[{"allow":true}]}`), b.id)
}

func resourcesFile(t *testing.T, text string) string {
	name := filepath.Join(t.TempDir(), "resources.json")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// The errors that an engine reads are one line of JSON in its log.
func TestLogIsWhatEnginesParse(t *testing.T) {
	b := newBox(t, "true")
	log := filepath.Join(b.dir, "log.json")
	b.run(nil, "--log", log, "--log-format", "json", "state", "nobody")
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	var line struct{ Level, Msg, Time string }
	if err := json.Unmarshal(text, &line); err != nil || line.Level != "error" || !strings.Contains(line.Msg, "does not exist") {
		t.Errorf("%v: %s", err, text)
	}
	if _, err := time.Parse(time.RFC3339, line.Time); err != nil {
		t.Error(err)
	}
}

func TestWhatIsNotDoneIsRefusedByName(t *testing.T) {
	b := newBox(t, "true")
	for words, args := range map[string][]string{
		"--rootless true is not supported": {"--rootless", "true", "list"},
		"checkpoint is not supported":      {"checkpoint", "x"},
		"restore is not supported":         {"restore", "x"},
		"flag provided but not defined":    {"create", "--nonsense", "x"},
		"unknown command":                  {"dance"},
	} {
		b.refused(words, args...)
	}
	for words, change := range map[string]string{
		"linux.intelRdt":            `{"linux":{"intelRdt":{}}}`,
		"linux.netDevices":          `{"linux":{"netDevices":{"eth7":{}}}}`,
		"linux.memoryPolicy":        `{"linux":{"memoryPolicy":{"mode":"MPOL_BIND"}}}`,
		"SCMP_ACT_NOTIFY":           `{"linux":{"seccomp":{"defaultAction":"SCMP_ACT_NOTIFY"}}}`,
		"AppArmor is not on":        `{"process":{"apparmorProfile":"mine"}}`,
		"SELinux is not on":         `{"process":{"selinuxLabel":"system_u:system_r:mine"}}`,
		"belongs to no namespace":   `{"linux":{"sysctl":{"kernel.panic":"1"}}}`,
		"nothing may cover it":      `{"mounts":[{"destination":"/proc/self","type":"tmpfs","source":"tmpfs"}]}`,
		"where proc is needed":      `{"mounts":[{"destination":"/proc","type":"tmpfs","source":"tmpfs"}]}`,
		"none of a bind":            `{"mounts":[{"destination":"/mnt","source":"/tmp","options":["bind","size=1m"]}]}`,
		"is not absolute":           `{"hooks":{"prestart":[{"path":"here"}]}}`,
		"no such file of version 2": `{"linux":{"resources":{"unified":{"../cgroup.procs":"1"}}}}`,
	} {
		if strings.Contains(words, " is not on") && lsm(words) {
			continue
		}
		other := newBox(t, "true")
		other.write()
		if err := json.Unmarshal([]byte(change), other.spec); err != nil {
			t.Fatal(err)
		}
		other.write()
		other.refused(words, "run", "--bundle", other.dir, other.id)
	}
}

// lsm tells whether this machine has what the refusal is about.
func lsm(words string) bool {
	for name, file := range map[string]string{"AppArmor": "/sys/module/apparmor/parameters/enabled", "SELinux": "/sys/fs/selinux/enforce"} {
		if _, err := os.Stat(file); err == nil && strings.HasPrefix(words, name) {
			return true
		}
	}
	return false
}
