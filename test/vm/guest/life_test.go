package guest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestKernel61Life has a container go through what is built differently on a kernel without the calls of later years:
// images from loop devices (before 6.12), overlays from paths (before 6.13), clones of attached mounts (before 6.15).
func TestKernel61Life(t *testing.T) {
	e := start(t)
	e.brig("network", "create", "net")
	e.brig("volume", "create", "data")
	e.brig("run", "-d", "--name", "web", "--network", "net", "-v", "data:/data", "-p", "127.0.0.1:8080:80", "--restart", "always", "box",
		"sh", "-c", "echo hello; while :; do echo -e 'HTTP/1.0 200 OK\n\nfrom web' | busybox nc -l -p 80; done")
	t.Run("images are on loop devices", func(t *testing.T) {
		files, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
		if err != nil || len(files) < 2 {
			t.Fatalf("%v: %v", err, files)
		}
		for _, f := range files {
			if name := text(t, f); !strings.Contains(name, "/store/") {
				t.Error(name)
			}
		}
	})
	say := func(name, want string, args ...string) {
		t.Run(name, func(t *testing.T) {
			for end := time.Now().Add(10 * time.Second); ; time.Sleep(100 * time.Millisecond) {
				out, status := e.try(args...)
				if status == 0 && strings.Contains(out, want) {
					return
				}
				if time.Now().After(end) {
					t.Fatalf("brig %s: status %d, not %q:\n%s", strings.Join(args, " "), status, want, out)
				}
			}
		})
	}
	say("logs", "hello", "logs", "web")
	say("exec", "uid=0(root)", "exec", "web", "id")
	say("a volume is shared", "kept", "run", "--rm", "-v", "data:/data", "box", "sh", "-c", "echo kept >/data/x; cat /data/x")
	say("and seen", "kept", "exec", "web", "cat", "/data/x")
	say("names of a network", "from web", "run", "--rm", "--network", "net", "box", "busybox", "wget", "-qO-", "http://web")
	say("a tmpfs", "size=1024k", "run", "--rm", "--tmpfs", "/t:size=1m", "box", "grep", " /t ", "/proc/mounts")
	say("a read-only root", "Read-only file system", "run", "--rm", "--read-only", "box", "sh", "-c", "touch /x 2>&1; true")
	say("a bind mount", "localhost", "run", "--rm", "-v", "/etc/hosts:/h:ro", "box", "cat", "/h")
	say("an init", "ok", "run", "--rm", "--init", "box", "echo", "ok")
	say("a joined network", "127.0.0.1", "run", "--rm", "--network", "container:web", "box", "busybox", "ip", "addr")
	t.Run("a published port", func(t *testing.T) {
		out, err := exec.Command("wget", "-qO-", "http://127.0.0.1:8080").CombinedOutput()
		if err != nil || !strings.Contains(string(out), "from web") {
			t.Errorf("%v: %s", err, out)
		}
	})
	t.Run("cp and diff", func(t *testing.T) {
		if err := os.WriteFile("/tmp/file", []byte("copied"), 0o644); err != nil {
			t.Fatal(err)
		}
		e.brig("cp", "/tmp/file", "web:/file")
		if out := e.brig("exec", "web", "cat", "/file"); out != "copied" {
			t.Error(out)
		}
		if out := e.brig("diff", "web"); !strings.Contains(out, "A /file") {
			t.Error(out)
		}
	})
	t.Run("commit", func(t *testing.T) {
		e.brig("commit", "web", "more")
		if out := e.brig("run", "--rm", "more", "cat", "/file"); out != "copied" {
			t.Error(out)
		}
	})
	t.Run("a killed engine adopts", func(t *testing.T) {
		if out, err := exec.Command("sh", "-c", "kill -9 $(pidof brig-warden) $(pidof brigd)").CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	})
	say("and goes on", "copied", "exec", "web", "cat", "/file")
	e.brig("rm", "-f", "web")
}
