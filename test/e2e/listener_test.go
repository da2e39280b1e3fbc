package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/seccomp"
	"github.com/brig-engine/brig/internal/kernel/seccomp/notify"
	"github.com/brig-engine/brig/test/listener"
)

// profile writes a profile that leaves calls to a listener, and gives the option.
func (e *engine) profile(name, socket string, calls ...string) string {
	e.t.Helper()
	b, err := json.Marshal(map[string]any{"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": socket, "listenerMetadata": "the \"first\"",
		"syscalls": []map[string]any{{"names": calls, "action": "SCMP_ACT_NOTIFY"}}})
	path := filepath.Join(e.dir, name)
	if err == nil {
		err = os.WriteFile(path, b, 0o644)
	}
	if err != nil {
		e.t.Fatal(err)
	}
	return "seccomp=" + path
}

// A profile's listener decides, for the container and for what is executed in it; but never about what the floor refuses.
func TestListenerDecidesAboveTheFloor(t *testing.T) {
	e := startEngine(t).withBusybox()
	socket := filepath.Join(e.dir, "l.sock")
	l := listener.New(t, socket, 0o600, func(c notify.Call) unix.Errno {
		switch name := seccomp.Name(runtime.GOARCH, c.Number); name {
		case "mkdir", "mkdirat":
			return unix.EDQUOT
		case "mount", "setns":
			t.Errorf("it was asked about %s", name)
		}
		return 0
	})
	option := e.profile("p.json", socket, "mkdir", "mkdirat", "mount", "execve", "execveat", "setns")
	const script = "mkdir /tmp/a; mount -t tmpfs x /mnt; chroot / echo mine"
	id := e.brig("run", "-d", "--name", "heard", "--security-opt", option, "box", "sh", "-c", script+"; sleep 1000")
	e.eventually("its work", func() bool { return strings.Contains(e.brig("logs", "heard"), "mine") })
	out, _ := e.run(e.brigCommand("logs", "heard"))
	if !strings.Contains(out, "quota exceeded") || !strings.Contains(out, "mount: permission denied") {
		t.Errorf("%s", out)
	}
	if out, _ := e.run(e.brigCommand("exec", "heard", "mkdir", "/tmp/b")); !strings.Contains(out, "quota exceeded") {
		t.Errorf("executed: %s", out)
	}
	told, peers, heard := l.Told()
	if len(told) != 2 || heard < 5 || peers[0] != 0 {
		t.Fatalf("%d processes of users %v, %d calls", len(told), peers, heard)
	}
	one := told[0]
	if one.State.ID != id || one.Metadata != "the \"first\"" || one.State.Status != specs.StateCreating || one.Pid != one.State.Pid {
		t.Errorf("of the container it was told %+v", one)
	}
	if two := told[1]; two.State.Pid != one.Pid || two.Pid == one.Pid || two.State.Status != specs.StateRunning {
		t.Errorf("of what was executed it was told %+v", two)
	}
	// Docker's own client sends the profile itself, and its listenerPath is as good.
	docker := e.dockerCommand("run", "--rm", "--security-opt", option, "box", "sh", "-c", "mkdir /tmp/a; echo done")
	if out, code := e.run(docker); code != 0 || !strings.Contains(out, "quota exceeded") {
		t.Errorf("docker: %d %s", code, out)
	}
	e.brig("rm", "-f", "heard")
}

// The socket is reached with the rights of who starts the container.
func TestListenerIsReachedAsTheCallerCould(t *testing.T) {
	e := startEngine(t).withBusybox()
	user := func(args ...string) (string, int) {
		return e.run(e.asUser(1000, e.brigCommand(args...)))
	}
	e.apply("[[allow]]\nusers = [1000]\nsecurity-opt = [\"seccomp=profile\"]\n")
	decide := func(notify.Call) unix.Errno { return 0 }
	hers, his := filepath.Join(e.dir, "hers.sock"), filepath.Join(e.dir, "his.sock")
	listener.New(t, hers, 0o600, decide) // root's
	l := listener.New(t, his, 0o666, decide)
	for socket, want := range map[string]string{hers: "permission denied", filepath.Join(e.dir, "none.sock"): "no such file"} {
		option := e.profile("p.json", socket, "mkdir", "mkdirat")
		out, code := user("run", "--rm", "--security-opt", option, "box", "true")
		if code < 125 || !strings.Contains(out, "the listener of the seccomp profile: open "+socket+": "+want) {
			t.Errorf("%s: %d %s", socket, code, out)
		}
	}
	option := e.profile("p.json", his, "mkdir", "mkdirat")
	if out, code := user("run", "--rm", "--security-opt", option, "box", "sh", "-c", "mkdir /tmp/a && echo made"); code != 0 || out != "made" {
		t.Errorf("%d %s", code, out)
	}
	if _, peers, _ := l.Told(); fmt.Sprint(peers) != "[1000]" {
		t.Errorf("it was told by users %v", peers)
	}
	// At level strict a profile takes away only, and nobody needs a line for it.
	e.apply("level = \"standard\"\n")
	if out, code := user("run", "--rm", "-u", "7", "--level", "strict", "--tmpfs", "/t", "--security-opt", option, "box", "sh", "-c",
		"mkdir /t/a && grep Seccomp_filters /proc/self/status"); code != 0 || !strings.HasSuffix(out, "3") {
		t.Errorf("strict: %d %s", code, out)
	}
}
