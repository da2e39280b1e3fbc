package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
)

// terminal is a docker client on a pseudo terminal, as a person has it.
type terminal struct {
	e    *engine
	cmd  *exec.Cmd
	pty  *os.File
	mu   sync.Mutex
	seen bytes.Buffer
	done chan struct{}
}

// atTerminal starts docker with its standard streams on a terminal of 80 columns and 24 rows.
func (e *engine) atTerminal(args ...string) *terminal {
	e.t.Helper()
	cmd := e.dockerCommand(args...)
	cmd.Env = append(cmd.Env, "TERM=dumb")
	f, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: 80})
	if err != nil {
		e.t.Fatal(err)
	}
	x := &terminal{e: e, cmd: cmd, pty: f, done: make(chan struct{})}
	go func() {
		defer close(x.done)
		buf := make([]byte, 4096)
		for {
			n, err := f.Read(buf) // EIO when the last one has closed the terminal
			x.mu.Lock()
			x.seen.Write(buf[:n])
			x.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	e.t.Cleanup(func() { x.cmd.Process.Kill(); x.pty.Close() })
	return x
}

func (x *terminal) text() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.seen.String()
}

func (x *terminal) types(s string) {
	x.e.t.Helper()
	if _, err := x.pty.WriteString(s); err != nil {
		x.e.t.Fatal(err)
	}
}

// shows waits for a text that has not been waited for before, and forgets what came up to its end.
func (x *terminal) shows(want string) {
	x.e.t.Helper()
	for deadline := time.Now().Add(15 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		x.mu.Lock()
		i := strings.Index(x.seen.String(), want)
		if i >= 0 {
			x.seen.Next(i + len(want))
		}
		x.mu.Unlock()
		if i >= 0 {
			return
		}
	}
	x.e.t.Fatalf("the terminal does not show %q but %q", want, x.text())
}

// ends waits for the client's end.
func (x *terminal) ends(code int) {
	x.e.t.Helper()
	late := time.AfterFunc(15*time.Second, func() { x.cmd.Process.Kill() })
	defer late.Stop()
	x.cmd.Wait() // the exit code says it
	<-x.done
	if got := x.cmd.ProcessState.ExitCode(); got != code {
		x.e.t.Errorf("docker ended with %d, want %d: %q", got, code, x.text())
	}
}

func TestDockerTerminal(t *testing.T) {
	e := startEngine(t).withBusybox()
	t.Run("a shell: echo, size, resize, Ctrl-C, exit code", func(t *testing.T) {
		e := e.with(t)
		x := e.atTerminal("run", "-it", "--rm", "--name", "shell", "box", "sh")
		x.shows("/ # ")
		x.types("stty size\r")
		x.shows("24 80")
		if err := pty.Setsize(x.pty, &pty.Winsize{Rows: 40, Cols: 132}); err != nil {
			t.Fatal(err)
		}
		e.eventually("the new size", func() bool {
			out, _ := e.run(e.dockerCommand("exec", "shell", "sh", "-c", "stty size < /dev/console"))
			return out == "40 132"
		})
		x.types("sleep 1000\r")
		e.eventually("sleep", func() bool { return strings.Contains(e.docker("exec", "shell", "ps"), "sleep 1000") })
		x.types("\x03")
		x.types("echo $?-\r")
		x.shows("130-")
		x.types("exit 42\r")
		x.ends(42)
		if out := e.docker("ps", "-aq"); out != "" {
			t.Errorf("left behind: %q", out)
		}
	})
	t.Run("detach keys leave it running, attach comes back", func(t *testing.T) {
		e := e.with(t)
		x := e.atTerminal("run", "-it", "--name", "stays", "box", "sh")
		x.shows("/ # ")
		x.types("x=kept\r")
		x.shows("/ # ")
		x.types("\x10\x11")
		x.ends(0)
		if out := e.docker("inspect", "-f", "{{.State.Running}}", "stays"); out != "true" {
			t.Fatalf("after ctrl-p ctrl-q: running %q", out)
		}
		x = e.atTerminal("attach", "stays")
		x.types("echo $x-$x\r")
		x.shows("kept-kept")
		x.types("exit 3\r")
		x.ends(3)
		e.docker("rm", "stays")
	})
	t.Run("exec -it has a terminal of its own", func(t *testing.T) {
		e := e.with(t)
		e.docker("run", "-d", "--name", "base", "box", "sleep", "1000")
		x := e.atTerminal("exec", "-it", "base", "sh")
		x.shows("/ # ")
		x.types("tty; stty size\r")
		x.shows("/dev/pts/")
		x.shows("24 80")
		x.types("exit 9\r")
		x.ends(9)
		x = e.atTerminal("exec", "-it", "base", "sh")
		x.shows("/ # ")
		x.types("\x10\x11")
		x.shows("read escape sequence")
		x.ends(1)
		e.docker("rm", "-f", "base")
	})
}

