package oci

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// A startContainer hook is a stranger's program: it is in the container's control groups, and held by its device rules.
func TestStartContainerHooksAreBounded(t *testing.T) {
	b := newBox(t, "true")
	b.spec.Root.Readonly = false
	b.spec.Process.Capabilities.Bounding = append(b.spec.Process.Capabilities.Bounding, "CAP_SYSLOG")
	b.spec.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/kmsg", Type: "c", Major: 1, Minor: 11}}
	b.spec.Hooks = &specs.Hooks{StartContainer: []specs.Hook{{Path: "/bin/sh", Env: []string{"PATH=/bin"},
		Args: []string{"sh", "-c", "cat /proc/self/cgroup > /tmp/groups; head -c 1 /dev/kmsg 2> /tmp/kmsg || true"}}}}
	if out, status := b.once(); status != 0 {
		t.Fatal(out)
	}
	groups, err := os.ReadFile(filepath.Join(b.dir, "rootfs/tmp/groups"))
	if err != nil || len(groups) == 0 {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(groups)) {
		if !strings.HasSuffix(line, ":/\n") { // the group is the root of what the namespace shows
			t.Errorf("the hook is outside: %s", line)
		}
	}
	if said, err := os.ReadFile(filepath.Join(b.dir, "rootfs/tmp/kmsg")); err != nil || !strings.Contains(string(said), "not permitted") {
		t.Errorf("the hook reads a device that the container may not: %q %v", said, err)
	}
}

