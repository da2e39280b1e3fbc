package api

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
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
		t.Errorf("docker %s\n got  %q, exit %d\n want %q, exit %d\n stderr: %s", strings.Join(args, " "), out, code,
			wantOut, wantCode, errOut)
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
	check(t, s, "", "172.30.0.2 running\n", 0, "inspect", "-f", "{{.NetworkSettings.IPAddress}} {{.State.Status}}",
		"keeper")
	check(t, s, "", "x\n", 0, "exec", "keeper", "echo", "x")
	check(t, s, "in", "in", 4, "exec", "-i", "keeper", "sh", "-c", "cat; exit 4")
	_, _, code = docker(t, s, "", "exec", "keeper", "no-such-program")
	if code != 127 {
		t.Errorf("exec of a missing program: exit %d, want 127", code)
	}
	check(t, s, "", "", 0, "exec", "-d", "keeper", "touch", filepath.Join(dir, "touched"))
	eventually(t, "the detached exec has run", func() bool {
		_, err := os.Stat(filepath.Join(dir,
			"touched"))
		return err == nil
	})
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

func TestOlderVersionsOfTheAPI(t *testing.T) {
	f := newFakeWarden(t)
	s := startDaemon(t, f, t.TempDir()).socket
	for _, v := range []string{"1.40", "1.41", "1.44", "1.50"} {
		t.Run(v, func(t *testing.T) {
			t.Setenv("DOCKER_API_VERSION", v)
			check(t, s, "", "x\n", 0, "run", "--rm", "test", "echo", "x")
			check(t, s, "in", "in", 3, "run", "--rm", "-i", "test", "sh", "-c", "cat; exit 3")
			check(t, s, "", v+"\n", 0, "version", "-f", "{{.Client.APIVersion}}")
		})
	}
}

func TestDockerClientInATerminal(t *testing.T) {
	if _, err := os.Stat(dockerPath); err != nil {
		t.Skip("missing: docker client")
	}
	f := newFakeWarden(t)
	s := startDaemon(t, f, t.TempDir()).socket
	master, tty := openPTY(t)
	p, err := os.StartProcess(dockerPath, []string{"docker", "run", "-it", "--name", "term", "test", "sh", "-c",
		"stty -echo; stty size; trap 'echo int' INT; while :; do read l && echo got $l; done"},
		&os.ProcAttr{Env: []string{"PATH=/usr/bin:/bin", "TERM=xterm", "HOME=" + t.TempDir(), "DOCKER_HOST=unix://" + s},
			Files: []*os.File{tty, tty, tty},
			Sys:   &syscall.SysProcAttr{Setsid: true, Setctty: true}})
	if err != nil {
		t.Fatal(err)
	}
	tty.Close()
	timer := time.AfterFunc(20*time.Second, func() { _ = p.Kill() })
	defer timer.Stop()
	seen := &transcript{}
	go seen.read(master)
	say := func(s, answer string) {
		t.Helper()
		if _, err := io.WriteString(master, s); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the terminal shows "+answer, func() bool { return strings.Contains(seen.String(), answer) })
	}
	say("", "31 77\r\n") // the client's own size arrives before or after the start
	say("hello\n", "got hello\r\n")
	say("\x03", "int\r\n")
	say("\x10\x11", "") // the client looks for the keys itself, and leaves
	if st, err := p.Wait(); err != nil || st.ExitCode() != 0 {
		t.Errorf("the detached client: %v, %v", st, err)
	}
	check(t, s, "", "running\n", 0, "inspect", "-f", "{{.State.Status}}", "term")
	check(t, s, "", "term\n", 0, "rm", "-f", "term")
}

// transcript collects what a terminal shows.
type transcript struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (x *transcript) read(f *os.File) {
	buf := make([]byte, 4096)
	for {
		n, err := f.Read(buf)
		x.mu.Lock()
		x.b.Write(buf[:n])
		x.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (x *transcript) String() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.b.String()
}

// openPTY gives a terminal of 31 rows and 77 columns.
func openPTY(t *testing.T) (master, tty *os.File) {
	t.Helper()
	m, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(m, unix.TIOCGPTN)
	err = errors.Join(err, unix.IoctlSetPointerInt(m, unix.TIOCSPTLCK, 0),
		unix.IoctlSetWinsize(m, unix.TIOCSWINSZ, &unix.Winsize{Row: 31, Col: 77}))
	if err != nil {
		t.Fatal(err)
	}
	if tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	master = os.NewFile(uintptr(m), "ptmx")
	t.Cleanup(func() { master.Close() })
	return master, tty
}
