package guest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/seccomp/notify"
	"github.com/brig-engine/brig/test/listener"
)

// TestKernel61Listener has calls decided and recorded on the oldest kernel, where who waits for a call is not woken when the last
// process has ended (before 6.11).
func TestKernel61Listener(t *testing.T) {
	e := start(t)
	const script = "mkdir /tmp/a; while :; do sleep 0.1; done"
	e.brig("run", "-d", "--name", "rec", "--record", "-u", "7:7", "box", "sh", "-c", "trap 'exit 3' TERM; "+script)
	file := filepath.Join(t.TempDir(), "p.json")
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		e.brig("tighten", "--profile", file, "rec")
		if b, err := os.ReadFile(file); err != nil || strings.Contains(string(b), `"mkdir`) {
			break
		}
		if time.Now().After(end) {
			t.Fatal("mkdir is not recorded")
		}
	}
	e.brig("stop", "rec")
	out, status := e.try("run", "--rm", "--level", "strict", "-u", "7:7", "--tmpfs", "/tmp", "--security-opt", "seccomp="+file, "box",
		"sh", "-c", "mkdir /tmp/a && echo made; touch /tmp/a || echo refused")
	if status != 0 || !strings.Contains(out, "made") || !strings.Contains(out, "refused") {
		t.Errorf("with its profile: %d %s", status, out)
	}
	socket := filepath.Join(t.TempDir(), "l.sock")
	l := listener.New(t, socket, 0o600, func(notify.Call) unix.Errno { return unix.EDQUOT })
	profile := `{"defaultAction":"SCMP_ACT_ALLOW","listenerPath":"` + socket + `","syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_NOTIFY"}]}`
	if err := os.WriteFile(file, []byte(profile), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, status := e.try("run", "--rm", "--security-opt", "seccomp="+file, "box", "mkdir", "/tmp/a"); status != 1 || !strings.Contains(out, "uota exceeded") {
		t.Errorf("with a listener: %d %s", status, out)
	}
	if told, _, heard := l.Told(); len(told) != 1 || heard != 1 {
		t.Errorf("it was told of %d processes and %d calls", len(told), heard)
	}
}
