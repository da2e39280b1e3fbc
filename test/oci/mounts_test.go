package oci

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func TestMounts(t *testing.T) {
	b := newBox(t, "grep -E ' /(ro|rro|file|scratch|copied|atime)[ /]' /proc/self/mountinfo; cat /file; touch /ro/x || echo ro holds; touch /rro/sub/x || echo rro holds; touch /ro/sub/x && echo sub of ro is open; ls -l /copied; cat /copied/file /copied/below/deep; touch /full/x || echo root holds; cat /link/y; ls -l /dev")
	outside := t.TempDir()
	if err := os.MkdirAll(filepath.Join(outside, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", filepath.Join(outside, "sub"), "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(filepath.Join(outside, "sub"), 0) })
	file := filepath.Join(outside, "file")
	if err := os.WriteFile(file, []byte("of the host\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	// A mount point behind a link of the image stays inside, wherever the link leads.
	if err := os.Mkdir(filepath.Join(b.dir, "rootfs/tmp/inside"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/../../../tmp/inside", filepath.Join(b.dir, "rootfs/link")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(outside, "y"), []byte("through a link\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, m := range []struct{ at, kind, source, options string }{
		{"/ro", "", outside, "rbind,ro"}, {"/rro", "", outside, "rbind,rro"}, {"/file", "bind", file, "bind,ro,noatime"},
		{"/scratch", "tmpfs", "tmpfs", "size=1m,mode=700,noexec,ro"}, {"/copied", "tmpfs", "tmpfs", "tmpcopyup"},
		{"/link", "", outside, "bind"},
	} {
		if m.at == "/copied" {
			m.at = "/full"
		}
		b.spec.Mounts = append(b.spec.Mounts, specs.Mount{Destination: m.at, Type: m.kind, Source: m.source, Options: strings.Split(m.options, ",")})
	}
	mode := os.FileMode(0o640)
	owner := uint32(7)
	b.spec.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/deep/zero", Type: "c", Major: 1, Minor: 5, FileMode: &mode, UID: &owner, GID: &owner}}
	b.spec.Process.Args[2] = strings.ReplaceAll(b.spec.Process.Args[2], "/copied", "/full") + "; ls -l /dev/deep"
	b.spec.Process.Args[2] = strings.ReplaceAll(b.spec.Process.Args[2], "touch /full/x ||", "touch /bin/x ||")
	out := b.prints("of the host", "ro holds", "rro holds", "sub of ro is open", "from the image", "deep", "root holds", "through a link", "crw-r-----    1 mate     7           1,   5")
	for _, want := range []string{" /ro ro,relatime ", " /file ro,noatime ", " /scratch ro,noexec,relatime "} {
		if !strings.Contains(out, want) {
			t.Errorf("no mount has %q:\n%s", want, out)
		}
	}
}

// What an image has in place of a directory, and where links of it lead, opens nothing of the kernel (CVE-2019-19921,
// CVE-2019-16884, CVE-2023-27561).
func TestHostileRoots(t *testing.T) {
	for _, attack := range []struct{ link, to, mount, words string }{
		{"proc", "/tmp", "", "open the mount point /proc"},
		{"sys", "/tmp", "", "open the mount point /sys"},
		{"into", "/proc", "/into/self/attr", "covers /proc"},
		{"into", "/proc/sys", "/into/kernel", "covers /proc/sys/kernel"},
	} {
		b := newBox(t, "true")
		at := filepath.Join(b.dir, "rootfs", attack.link)
		_ = os.Remove(at) // it is there or not
		if err := os.Symlink(attack.to, at); err != nil {
			t.Fatal(err)
		}
		if attack.mount != "" {
			b.spec.Mounts = append(b.spec.Mounts, specs.Mount{Destination: attack.mount, Type: "tmpfs", Source: "tmpfs"})
		}
		b.write()
		b.refused(attack.words, "run", "--bundle", b.dir, b.id)
	}
	b := newBox(t, "")
	if err := os.Symlink("/proc/self/exe", filepath.Join(b.dir, "rootfs/bin/self")); err != nil {
		t.Fatal(err)
	}
	b.spec.Process.Args = []string{"/bin/self", "--version"}
	b.write()
	b.refused("too many levels of symbolic links", "run", "--bundle", b.dir, b.id)
}

// A script whose interpreter is the file that is being executed would have the runtime's own program run in the container,
// where /proc/self/exe leads back to it (CVE-2019-5736): it is on a mount that cannot be written to.
func TestOwnProgramCannotBeWritten(t *testing.T) {
	b := newBox(t, "")
	script := filepath.Join(b.dir, "rootfs/bin/script")
	if err := os.WriteFile(script, []byte("#!/proc/self/exe\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	b.spec.Process.Args = []string{"/bin/script"}
	if out, _ := b.once(); !strings.Contains(out, "unknown command") { // it is what runs, with words that it does not know
		t.Errorf("the interpreter printed %q", out)
	}
	// The same from outside: what a waiting container is a copy of.
	w := newBox(t, "true")
	w.write()
	pidFile := filepath.Join(w.dir, "pid")
	w.ok("create", "--bundle", w.dir, "--pid-file", pidFile, w.id)
	pid, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	held, err := unix.Open(fmt.Sprintf("/proc/%s/exe", pid), unix.O_PATH, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(held)
	w.ok("delete", "--force", w.id)
	// While anything executes it the file is busy: who waits longer than that sees why it does not help.
	fd, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", held), unix.O_WRONLY, 0)
	if err != unix.EROFS {
		t.Errorf("opening the program for writing: %v, want %v", err, unix.EROFS)
	}
	if err == nil {
		unix.Close(fd)
	}
}

func TestMaskedAndReadOnly(t *testing.T) {
	b := newBox(t, "cat /proc/timer_list | wc -c; ls /proc/acpi /full | wc -l; echo 1 > /proc/sys/kernel/domainname || echo sys holds; touch /tmp/x || echo tmp holds; cat /etc/passwd | wc -c; mount | grep -c ' /proc '")
	b.spec.Root.Readonly = false
	b.spec.Process.Args[2] = strings.ReplaceAll(b.spec.Process.Args[2], "wc -c", "sh -c 'read x; echo got:$x'")
	b.spec.Process.Args[2] = strings.ReplaceAll(b.spec.Process.Args[2], "| wc -l", "")
	b.spec.Linux.MaskedPaths = append(b.spec.Linux.MaskedPaths, "/full", "/etc/passwd", "/not/there")
	b.spec.Linux.ReadonlyPaths = append(b.spec.Linux.ReadonlyPaths, "/tmp", "/not/there")
	out := b.prints("got:\n", "sys holds", "tmp holds")
	if strings.Contains(out, "below") || strings.Contains(out, "root:") {
		t.Errorf("a masked path shows:\n%s", out)
	}
}

func TestNoPivotAndPropagation(t *testing.T) {
	for _, way := range []string{"private", "rprivate", "slave", "rslave", "shared", "rshared", "unbindable", ""} {
		b := newBox(t, "grep ' / / ' /proc/self/mountinfo; grep -m1 rootfs /proc/self/mountinfo; echo done")
		b.spec.Linux.RootfsPropagation = way
		out := b.prints("done")
		if shared := strings.Contains(out, "shared:"); shared != strings.HasSuffix(way, "shared") {
			t.Errorf("%s:\n%s", way, out)
		}
	}
	b := newBox(t, "ls / ; ls /proc/self/fd")
	b.write()
	out := b.ok("run", "--no-pivot", "--bundle", b.dir, b.id)
	if !strings.Contains(out, "full") || strings.Contains(out, "boot") {
		t.Errorf("--no-pivot:\n%s", out)
	}
	b = newBox(t, idle)
	b.write()
	b.ok("run", "-d", "--no-pivot", "--bundle", b.dir, b.id)
	if out := b.ok("exec", b.id, "ls", "/"); !strings.Contains(out, "full") || strings.Contains(out, "boot") {
		t.Errorf("exec:\n%s", out)
	}
}
