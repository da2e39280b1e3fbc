package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// engine is one engine under test, alone in a network namespace.
type engine struct {
	t      testing.TB
	dir    string
	socket string
	netns  int
	group  string // control group, once somebody has looked
}

// bin is where make puts the programs.
func bin(t testing.TB, name string) string {
	t.Helper()
	p, err := filepath.Abs(filepath.Join("..", "..", "bin", name))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(p); err != nil {
		t.Fatalf("%v. Next: make", err)
	}
	return p
}

// startEngine starts an engine and stops it when the test ends.
func startEngine(t testing.TB) *engine {
	t.Helper()
	if os.Getuid() != 0 {
		t.Fatal("the engine's tests run as root. Next: sudo make test")
	}
	dir, err := os.MkdirTemp("", "brig-e2e-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o711); err != nil { // brigd walks through it
		t.Fatal(err)
	}
	e := &engine{t: t, dir: dir, socket: filepath.Join(dir, "run", "brig.sock"), netns: newNetns(t)}
	t.Cleanup(e.cleanup)
	e.start()
	return e
}

// start starts the engine's processes in its namespace, with more options.
func (e *engine) start(options ...string) {
	e.t.Helper()
	out, err := e.inside(e.brigCommand(append([]string{"engine", "start", "--root", e.dir + "/root", "--run", e.dir + "/run",
		"--socket", e.socket}, options...)...))
	if err != nil {
		e.t.Fatalf("engine start: %v\n%s\n%s", err, out, e.log())
	}
}

func (e *engine) log() string {
	b, _ := os.ReadFile(filepath.Join(e.dir, "run", "engine.log"))
	return string(b)
}

func (e *engine) stop() {
	e.t.Helper()
	if out, err := e.brigCommand("engine", "stop", "--run", e.dir+"/run").CombinedOutput(); err != nil {
		e.t.Errorf("engine stop: %v\n%s\n%s", err, out, e.log())
	}
}

func (e *engine) cleanup() {
	e.stop()
	if e.t.Failed() {
		e.t.Logf("engine's log:\n%s", e.log())
	}
	unix.Close(e.netns)
	if err := os.RemoveAll(e.dir); err != nil {
		e.t.Errorf("the engine left something that cannot be removed: %v", err)
	}
}

func (e *engine) brigCommand(args ...string) *exec.Cmd {
	cmd := exec.Command(bin(e.t, "brig"), args...)
	cmd.Env = append(os.Environ(), "BRIG_HOST=unix://"+e.socket, "DOCKER_HOST=")
	return cmd
}

// brig runs the command line and returns its output without the last newline; it must succeed.
func (e *engine) brig(args ...string) string {
	e.t.Helper()
	return e.must(e.brigCommand(args...))
}

// docker runs the unmodified docker client against the engine.
func (e *engine) docker(args ...string) string {
	e.t.Helper()
	return e.must(e.dockerCommand(args...))
}

func (e *engine) dockerCommand(args ...string) *exec.Cmd {
	e.t.Helper()
	path, err := exec.LookPath("docker")
	if err != nil {
		e.t.Skip("missing: docker client")
	}
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), "DOCKER_HOST=unix://"+e.socket, "DOCKER_CONFIG="+e.dir)
	return cmd
}

func (e *engine) must(cmd *exec.Cmd) string {
	e.t.Helper()
	out, code := e.run(cmd)
	if code != 0 {
		e.t.Fatalf("%s: exit code %d\n%s", strings.Join(cmd.Args, " "), code, out)
	}
	return out
}

// run returns both outputs and the exit code. A command that takes over a minute has failed.
func (e *engine) run(cmd *exec.Cmd) (string, int) {
	e.t.Helper()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		e.t.Fatal(err)
	}
	late := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
	err := cmd.Wait()
	if !late.Stop() {
		e.t.Fatalf("%s: not done within a minute\n%s", strings.Join(cmd.Args, " "), out.String())
	}
	if _, exited := err.(*exec.ExitError); err != nil && !exited {
		e.t.Fatal(err)
	}
	return strings.TrimRight(out.String(), "\n"), cmd.ProcessState.ExitCode()
}

// refused runs brig, which must fail with this exit code and say all of the words.
func (e *engine) refused(code int, words []string, args ...string) {
	e.t.Helper()
	out, got := e.run(e.brigCommand(args...))
	if got != code {
		e.t.Errorf("brig %s: exit code %d, want %d\n%s", strings.Join(args, " "), got, code, out)
	}
	for _, w := range words {
		if !strings.Contains(out, w) {
			e.t.Errorf("brig %s: does not say %q:\n%s", strings.Join(args, " "), w, out)
		}
	}
}

// newNetns makes a network namespace with a loopback interface that is up.
func newNetns(t testing.TB) int {
	t.Helper()
	type made struct {
		fd  int
		err error
	}
	ch := make(chan made)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			ch <- made{-1, err}
			return
		}
		if err := loopbackUp(); err != nil {
			ch <- made{-1, err}
			return
		}
		fd, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		ch <- made{fd, err}
	}()
	m := <-ch
	if m.err != nil {
		t.Fatalf("network namespace: %v", m.err)
	}
	return m.fd
}

func loopbackUp() error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	ifr, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	ifr.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, ifr)
}

// within runs f on a thread in the engine's network namespace.
func (e *engine) within(f func() error) error {
	ch := make(chan error)
	go func() {
		runtime.LockOSThread()
		if err := unix.Setns(e.netns, unix.CLONE_NEWNET); err != nil {
			ch <- fmt.Errorf("enter the namespace: %w", err)
			return
		}
		ch <- f()
	}()
	return <-ch
}

// inside runs a command in the engine's network namespace: the program that starts the engine, and clients of ports.
func (e *engine) inside(cmd *exec.Cmd) (string, error) {
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := e.within(func() error { return cmd.Run() })
	return out.String(), err
}

// dial connects from inside the engine's network namespace, as a program on the host would.
func (e *engine) dial(network, address string) (net.Conn, error) {
	var conn net.Conn
	err := e.within(func() (err error) {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		conn, err = (&net.Dialer{}).DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// eventually waits until f reports success.
func (e *engine) eventually(what string, f func() bool) {
	e.t.Helper()
	for deadline := time.Now().Add(15 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if f() {
			return
		}
	}
	e.t.Fatalf("%s: not within 15 s", what)
}

// pid finds a process of this engine by the name of its program, and the engine's directory among the arguments or as the
// place of its log.
func (e *engine) pid(program string) int {
	e.t.Helper()
	if pid := e.find(program); pid != 0 {
		return pid
	}
	e.t.Fatalf("no %s runs", program)
	return 0
}

func (e *engine) runs(program string) bool { return e.find(program) != 0 }

func (e *engine) find(program string) int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		e.t.Fatal(err)
	}
	for _, d := range entries {
		line, err := os.ReadFile("/proc/" + d.Name() + "/cmdline")
		if err != nil {
			continue
		}
		args := strings.Split(string(line), "\x00")
		log, _ := os.Readlink("/proc/" + d.Name() + "/fd/2")
		if filepath.Base(args[0]) == program && strings.Contains(string(line)+log, e.dir) {
			pid, _ := strconv.Atoi(d.Name())
			return pid
		}
	}
	return 0
}
