package e2e

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// calls are those that the engine has recorded of a container.
func (e *engine) calls(name string) []string {
	e.t.Helper()
	var got struct{ Calls []string }
	if err := json.Unmarshal(e.callsAnswer(name), &got); err != nil {
		e.t.Fatal(err)
	}
	return got.Calls
}

func (e *engine) callsAnswer(name string) []byte {
	e.t.Helper()
	res, err := e.api().Get("http://brig/brig/calls/" + name)
	if err != nil {
		e.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		e.t.Fatal(err)
	}
	return b
}

// plainProfile writes a profile and gives the option.
func (e *engine) plainProfile(text string) string {
	e.t.Helper()
	path := filepath.Join(e.dir, "plain.json")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		e.t.Fatal(err)
	}
	return "seccomp=" + path
}

// What a container calls is recorded, of every program in it; what is refused stays refused and is not.
func TestRecordedCalls(t *testing.T) {
	e := startEngine(t).withBusybox()
	e.brig("run", "-d", "--name", "rec", "--record", "box", "sh", "-c", "mkdir /tmp/a; mount -t tmpfs x /mnt || echo refused; chroot / echo mine; while :; do sleep 0.2; done")
	e.eventually("its work", func() bool { return strings.Contains(e.brig("logs", "rec"), "mine") })
	if out := e.brig("logs", "rec"); !strings.Contains(out, "refused") {
		t.Errorf("%s", out)
	}
	got := e.calls("rec")
	for _, name := range []string{"execve", "mkdir", "chroot", "write", "exit_group"} {
		if !slices.Contains(got, name) {
			t.Errorf("%s is missing in %q", name, got)
		}
	}
	for _, name := range []string{"mount", "seccomp", "setns", "pivot_root", "rmdir"} { // refused, of the engine's own, not called
		if slices.Contains(got, name) {
			t.Errorf("%s is not one of its calls", name)
		}
	}
	e.brig("exec", "rec", "rm", "-r", "/tmp/a")
	if !slices.Contains(e.calls("rec"), "rmdir") {
		t.Error("what was executed in it is not recorded")
	}
	e.brig("pause", "rec")
	e.brig("unpause", "rec")
	e.brig("exec", "rec", "sh", "-c", "for i in 1 2 3 4 5 6 7 8; do (head -c 100000 /dev/zero | wc -c) & done; wait")
	e.brig("stop", "-t", "0", "rec")
	if !slices.Contains(e.calls("rec"), "rmdir") {
		t.Error("its calls are gone with its end")
	}
	e.brig("run", "--name", "short", "--record", "--init", "box", "true")
	if !slices.Contains(e.calls("short"), "execve") {
		t.Errorf("%q", e.calls("short"))
	}
	e.docker("run", "--name", "docker", "--annotation", "brig.record=true", "box", "true")
	if !slices.Contains(e.calls("docker"), "exit_group") {
		t.Errorf("docker: %q", e.calls("docker"))
	}
	e.refused(125, []string{"--record, --annotation brig.record maybe: it is true or false"}, "run", "--rm", "--annotation", "brig.record=maybe", "box", "true")
	e.apply("level = \"standard\"\n") // nobody has a line
	if out, code := e.run(e.asUser(1000, e.brigCommand("run", "--rm", "--record", "box", "echo", "anybody"))); code != 0 || out != "anybody" {
		t.Errorf("a user who has no line: %d %s", code, out)
	}
	e.brig("policy", "apply", "--default", "--root", e.dir+"/root")
	e.brig("create", "--name", "plain", "box", "true")
	if body := string(e.callsAnswer("plain")); !strings.Contains(body, "was not made with --record") {
		t.Errorf("%s", body)
	}
	e.refused(125, []string{"cannot be recorded", "Leave --record out"}, "run", "--rm", "--record", "--security-opt", e.profile("p.json", "/run/none.sock", "mkdir"), "box", "true")
	// A profile is recorded as it is: what it refuses, and with which error.
	out := e.brig("run", "--name", "narrow", "--record", "--security-opt", e.plainProfile(`{"defaultAction":"SCMP_ACT_ALLOW",
		"syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO","errnoRet":122}]}`), "box", "sh", "-c", "mkdir /tmp/a 2>&1; echo done")
	if !strings.Contains(out, "quota exceeded") || !strings.Contains(out, "done") || slices.Contains(e.calls("narrow"), "mkdir") {
		t.Errorf("%s %q", out, e.calls("narrow"))
	}
}

// Who answers for the calls of a container may be killed: the container is ended then, and says why. It never hangs.
func TestRecordedContainerEndsWithItsBrigd(t *testing.T) {
	e := startEngine(t).withBusybox()
	e.brig("run", "-d", "--name", "rec", "--record", "box", "sh", "-c", "while :; do sleep 0.05; done")
	e.brig("run", "-d", "--name", "always", "--restart", "always", "--record", "box", "sh", "-c", "while :; do sleep 0.05; done")
	e.brig("run", "-d", "--name", "plain", "box", "sleep", "1000")
	e.killed("brigd")
	e.eventually("its end", func() bool {
		out, _ := e.run(e.brigCommand("inspect", "--format", "{{.State.Status}} {{.State.Error}}", "rec"))
		return strings.HasPrefix(out, "exited") && strings.Contains(out, "brigd, which answered for its system calls, has ended")
	})
	e.eventually("the other's restart", func() bool {
		out, _ := e.run(e.brigCommand("inspect", "--format", "{{.State.Status}} {{.RestartCount}}", "always"))
		return out == "running 1"
	})
	time.Sleep(300 * time.Millisecond)
	if out := e.brig("inspect", "--format", "{{.State.Status}} {{.RestartCount}}", "always"); out != "running 1" {
		t.Errorf("it did not stay: %s", out)
	}
	if out := e.brig("inspect", "--format", "{{.State.Status}}", "plain"); out != "running" {
		t.Errorf("one that is not recorded: %s", out)
	}
	e.brig("start", "rec")
	if out := e.brig("exec", "rec", "echo", "again"); out != "again" {
		t.Errorf("%s", out)
	}
	e.brig("rm", "-f", "rec", "always", "plain")
}
