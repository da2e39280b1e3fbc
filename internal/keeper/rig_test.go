package keeper

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestMain is the test, or with BRIG_TEST_KEEPER set the keeper of one: it needs a process of its own.
func TestMain(m *testing.M) {
	if dir := os.Getenv("BRIG_TEST_KEEPER"); dir != "" {
		unix.Umask(0)
		err := Run(Config{Root: dir + "/root", Run: dir + "/run", Socket: dir + "/run/brig.sock",
			Libexec: os.Getenv("BRIG_TEST_LIBEXEC"), Ready: os.NewFile(3, "ready")})
		if err != nil {
			fmt.Fprintln(os.Stderr, "brig-keeper:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	code := m.Run()
	if dir, err := libexec(); err == nil {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

// libexec is a directory with the program in testdata as brig-warden.
var libexec = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "brig-keeper-")
	if err != nil {
		return "", err
	}
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "brig-warden"), "./testdata/warden")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return dir, fmt.Errorf("build: %w\n%s", err, out)
	}
	return dir, nil
})

// rig is one engine's directories, its keeper, and the socket at which its wardens call.
type rig struct {
	t      *testing.T
	dir    string
	listen *net.UnixListener
	keeper *exec.Cmd
	ready  *os.File
	ended  chan error
}

// newRig makes the directories; start runs the keeper in them.
func newRig(t *testing.T) *rig {
	t.Helper()
	if os.Getuid() != 0 {
		t.Fatal("the keeper's tests run as root")
	}
	dir, err := os.MkdirTemp("", "brig-keeper-") // t.TempDir makes paths too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	for _, d := range []string{"/root", "/run", "/run/exits"} {
		if err := os.Mkdir(dir+d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	r := &rig{t: t, dir: dir}
	if r.listen, err = net.ListenUnix("unix", &net.UnixAddr{Name: dir + "/run/test.sock", Net: "unix"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.listen.Close() })
	if err := unix.Mkfifo(dir+"/run/fifo", 0o600); err != nil {
		t.Fatal(err)
	}
	return r
}

// start starts a keeper; it ends with the test at the latest.
func (r *rig) start(env ...string) {
	r.t.Helper()
	programs, err := libexec()
	if err != nil {
		r.t.Fatal(err)
	}
	ours, theirs, err := os.Pipe()
	if err != nil {
		r.t.Fatal(err)
	}
	defer theirs.Close()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), append(env, "BRIG_TEST_KEEPER="+r.dir, "BRIG_TEST_LIBEXEC="+programs)...)
	cmd.ExtraFiles = []*os.File{theirs}
	log, err := os.CreateTemp(r.dir, "stderr-")
	if err != nil {
		r.t.Fatal(err)
	}
	defer log.Close()
	cmd.Stderr = log // a file, so that Wait does not wait for the keeper's descendants
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	ended := make(chan error, 1)
	gone := make(chan struct{})
	go func() { ended <- cmd.Wait(); close(gone) }()
	r.keeper, r.ready, r.ended = cmd, ours, ended
	r.t.Cleanup(func() {
		cmd.Process.Kill()
		<-gone
		ours.Close()
		if b, _ := os.ReadFile(log.Name()); r.t.Failed() && len(b) > 0 {
			r.t.Logf("the keeper said:\n%s", b)
		}
	})
}

// said is the line on the ready descriptor.
func (r *rig) said() string {
	r.t.Helper()
	r.ready.SetReadDeadline(time.Now().Add(20 * time.Second))
	line, err := bufio.NewReader(r.ready).ReadString('\n')
	if err != nil {
		r.t.Fatalf("the ready descriptor: %q, %v", line, err)
	}
	return strings.TrimSpace(line)
}

// end waits for the keeper's end and returns its exit code.
func (r *rig) end() int {
	r.t.Helper()
	select {
	case <-r.ended:
		return r.keeper.ProcessState.ExitCode()
	case <-time.After(20 * time.Second):
		r.t.Fatal("the keeper does not end")
		return -1
	}
}

// life is one life of the warden.
type life struct {
	t    *testing.T
	c    net.Conn
	in   *bufio.Reader
	PID  int               `json:"pid"`
	Have map[string]uint64 `json:"have"`
}

// warden waits for the next warden.
func (r *rig) warden() *life {
	r.t.Helper()
	r.listen.SetDeadline(time.Now().Add(20 * time.Second))
	c, err := r.listen.Accept()
	if err != nil {
		r.t.Fatalf("no warden comes: %v", err)
	}
	r.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(30 * time.Second))
	l := &life{t: r.t, c: c, in: bufio.NewReader(c)}
	if err := json.Unmarshal([]byte(l.line()), l); err != nil {
		r.t.Fatal(err)
	}
	return l
}

func (l *life) line() string {
	l.t.Helper()
	s, err := l.in.ReadString('\n')
	if err != nil {
		l.t.Fatalf("the warden says %q, %v", s, err)
	}
	return strings.TrimSpace(s)
}

// order gives an order and returns the answer.
func (l *life) order(format string, args ...any) string {
	l.t.Helper()
	fmt.Fprintf(l.c, format+"\n", args...)
	return l.line()
}

// do gives orders that must succeed.
func (l *life) do(orders ...string) {
	l.t.Helper()
	for _, o := range orders {
		if got := l.order("%s", o); got != "ok" {
			l.t.Fatalf("%s: %s", o, got)
		}
	}
}

// kill kills the warden and waits until its process has ended.
func (l *life) kill() {
	l.t.Helper()
	if err := unix.Kill(l.PID, unix.SIGKILL); err != nil {
		l.t.Fatal(err)
	}
	if _, err := l.in.ReadString('\n'); err != io.EOF {
		l.t.Errorf("the killed warden: %v", err)
	}
}

// file makes a file and returns its path and inode.
func (r *rig) file(name string) (string, uint64) {
	r.t.Helper()
	path := filepath.Join(r.dir, name)
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		r.t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		r.t.Fatal(err)
	}
	return path, st.Ino
}
