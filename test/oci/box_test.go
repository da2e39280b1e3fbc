package oci

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/test/room"
)

// Docker and Podman are started in rooms, which are made of this program.
func TestMain(m *testing.M) {
	room.Main()
	os.Exit(m.Run())
}

// program is where make puts it.
func program(t testing.TB) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("containers are started, so this runs as root. Next: sudo make test")
	}
	p, err := filepath.Abs("../../bin/brig-oci")
	if err == nil {
		_, err = os.Stat(p)
	}
	if err != nil {
		t.Fatalf("%v. Next: make", err)
	}
	return p
}

// makeRoot writes a root file system of a static busybox and its names.
func makeRoot(t testing.TB, dir string) {
	t.Helper()
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(busybox)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"bin", "etc", "proc", "sys", "dev", "tmp", "full/below"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{"etc/passwd": "root:x:0:0::/root:/bin/sh\nmate:x:7:7::/home/mate:/bin/sh\n",
		"etc/group": "root:x:0:\n", "full/file": "from the image\n", "full/below/deep": "deep\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "bin/busybox"), b, 0o755), os.Chmod(filepath.Join(dir, "tmp"), 0o1777)); err != nil {
		t.Fatal(err)
	}
	for _, name := range strings.Fields("sh true false cat ls id stat mount umount readlink touch echo sleep grep hostname kill mkdir ps tty stty env pwd mknod head") {
		if err := os.Symlink("busybox", filepath.Join(dir, "bin", name)); err != nil {
			t.Fatal(err)
		}
	}
}

// box is a bundle and the runtime that starts it.
type box struct {
	t       testing.TB
	program string
	dir     string // the bundle
	state   string
	spec    *specs.Spec
	id      string
}

var boxes atomic.Int64

// newBox makes a bundle whose program is a shell command, from what brig-oci spec writes.
func newBox(t testing.TB, command string) *box {
	t.Helper()
	b := &box{t: t, program: program(t), id: fmt.Sprintf("brig-oci-test-%d-%d", os.Getpid(), boxes.Add(1))}
	top := t.TempDir()
	if err := os.Chmod(filepath.Dir(top), 0o711); err != nil { // the roots of user namespaces pass through
		t.Fatal(err)
	}
	if err := os.Chmod(top, 0o711); err != nil {
		t.Fatal(err)
	}
	b.dir, b.state = filepath.Join(top, "bundle"), filepath.Join(top, "state")
	makeRoot(t, filepath.Join(b.dir, "rootfs"))
	b.ok("spec", "--bundle", b.dir)
	text, err := os.ReadFile(filepath.Join(b.dir, "config.json"))
	if err == nil {
		err = json.Unmarshal(text, &b.spec)
	}
	if err != nil {
		t.Fatal(err)
	}
	b.spec.Process.Terminal = false
	b.spec.Process.Args = []string{"sh", "-c", command}
	b.spec.Linux.CgroupsPath = "/" + b.id
	t.Cleanup(func() {
		b.run(nil, "delete", "--force", b.id)
		if left, _ := filepath.Glob("/sys/fs/cgroup/*/" + b.id); len(left) > 0 {
			t.Errorf("control groups are left: %v", left)
		}
	})
	return b
}

// write writes the configuration.
func (b *box) write() {
	b.t.Helper()
	text, err := json.Marshal(b.spec)
	if err == nil {
		err = os.WriteFile(filepath.Join(b.dir, "config.json"), text, 0o644)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

// run runs brig-oci and gives what it printed, with its complaints, and its exit status.
func (b *box) run(stdin []byte, args ...string) (string, int) {
	b.t.Helper()
	cmd := exec.Command(b.program, append([]string{"--root", b.state}, args...)...)
	file := filepath.Join(filepath.Dir(b.dir), fmt.Sprintf("output-%d", boxes.Add(1)))
	out, err := os.Create(file) // not a pipe: what stays would keep it open
	if err != nil {
		b.t.Fatal(err)
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr, cmd.Stdin = out, out, bytes.NewReader(stdin)
	timer := time.AfterFunc(20*time.Second, func() { cmd.Process.Kill() })
	defer timer.Stop()
	err = cmd.Run()
	text, readErr := os.ReadFile(file)
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || readErr != nil {
		b.t.Fatal(err, readErr)
	}
	return string(text), cmd.ProcessState.ExitCode()
}

// ok runs brig-oci and wants success.
func (b *box) ok(args ...string) string {
	b.t.Helper()
	out, status := b.run(nil, args...)
	if status != 0 {
		b.t.Fatalf("brig-oci %s: status %d\n%s", strings.Join(args, " "), status, out)
	}
	return out
}

// refused runs brig-oci and wants an error with these words.
func (b *box) refused(words string, args ...string) {
	b.t.Helper()
	out, status := b.run(nil, args...)
	if status == 0 || !strings.Contains(out, words) {
		b.t.Errorf("brig-oci %s: status %d, want a failure that says %q:\n%s", strings.Join(args, " "), status, words, out)
	}
}

// once runs the container to its end and gives what it printed.
func (b *box) once() (string, int) {
	b.t.Helper()
	b.write()
	return b.run(nil, "run", "--bundle", b.dir, b.id)
}

// prints runs the container and wants its output to hold each of lines.
func (b *box) prints(lines ...string) string {
	b.t.Helper()
	out, status := b.once()
	for _, l := range lines {
		if !strings.Contains("\n"+out, "\n"+l) {
			b.t.Errorf("status %d, no line begins with %q:\n%s", status, l, out)
		}
	}
	return out
}

// status is what state says.
func (b *box) status() string {
	b.t.Helper()
	var s struct{ Status string }
	if err := json.Unmarshal([]byte(b.ok("state", b.id)), &s); err != nil {
		b.t.Fatal(err)
	}
	return s.Status
}

// catches waits until the program catches TERM, which the kernel drops until then: it is the first of its namespace.
func (b *box) catches() {
	b.t.Helper()
	var s struct{ Pid int }
	if err := json.Unmarshal([]byte(b.ok("state", b.id)), &s); err != nil {
		b.t.Fatal(err)
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.Pid))
		_, caught, _ := strings.Cut(string(text), "SigCgt:\t")
		caught, _, _ = strings.Cut(caught, "\n")
		if mask, _ := strconv.ParseUint(caught, 16, 64); mask&(1<<(unix.SIGTERM-1)) != 0 {
			return
		}
		if err != nil || time.Now().After(end) {
			b.t.Fatalf("the program does not catch TERM: %v", err)
		}
	}
}

// until waits for a status.
func (b *box) until(want string) {
	b.t.Helper()
	for end := time.Now().Add(10 * time.Second); b.status() != want; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			b.t.Fatalf("status is %s, want %s", b.status(), want)
		}
	}
}