// A createContainer hook is the host's program, wherever the root file system is, and whoever may go there.
func TestCreateContainerHookIsTheHosts(t *testing.T) {
	b := newBox(t, "true")
	maps := []specs.LinuxIDMapping{{ContainerID: 0, HostID: 300000, Size: 1000}}
	b.spec.Linux.UIDMappings, b.spec.Linux.GIDMappings = maps, maps
	b.spec.Linux.Namespaces = append(b.spec.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
	if err := os.Chmod(filepath.Dir(b.dir), 0o700); err != nil { // not for the container's root
		t.Fatal(err)
	}
	outside := t.TempDir()
	note := filepath.Join(outside, "note")
	if err := os.WriteFile(note, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{outside, note} {
		if err := os.Chmod(p, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	b.spec.Hooks = &specs.Hooks{CreateContainer: []specs.Hook{{Path: "/bin/sh",
		Args: []string{"sh", "-c", "test -e /usr/share && echo host > " + note + " || echo image > " + note}}}}
	out, status := b.once()
	if text, err := os.ReadFile(note); err != nil || string(text) != "host\n" || status != 0 {
		t.Errorf("status %d, the hook was the program of: %q %v\n%s", status, text, err, out)
	}
}

// Who calls has keys; neither exec nor a startContainer hook does.
func TestKeyring(t *testing.T) {
	runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
	if _, err := unix.KeyctlJoinSessionKeyring("brig-oci-test"); err != nil {
		t.Skipf("missing: a session keyring: %v", err)
	}
	key, err := unix.AddKey("user", "callers-key", []byte("secret"), unix.KEY_SPEC_SESSION_KEYRING)
	if err == nil {
		err = unix.KeyctlSetperm(key, 0x3f000000) // for who possesses it, by the session
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, keeps := range []bool{false, true} {
		b := newBox(t, idle)
		b.spec.Root.Readonly = false
		b.spec.Linux.MaskedPaths = nil
		b.spec.Hooks = &specs.Hooks{StartContainer: []specs.Hook{{Path: "/bin/sh", Env: []string{"PATH=/bin"}, Args: []string{"sh", "-c", "cat /proc/keys > /tmp/keys"}}}}
		b.write()
		args := []string{"run", "-d", "--bundle", b.dir, b.id}
		if keeps {
			args = []string{"run", "-d", "--no-new-keyring", "--bundle", b.dir, b.id}
		}
		b.ok(args...)
		hook, err := os.ReadFile(filepath.Join(b.dir, "rootfs/tmp/keys"))
		if err != nil {
			t.Fatal(err)
		}
		for who, keys := range map[string]string{"hook": string(hook), "exec": b.ok("exec", b.id, "cat", "/proc/keys")} {
			if strings.Contains(keys, "callers-key") != keeps {
				t.Errorf("--no-new-keyring=%v, and %s sees:\n%s", keeps, who, keys)
			}
		}
	}
}

// A masked or read-only path that leads through a link of the image protects what the link leads to, inside of the root; one
// that leads nowhere by too many links is an error, and no path that is left out.
func TestProtectionFollowsLinks(t *testing.T) {
	b := newBox(t, "ls /full; cat /etc/group; touch /tmp/made 2>&1; ls /tmp")
	b.spec.Root.Readonly = false
	root := filepath.Join(b.dir, "rootfs")
	for name, to := range map[string]string{"hidden": "/full", "secret": "../../etc/group", "guarded": "tmp", "nothing": "/not/there"} {
		if err := os.Symlink(to, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	b.spec.Linux.MaskedPaths = []string{"/hidden", "/secret", "/nothing"}
	b.spec.Linux.ReadonlyPaths = []string{"/guarded", "/nothing"}
	out, status := b.once()
	if status != 0 || strings.Contains(out, "below") || strings.Contains(out, "root:") || !strings.Contains(out, "Read-only file system") {
		t.Errorf("status %d:\n%s", status, out)
	}
	for _, kind := range []string{"hide", "protect"} {
		b := newBox(t, "true")
		if err := os.Symlink("loop", filepath.Join(b.dir, "rootfs/loop")); err != nil {
			t.Fatal(err)
		}
		if b.spec.Linux.ReadonlyPaths = []string{"/loop"}; kind == "hide" {
			b.spec.Linux.MaskedPaths, b.spec.Linux.ReadonlyPaths = []string{"/loop"}, nil
		}
		b.write()
		b.refused(kind+" /loop", "run", "--bundle", b.dir, b.id)
	}
}

// Without pivot_root the host's root is covered: of its proc and sys nothing is left below, with and without masked paths.
func TestNoPivotLeavesNoProc(t *testing.T) {
	for _, masked := range [][]string{nil, {"/proc/kcore"}} {
		b := newBox(t, idle)
		b.spec.Linux.MaskedPaths, b.spec.Linux.ReadonlyPaths = masked, nil
		b.write()
		pid := filepath.Join(filepath.Dir(b.dir), "pid")
		b.ok("run", "-d", "--no-pivot", "--pid-file", pid, "--bundle", b.dir, b.id)
		n, err := os.ReadFile(pid)
		if err != nil {
			t.Fatal(err)
		}
		found := superMagics(t, string(n))
		if found[unix.PROC_SUPER_MAGIC] != 1 || found[unix.SYSFS_MAGIC] != 1 { // the container's own
			t.Errorf("masked %q: %d mounts of proc and %d of sys", masked, found[unix.PROC_SUPER_MAGIC], found[unix.SYSFS_MAGIC])
		}
	}
}

func TestNoPivotWhereItCannotBeDone(t *testing.T) {
	b := newBox(t, "true")
	maps := []specs.LinuxIDMapping{{ContainerID: 0, HostID: 300000, Size: 1000}}
	b.spec.Linux.UIDMappings, b.spec.Linux.GIDMappings = maps, maps
	b.spec.Linux.Namespaces = append(b.spec.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
	b.write()
	b.refused("--no-pivot with a user namespace", "run", "--no-pivot", "--bundle", b.dir, b.id)
}

// However many descriptors a program is given, what brig-oci itself needs is not overwritten.
func TestManyDescriptors(t *testing.T) {
	const given = `exec "$0" "$@" 3</proc/sys/kernel/ostype 4</proc/sys/kernel/ostype 5</proc/sys/kernel/ostype 6</proc/sys/kernel/ostype 7</proc/sys/kernel/ostype`
	b := newBox(t, "for i in 3 4 5 6 7; do cat <&$i; done; "+idle)
	if err := os.WriteFile(filepath.Join(b.dir, "rootfs/bin/broken"), []byte("#!/not/there\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	b.write()
	call := func(args ...string) (string, error) {
		file := filepath.Join(filepath.Dir(b.dir), fmt.Sprintf("output-%d", boxes.Add(1)))
		out, err := os.Create(file)
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		cmd := exec.Command("sh", append([]string{"-c", given, b.program, "--root", b.state}, args...)...)
		cmd.Stdout, cmd.Stderr = out, out
		err = cmd.Run()
		time.Sleep(100 * time.Millisecond)
		text, _ := os.ReadFile(file)
		return string(text), err
	}
	const all = "Linux\nLinux\nLinux\nLinux\nLinux\n"
	if out, err := call("run", "-d", "--preserve-fds", "5", "--bundle", b.dir, b.id); err != nil || out != all {
		t.Fatalf("run: %v\n%s", err, out)
	}
	if out, err := call("exec", "--preserve-fds", "5", b.id, "sh", "-c", "for i in 3 4 5 6 7; do cat <&$i; done"); err != nil || out != all {
		t.Errorf("exec: %v\n%s", err, out)
	}
	if out, err := call("exec", "--preserve-fds", "5", b.id, "/bin/broken"); err == nil || !strings.Contains(out, `exec: "/bin/broken"`) {
		t.Errorf("a program that cannot be executed: %v\n%s", err, out)
	}
}

// A container that handed controllers of version 2 down is in groups below its own, and so is who enters it.
func TestExecBelow(t *testing.T) {
	b := newBox(t, idle)
	b.write()
	b.ok("run", "-d", "--bundle", b.dir, b.id)
	group := "/sys/fs/cgroup/unified/" + b.id
	if _, err := os.Stat(group); err != nil {
		group = "/sys/fs/cgroup/" + b.id
	}
	have, _ := os.ReadFile(group + "/cgroup.controllers")
	controllers := strings.Fields(string(have))
	if len(controllers) == 0 {
		t.Skip("missing: a controller of version 2")
	}
	t.Cleanup(func() { b.run(nil, "delete", "--force", b.id) })
	procs, err := os.ReadFile(group + "/cgroup.procs")
	if err == nil {
		err = os.Mkdir(group+"/below", 0o755)
	}
	for pid := range strings.FieldsSeq(string(procs)) {
		_ = os.WriteFile(group+"/below/cgroup.procs", []byte(pid), 0) // a sleep has ended
	}
	for range 100 { // what was forked meanwhile
		if err = os.WriteFile(group+"/cgroup.subtree_control", []byte("+"+controllers[0]), 0); err == nil {
			break
		}
		more, _ := os.ReadFile(group + "/cgroup.procs")
		for pid := range strings.FieldsSeq(string(more)) {
			_ = os.WriteFile(group+"/below/cgroup.procs", []byte(pid), 0)
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err != nil {
		t.Fatal(err)
	}
	if out := b.ok("exec", b.id, "cat", "/proc/self/cgroup"); !strings.Contains(out, "0::/below\n") {
		t.Errorf("exec is elsewhere:\n%s", out)
	}
}

// A signal does not wait for a hook.
func TestKillDuringHooks(t *testing.T) {
	b := newBox(t, idle)
	b.spec.Hooks = &specs.Hooks{Poststart: []specs.Hook{{Path: "/bin/sleep", Args: []string{"sleep", "8"}}}}
	b.write()
	b.ok("create", "--bundle", b.dir, b.id)
	cmd := exec.Command(b.program, "--root", b.state, "start", b.id)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	b.until("running")
	begin := time.Now()
	b.ok("kill", b.id, "KILL")
	b.until("stopped")
	if d := time.Since(begin); d > 5*time.Second {
		t.Errorf("kill waited for the hook: %v", d)
	}
	_ = cmd.Wait()
}

// The soft limit of open files is the caller's, and not what Go's runtime makes of it.
func TestSoftLimitIsTheCallers(t *testing.T) {
	b := newBox(t, "ulimit -Sn; "+idle)
	b.spec.Process.Rlimits = nil
	b.write()
	file := filepath.Join(filepath.Dir(b.dir), "limit")
	out, err := exec.Command("sh", "-c", `ulimit -Sn 77; "$0" --root "$1" run -d --bundle "$2" "$3" > "$4" 2>&1; "$0" --root "$1" exec "$3" sh -c 'ulimit -Sn' > "$4.exec" 2>&1`,
		b.program, b.state, b.dir, b.id, file).CombinedOutput()
	if err != nil {
		said, _ := os.ReadFile(file)
		t.Fatalf("%v %s%s", err, out, said)
	}
	for _, f := range []string{file, file + ".exec"} {
		if text, err := os.ReadFile(f); err != nil || string(text) != "77\n" {
			t.Errorf("%s: %q %v", filepath.Base(f), text, err)
		}
	}
}
