package api

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const dockerPath = "/usr/local/bin/docker"

// docker runs the unmodified docker client and gives what it printed and its exit code.
func docker(t testing.TB, socket, stdin string, args ...string) (out, errOut string, code int) {
	t.Helper()
	if _, err := os.Stat(dockerPath); err != nil {
		t.Skip("missing: docker client")
	}
	var files [3]*os.File
	var readers [3]*os.File
	for i := range files {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		readers[i], files[i] = r, w
	}
	files[0], readers[0] = readers[0], files[0]
	env := []string{"PATH=/usr/bin:/bin", "HOME=" + t.TempDir(), "DOCKER_HOST=unix://" + socket}
	if v := os.Getenv("DOCKER_API_VERSION"); v != "" {
		env = append(env, "DOCKER_API_VERSION="+v)
	}
	p, err := os.StartProcess(dockerPath, append([]string{"docker"}, args...), &os.ProcAttr{Env: env, Files: files[:]})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		f.Close()
	}
	go func() {
		_, _ = io.WriteString(readers[0], stdin) // the client need not read
		readers[0].Close()
	}()
	timer := time.AfterFunc(30*time.Second, func() { _ = p.Kill() })
	defer timer.Stop()
	var bufs [2]bytes.Buffer
	done := make(chan error, 2)
	for i := range bufs {
		go func() { _, err := io.Copy(&bufs[i], readers[i+1]); done <- err }()
	}
	for range bufs {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	st, err := p.Wait()
	if err != nil {
		t.Fatal(err)
	}
	readers[1].Close()
	readers[2].Close()
	return bufs[0].String(), bufs[1].String(), st.ExitCode()
}

// check runs docker and compares.
func check(t *testing.T, socket, stdin, wantOut string, wantCode int, args ...string) {
	t.Helper()
	out, errOut, code := docker(t, socket, stdin, args...)
	if out != wantOut || code != wantCode {
		t.Errorf("docker %s\n got  %q, exit %d\n want %q, exit %d\n stderr: %s", strings.Join(args, " "), out, code, wantOut, wantCode, errOut)
	}
}

func TestDockerClientRuns(t *testing.T) {
	f := newFakeWarden(t)
	d := startDaemon(t, f, t.TempDir())
	for _, c := range []struct {
		name, stdin, out string
		code             int
		args             []string
	}{
		{"output", "", "hello\n", 0, []string{"run", "--rm", "test", "echo", "hello"}},
		{"exit code", "", "", 7, []string{"run", "--rm", "test", "sh", "-c", "exit 7"}},
		{"stdin", "one\ntwo\n", "one\ntwo\n", 0, []string{"run", "--rm", "-i", "test", "cat"}},
		{"not found is 127", "", "", 127, []string{"run", "--rm", "test", "no-such-program"}},
		{"not executable is 126", "", "", 126, []string{"run", "--rm", "test", "/etc"}},
		{"refusal is 125", "", "", 125, []string{"run", "--rm", "--privileged", "test", "true"}},
		{"environment", "", "b\n", 0, []string{"run", "--rm", "-e", "A=b", "test", "sh", "-c", "echo $A"}},
		{"killed by a signal", "", "", 137, []string{"run", "--rm", "test", "sh", "-c", "kill -9 $$"}},
		{"terminal", "", "tty\r\n", 0, []string{"run", "--rm", "-t", "test", "sh", "-c", "test -t 1 && echo tty"}},
	} {
		t.Run(c.name, func(t *testing.T) { check(t, d.socket, c.stdin, c.out, c.code, c.args...) })
	}
	out, _, _ := docker(t, d.socket, "", "ps", "-aq")
	if out != "" {
		t.Errorf("--rm left containers behind: %s", out)
	}
}

func TestDockerClientKeepsAContainer(t *testing.T) {
	f := newFakeWarden(t)
	dir := t.TempDir()
	s := startDaemon(t, f, dir).socket
	id, errOut, code := docker(t, s, "", "run", "-d", "--name", "keeper", "-l", "a=b", "test", "sh", "-c",
		"echo out; echo err >&2; trap 'exit 3' TERM; while :; do sleep 0.05; done")
	if code != 0 || len(strings.TrimSpace(id)) != 64 {
		t.Fatalf("run -d: %q %q %d", id, errOut, code)
	}
	eventually(t, "both lines are in the log", func() bool {
		out, errOut, _ := docker(t, s, "", "logs", "keeper")
		return out == "out\n" && errOut == "err\n"
	})
	check(t, s, "", "keeper\n", 0, "ps", "--format", "{{.Names}}", "--filter", "label=a=b")
	check(t, s, "", "172.30.0.2 running\n", 0, "inspect", "-f", "{{.NetworkSettings.IPAddress}} {{.State.Status}}", "keeper")
	check(t, s, "", "x\n", 0, "exec", "keeper", "echo", "x")
	check(t, s, "in", "in", 4, "exec", "-i", "keeper", "sh", "-c", "cat; exit 4")
	_, _, code = docker(t, s, "", "exec", "keeper", "no-such-program")
	if code != 127 {
		t.Errorf("exec of a missing program: exit %d, want 127", code)
	}
	check(t, s, "", "", 0, "exec", "-d", "keeper", "touch", filepath.Join(dir, "touched"))
	eventually(t, "the detached exec has run", func() bool { _, err := os.Stat(filepath.Join(dir, "touched")); return err == nil })
	_, errOut, code = docker(t, s, "", "rm", "keeper")
	if code == 0 || !strings.Contains(errOut, "container is running") {
		t.Errorf("rm of a running container: %q %d", errOut, code)
	}
	check(t, s, "", "keeper\n", 0, "stop", "keeper")
	check(t, s, "", "3\n", 0, "wait", "keeper")
	check(t, s, "", "exited 3\n", 0, "inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "keeper")
	check(t, s, "", "", 0, "rename", "keeper", "other")
	check(t, s, "", "other\n", 0, "start", "other")
	check(t, s, "", "other\n", 0, "kill", "other")
	check(t, s, "", "137\n", 0, "wait", "other")
	check(t, s, "", "other\n", 0, "rm", "other")
	if n := f.count("container.remove"); n == 0 {
		eventually(t, "the container is deleted", func() bool { return f.count("container.remove") > 0 })
	}
	_, errOut, code = docker(t, s, "", "inspect", "other")
	if code == 0 || !strings.Contains(errOut, "No such object") {
		t.Errorf("inspect after rm: %q %d", errOut, code)
	}
}
