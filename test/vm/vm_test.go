package vm

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/brig-engine/brig/dist/embed/apparmor"
	"github.com/brig-engine/brig/test/room"
)

// What runs as subtests here is written in package guest, as a test whose name begins as the machine's pattern says.

func TestKernel61(t *testing.T) {
	boot(t, Machine{Run: "^TestKernel61", Timeout: 8 * time.Minute})
}

// The same kernel with the other security module in place of AppArmor. No policy is loaded when it boots: the tests do that.
func TestSELinux(t *testing.T) {
	boot(t, Machine{Run: "^TestSELinux", Boot: "security=selinux selinux=1", Timeout: 4 * time.Minute, Policy: true})
}

// The same kernel where systemd is process 1, and makes control groups for brig-oci.
func TestSystemd(t *testing.T) {
	root := debian(t, "systemd")
	boot(t, Machine{Run: "^TestSystemd", Timeout: 6 * time.Minute, Systemd: root})
	// The same on version 1, with version 2 beside it for systemd alone.
	boot(t, Machine{Run: "^TestHybrid", Timeout: 4 * time.Minute, Systemd: root, V1: true,
		Boot: "systemd.unified_cgroup_hierarchy=0 systemd.legacy_systemd_cgroup_controller=0"})
}

// Debian's Podman and Docker there, with systemd's driver.
func TestEngines(t *testing.T) {
	root := debian(t, "engines", "dbus", "podman", "conmon", "docker.io", "containerd")
	boot(t, Machine{Run: "^TestEngines", Timeout: 6 * time.Minute, Systemd: root, Boot: "apparmor=0"}) // who has no apparmor_parser cannot load Docker's profile
}

// debian is a root file system with systemd and more packages.
func debian(t *testing.T, name string, more ...string) (archive string) {
	t.Helper()
	if os.Getenv("BRIG_SLOW") != "1" {
		t.Skip("missing: the slow lane (make test-all)")
	}
	kernel(t) // or there is nothing to boot
	archive, err := FetchSystemd(cache(t), name, more...)
	if err != nil {
		t.Fatal(err)
	}
	return archive
}

// boot runs a machine with the programs of the tree, and each test that ran in it as a subtest.
func boot(t *testing.T, m Machine) {
	if os.Getenv("BRIG_SLOW") != "1" {
		t.Skip("missing: the slow lane (make test-all)")
	}
	k := kernel(t)
	dir := t.TempDir()
	m.Files = map[string]string{"vm/guest.test": filepath.Join(dir, "guest.test"), "vm/run": filepath.Join(dir, "run")}
	for _, p := range []string{"brig", "brigd", "brig-warden", "brig-keeper", "brig-router", "brig-store", "brig-worker", "brig-drill", "brig-probe", "brig-oci"} {
		from, err := filepath.Abs(filepath.Join("..", "..", "bin", p))
		if err != nil {
			t.Fatal(err)
		}
		m.Files["vm/bin/"+p] = from
	}
	build(t, "test", "-c", "-o", m.Files["vm/guest.test"], "./guest")
	build(t, "build", "-ldflags", "-s -w", "-o", m.Files["vm/run"], "../run")
	policy(t, dir, m.Files)
	if m.Policy {
		m.Files["vm/selinux.policy"] = filepath.Join(dir, "selinux.policy")
		if err := Policy(cache(t), filepath.Join("..", "..", "dist", "selinux", "container.cil"), m.Files["vm/selinux.policy"]); err != nil {
			t.Fatal(err)
		}
	}
	want := chosen(t, m.Files["vm/guest.test"], m.Run)
	if len(want) == 0 {
		return
	}
	m.Run = "^(" + strings.Join(want, "|") + ")$"
	out, err := Boot(t.Context(), dir, k, m)
	if err != nil {
		t.Error(err)
	}
	if out == nil {
		return
	}
	top, err := Results(out.Tests, want)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range top.Subtests {
		replay(t, r)
	}
	if t.Failed() {
		t.Logf("the machine's console:\n%s\nand what belongs to no test:\n%s", tail(out.Console), tail(top.Output))
	}
}

// chosen lists the tests of a pattern; BRIG_VM_RUN, for who writes one, is another pattern that they must match as well.
func chosen(t *testing.T, program, pattern string) (list []string) {
	t.Helper()
	out, err := exec.Command(program, "-test.list", pattern).Output()
	if err != nil {
		t.Fatal(err)
	}
	only := regexp.MustCompile(os.Getenv("BRIG_VM_RUN"))
	for _, name := range strings.Fields(string(out)) {
		if only.MatchString(name) {
			list = append(list, name)
		}
	}
	if len(list) == 0 && only.String() == "" {
		t.Fatalf("package guest has no test %s", pattern)
	}
	return list
}

func build(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// kernel finds what a machine is made of, or skips: but make test-vm wants the tests, not a skip.
func kernel(t *testing.T) *Kernel {
	t.Helper()
	lacks := func(what string) {
		t.Log(what)
		if os.Getenv("BRIG_VM") == "1" {
			t.FailNow()
		}
		t.Skip("missing: qemu-system-x86 and Debian's kernel 6.1 for amd64")
	}
	if runtime.GOARCH != "amd64" {
		lacks("the machine needs programs for amd64")
	}
	for _, p := range []string{"qemu-system-x86_64", "mkfs.ext4", "busybox"} {
		if _, err := exec.LookPath(p); err != nil {
			lacks(err.Error() + ". Next: apt-get install qemu-system-x86 e2fsprogs busybox-static")
		}
	}
	k, err := FetchKernel(cache(t))
	if errors.Is(err, ErrNoKernel) {
		lacks(err.Error())
	} else if err != nil {
		t.Fatal(err)
	}
	return k
}

// cache is where what was fetched stays.
func cache(t *testing.T) string {
	t.Helper()
	dir, err := room.Cache("brig-test")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// policy compiles an AppArmor profile for a machine that has no compiler, as its administrator would.
func policy(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	const profile = "abi <abi/3.0>,\nprofile of-a-test flags=(attach_disconnected,mediate_deleted) {\n" +
		"  file,\n  capability,\n  network,\n  signal,\n  ptrace,\n  deny /forbidden w,\n}\n"
	if err := os.WriteFile(filepath.Join(dir, "brig"), []byte(profile), 0o644); err != nil {
		t.Fatal(err)
	}
	b, _, err := apparmor.Program(dir)
	if errors.Is(err, apparmor.ErrNoCompiler) {
		return
	}
	files["vm/apparmor.policy"] = filepath.Join(dir, "apparmor.policy")
	if err == nil {
		err = os.WriteFile(files["vm/apparmor.policy"], b, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func replay(t *testing.T, r *Result) {
	t.Run(r.Name, func(t *testing.T) {
		for _, s := range r.Subtests {
			replay(t, s)
		}
		switch said := strings.TrimSpace(r.Output); r.Action {
		case "pass":
			t.Log(said)
		case "skip":
			t.Skip(said)
		case "fail":
			t.Error(said)
		default:
			t.Errorf("it did not end: %s", said)
		}
	})
}

// tail is the end of a text.
func tail(s string) string { return s[max(0, len(s)-6000):] }