func TestDockerRunsAndExecutes(t *testing.T) {
	e := startEngine(t).withBusybox()
	cmd := e.dockerCommand("run", "--rm", "-i", "box", "sh", "-c", "cat; echo err >&2; exit 6")
	cmd.Stdin = strings.NewReader("in\n")
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	cmd.Run() // the exit code says it
	if out.String() != "in\n" || errOut.String() != "err\n" || cmd.ProcessState.ExitCode() != 6 {
		t.Errorf("run -i: %q %q %d", out.String(), errOut.String(), cmd.ProcessState.ExitCode())
	}
	e.docker("run", "-d", "--name", "one", "--label", "a=b", "--env", "v=1", "--memory", "64m", "-v", "vol:/data", "box",
		"sh", "-c", "trap 'exit 4' TERM; while :; do sleep 0.1; done")
	for _, c := range []struct {
		want string
		args []string
	}{
		{"1-2", []string{"exec", "-e", "w=2", "one", "sh", "-c", "echo $v-$w"}},
		{"1000", []string{"exec", "-u", "worker", "one", "id", "-u"}},
		{"/data", []string{"exec", "-w", "/data", "one", "pwd"}},
		{"one box", []string{"ps", "--format", "{{.Names}} {{.Image}}"}},
		{"one", []string{"ps", "--filter", "label=a=b", "--format", "{{.Names}}"}},
		{"", []string{"ps", "-q", "--filter", "label=a=c"}},
		{"true 67108864 b",
			[]string{"inspect", "-f", `{{.State.Running}} {{.HostConfig.Memory}} {{.Config.Labels.a}}`, "one"}},
		{"vol /data", []string{"inspect", "-f", "{{range .Mounts}}{{.Name}} {{.Destination}}{{end}}", "one"}},
		{"vol", []string{"volume", "ls", "-q"}},
		{"one", []string{"stop", "-t", "5", "one"}},
		{"exited 4", []string{"inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "one"}},
		{"", []string{"ps", "-q"}},
		{"one", []string{"start", "one"}},
		{"", []string{"rename", "one", "two"}},
		{"two", []string{"kill", "two"}},
		{"137", []string{"wait", "two"}},
		{"two", []string{"rm", "two"}},
		{"vol", []string{"volume", "rm", "vol"}},
	} {
		if got := e.docker(c.args...); got != c.want {
			t.Errorf("docker %s: %q, want %q", strings.Join(c.args, " "), got, c.want)
		}
	}
	for _, c := range []struct {
		code int
		say  string
		args []string
	}{
		{127, "not found", []string{"run", "--rm", "box", "nothing"}},
		{126, "ermission denied", []string{"run", "--rm", "box", "/etc/passwd"}},
		{1, "No such container: two", []string{"stop", "two"}},
		{1, "No such container: two", []string{"logs", "two"}},
		{1, "two", []string{"inspect", "two"}},
	} {
		out, code := e.run(e.dockerCommand(c.args...))
		if code != c.code || !strings.Contains(out, c.say) {
			t.Errorf("docker %s: exit code %d, want %d and %q:\n%s", strings.Join(c.args, " "), code, c.code, c.say, out)
		}
	}
}

func TestDockerFollowsLogs(t *testing.T) {
	e := startEngine(t).withBusybox()
	e.docker("run", "-d", "--name", "talks", "box", "sh", "-c",
		"i=0; while [ $i -lt 5 ]; do i=$((i+1)); echo line $i; done; "+
			"while [ ! -e /go ]; do sleep 0.05; done; echo err >&2; echo end")
	e.eventually("the last two lines", func() bool { return e.docker("logs", "-n", "2", "talks") == "line 4\nline 5" })
	x := e.atTerminal("logs", "-f", "talks")
	x.shows("line 5")
	e.docker("exec", "talks", "touch", "/go")
	x.shows("end")
	x.ends(0)
	cmd := e.dockerCommand("logs", "-t", "talks")
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	if stamp, rest, _ := strings.Cut(errOut.String(), " "); rest != "err\n" {
		t.Errorf("standard error of logs: %q", errOut.String())
	} else if _, err := time.Parse(time.RFC3339Nano, stamp); err != nil {
		t.Error(err)
	}
	if n := strings.Count(out.String(), "\n"); n != 6 {
		t.Errorf("%d lines on standard output, want 6:\n%s", n, out.String())
	}
	e.docker("rm", "talks")
}

// TestDockerMovesImages saves, loads, tags, lists and removes. Push and pull are in TestImagesThroughARegistry.
func TestDockerMovesImages(t *testing.T) {
	e := startEngine(t).withBusybox()
	id := e.docker("images", "-q", "--no-trunc", "box")
	if !strings.HasPrefix(id, "sha256:") {
		t.Fatalf("images: %q", id)
	}
	e.docker("tag", "box", "example.test/other:v1")
	if out := e.docker("images", "--format", "{{.Repository}}:{{.Tag}}"); !strings.Contains(out, "example.test/other:v1") {
		t.Errorf("images: %q", out)
	}
	archive := filepath.Join(e.dir, "saved.tar")
	e.docker("save", "-o", archive, "box", "example.test/other:v1")
	for _, name := range []string{"box", "example.test/other:v1"} {
		if out := e.docker("rmi", name); !strings.Contains(out, "Untagged: "+name) {
			t.Errorf("rmi: %q", out)
		}
	}
	if out, code := e.run(e.dockerCommand("run", "--rm", "--pull", "never", "box", "true")); code != 125 {
		t.Errorf("an image that was removed ran: %d %s", code, out)
	}
	// Much more than fits into the socket: the client has to read why nobody wants the rest of it.
	junk := e.write("junk", bytes.Repeat([]byte("junk"), 8<<20))
	for _, args := range [][]string{{"load", "-i", junk}, {"import", junk, "junk"}} {
		if out, code := e.run(e.dockerCommand(args...)); code == 0 || !strings.Contains(out, "damaged") {
			t.Errorf("docker %v: exit code %d\n%s", args, code, out)
		}
	}
	if out := e.docker("load", "-i", archive); !strings.Contains(out, "Loaded image: box:latest") {
		t.Errorf("load: %q", out)
	}
	if out := e.docker("images", "-q", "--no-trunc", "box"); out != id {
		t.Errorf("after save and load: %q, was %q", out, id)
	}
	var list []struct{ RepoTags []string }
	err := json.Unmarshal([]byte(e.docker("inspect", "box")), &list)
	if err != nil || len(list) != 1 || len(list[0].RepoTags) != 2 {
		t.Errorf("inspect: %v %v", list, err)
	}
	if out := e.docker("run", "--rm", "box", "echo", "back"); out != "back" {
		t.Errorf("%q", out)
	}
	cmd := e.dockerCommand("import", "-c", `CMD ["echo", "imported"]`, "-c", "ENV PATH=/bin", "-", "mine:1")
	cmd.Stdin = bytes.NewReader(busyboxTar(t))
	if out := e.must(cmd); !strings.Contains(out, "sha256:") {
		t.Errorf("import: %q", out)
	}
	if out := e.docker("run", "--rm", "mine:1"); out != "imported" {
		t.Errorf("%q", out)
	}
	if out := e.docker("history", "--format", "{{.Size}}", "mine:1"); out == "" {
		t.Error("history is empty")
	}
}
