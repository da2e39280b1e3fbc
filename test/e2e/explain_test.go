package e2e

import (
	"encoding/json"
	"errors"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A command line is explained as it would be carried out, by both forms, and nothing comes of it.
func TestExplainOfACommandLine(t *testing.T) {
	e := startEngine(t).withBusybox()
	volumes := e.brig("volume", "ls", "-q")
	text := e.brig("explain", "run", "-it", "--name", "x", "-v", "new:/data", "-v", t.TempDir()+":/host:ro", "--read-only", "--sysctl", "net.core.somaxconn=99",
		"-w", "/work", "box", "sh", "-c", "id")
	for _, want := range []string{"birth of a container: sh -c id", "[A6 A7]", "stage 1, process 1 of the container",
		`openat2(<root>, "data", {O_PATH|O_DIRECTORY, IN_ROOT|NO_MAGICLINKS}, 24)`, "mount_setattr(<mount1>, \"\", AT_EMPTY_PATH|AT_RECURSIVE, {RDONLY|NOSUID|NODEV",
		`openat2(proc, "sys/net/core/somaxconn"`, "TIOCSCTTY", `seccomp(SET_MODE_FILTER, SPEC_ALLOW, floor's filter, `, `execve(path, ["sh" "-c" "id"]`} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
	var p struct {
		Title string
		Steps []struct {
			First, Last int
			Call, Why   string
			Answers     []string
		}
	}
	if err := json.Unmarshal([]byte(e.brig("explain", "create", "--format", "json", "box", "true")), &p); err != nil {
		t.Fatal(err)
	}
	last := 0
	for _, s := range p.Steps {
		if s.Call != "" && (s.First != last+1 || s.Last < s.First) {
			t.Errorf("after %d comes %+v", last, s)
		}
		last = max(last, s.Last)
	}
	if p.Title != "birth of a container: true" || last < 80 {
		t.Errorf("%q with %d calls", p.Title, last)
	}
	e.refused(125, []string{"no-privileged"}, "explain", "run", "--privileged", "box")
	e.refused(125, []string{"does not exist on the host"}, "explain", "run", "-v", e.dir+"/nothing:/x", "box")
	if out := e.brig("ps", "-aq") + e.brig("volume", "ls", "-q"); out != volumes {
		t.Errorf("made: %q", out)
	}
}

// What the kernel says of running containers is what was asked for, whatever that is, and a difference is an error.
func TestExplainOfARunningContainer(t *testing.T) {
	e := startEngine(t).withBusybox()
	for name, options := range map[string]string{
		"plain": "", "terminal": "-it", "readonly": "--read-only --tmpfs /tmp -u 1000:1000 --cap-drop ALL", "init": "--init --shm-size 1m",
		"mounts": "-v data:/data -v " + t.TempDir() + ":/host:ro --mount type=tmpfs,dst=/scratch", "none": "--network none --ulimit nofile=100:200 --oom-score-adj 500",
		"relaxed": "--cap-add NET_ADMIN --security-opt no-new-privileges=false --security-opt seccomp=unconfined", "noshm": "--ipc none",
		"joined": "--network container:first --ipc container:first --pid container:first",
	} {
		if name == "joined" {
			e.brig("run", "-d", "--name", "first", "--ipc", "shareable", "box", "sleep", "1000")
		}
		e.brig(append(append([]string{"run", "-d", "--name", name}, strings.Fields(options)...), "box", "sleep", "1000")...)
		out, code := e.run(e.brigCommand("explain", name))
		if code != 0 || strings.Contains(out, "DIFFERS") || !strings.Contains(out, "ok       CapBnd") || !strings.Contains(out, "each as asked for; --all") {
			t.Errorf("%s: %d\n%s", name, code, out)
		}
	}
	// Somebody with the host's rights takes away what protects the kernel's switches.
	pid := e.show("{{.State.Pid}}", "plain")
	if err := uncover(pid, "/proc/sys"); err != nil {
		t.Fatal(err)
	}
	out, code := e.run(e.brigCommand("explain", "plain"))
	if code != 1 || !strings.Contains(out, `DIFFERS  mount on "/proc/sys"`) || strings.Count(out, "DIFFERS") != 1 {
		t.Errorf("%d %s", code, out)
	}
	if out := e.brig("explain", "--format", "{{.Differs}}", "mounts"); out != "false" {
		t.Errorf("%q", out)
	}
	e.refused(1, []string{"is not running"}, "explain", e.brig("create", "box"))
	e.refused(1, []string{"No such container"}, "explain", "nobody")
}

// uncover unmounts what lies on a path, in the mount namespace of a process.
func uncover(pid, path string) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and ends with it
		ns, err := unix.Open("/proc/"+pid+"/ns/mnt", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err == nil {
			defer unix.Close(ns)
			err = errors.Join(unix.Unshare(unix.CLONE_FS), unix.Setns(ns, unix.CLONE_NEWNS), unix.Unmount(path, 0))
		}
		done <- err
	}()
	return <-done
}
