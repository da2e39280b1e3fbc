package guest

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/brig-engine/brig/internal/drill/ownengine"
)

// engine is one under test, which has the image box.
type engine struct {
	*ownengine.Engine
	t *testing.T
}

// start starts an engine, which must leave nothing when the test ends.
func start(t *testing.T) *engine {
	t.Helper()
	own, err := ownengine.Start(t.Context(), "/vm/bin", io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	e := &engine{own, t}
	t.Cleanup(func() {
		if left, err := own.Stop(); err != nil || len(left) > 0 {
			t.Errorf("engine stop: %v; left: %v", err, left)
		}
	})
	e.brig("import", "--change", "ENV PATH=/bin", "--change", `CMD ["sh"]`, box(t), "box")
	return e
}

// box is the archive of a root file system with a busybox.
func box(t *testing.T) string {
	t.Helper()
	const script = `mkdir -p /run/box/bin /run/box/tmp /run/box/etc && cp /bin/busybox /run/box/bin && echo root:x:0:0::/:/bin/sh >/run/box/etc/passwd &&
		for a in sh cat dd echo grep head id kill ls mkdir mount ping ps rm seq sleep sysctl tail touch true usleep wc; do ln -s busybox /run/box/bin/$a; done &&
		tar -C /run/box -cf /run/box.tar .`
	once.Do(func() {
		if out, err := exec.Command("sh", "-c", script).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	})
	return "/run/box.tar"
}

var once sync.Once

// try runs brig and returns what it printed, and its exit status.
func (e *engine) try(args ...string) (string, int) {
	cmd := exec.Command(e.Brig, args...)
	cmd.Env = append(os.Environ(), "BRIG_HOST=unix://"+e.Socket)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.Run()
	return strings.TrimSpace(out.String()), cmd.ProcessState.ExitCode()
}

// brig is try, and must succeed.
func (e *engine) brig(args ...string) string {
	e.t.Helper()
	out, status := e.try(args...)
	if status != 0 {
		e.t.Fatalf("brig %s: status %d\n%s", strings.Join(args, " "), status, out)
	}
	return out
}

// refused runs brig, which must fail with this status and say all of the words.
func (e *engine) refused(t *testing.T, status int, words []string, args ...string) {
	t.Helper()
	out, got := e.try(args...)
	if got != status {
		t.Errorf("brig %s: status %d, want %d\n%s", strings.Join(args, " "), got, status, out)
	}
	for _, w := range words {
		if !strings.Contains(out, w) {
			t.Errorf("brig %s: does not say %q:\n%s", strings.Join(args, " "), w, out)
		}
	}
}
