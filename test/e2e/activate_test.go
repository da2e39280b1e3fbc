package e2e

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestAServiceManagersSocketIsTakenOver starts the engine as brig.socket and brig.service do: somebody listens already,
// and a client that connected before the engine ran is answered by it.
func TestAServiceManagersSocketIsTakenOver(t *testing.T) {
	e := &engine{t: t, dir: filepath.Join(t.TempDir(), "e"), netns: newNetns(t)}
	defer unix.Close(e.netns)
	e.socket = filepath.Join(e.dir, "run", "brig.sock")
	if err := os.MkdirAll(filepath.Join(e.dir, "run"), 0o711); err != nil {
		t.Fatal(err)
	}
	openToBrigd(t, e.dir)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: e.socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	first := e.brigCommand("version", "--format", "{{.Server.Version}}")
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	// The shell's pid is the engine's after both executions, as a service manager's child's would be.
	cmd := exec.Command("sh", "-c", `LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"`, "sh", bin(t, "brig"), "engine", "start",
		"--foreground", "--root", e.dir+"/root", "--run", e.dir+"/run", "--socket", e.socket)
	cmd.ExtraFiles = []*os.File{listener}
	if err := e.within(cmd.Start); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(time.Minute, func() { cmd.Process.Kill(); first.Process.Kill() })
	defer late.Stop()
	if err := first.Wait(); err != nil {
		t.Errorf("the client that came first: %v", err)
	}
	if pid := e.pid("brig-keeper"); pid != cmd.Process.Pid {
		t.Errorf("the engine is %d, not %d", pid, cmd.Process.Pid)
	}
	e.brig("engine", "stop", "--run", e.dir+"/run")
	if err := cmd.Wait(); err != nil {
		t.Errorf("the engine's end: %v", err)
	}
	if _, err := os.Stat(e.socket); err != nil {
		t.Errorf("the service manager's socket: %v", err)
	}
}

// openToBrigd lets brigd, which is nobody here, walk through the directories that lead to dir.
func openToBrigd(t *testing.T, dir string) {
	t.Helper()
	for ; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o711); err != nil {
			t.Fatal(err)
		}
	}
}
