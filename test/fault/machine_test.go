package fault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/daemon/registry/registrytest"
)

// machine is one engine in a network namespace of its own, with an image and a container that runs throughout.
type machine struct {
	engineID
	t      testing.TB
	netns  int
	client *http.Client

	listener net.Listener // of the registry

	registry  *registrytest.Registry
	bystander int         // its process
	base      census      // of the engine at rest
	died      int         // wardens, in the engine's log
	deaths    []time.Time // of wardens and routers: the engine gives up on those who die all the time
}

func (m *machine) socket() string { return m.Dir + "/run/s" }

func program(t testing.TB, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "..", "bin", name))
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		t.Fatalf("%v. Next: make", err)
	}
	return path
}

// newMachine starts an engine. Close ends it.
func newMachine(t testing.TB, parent string) *machine {
	t.Helper()
	if os.Getuid() != 0 {
		t.Fatal("the engine's tests run as root. Next: sudo make test")
	}
	dir, err := os.MkdirTemp(parent, "brig-fault-")
	if err == nil {
		err = os.Chmod(dir, 0o711) // brigd walks through it
	}
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{engineID: newEngineID(dir), t: t, netns: newNetns(t), registry: &registrytest.Registry{
		Manifests: map[string]registrytest.Manifest{}, Blobs: map[string][]byte{}}}
	m.serve()
	m.client = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", m.socket())
		}}}
	m.start()
	return m
}

// with is the machine with another test to report to.
func (m *machine) with(t testing.TB) *machine { m.t = t; return m }

func newNetns(t testing.TB) int {
	t.Helper()
	fd, err := -1, error(nil)
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
		if err = unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return
		}
		if err = loopbackUp(); err == nil {
			fd, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		}
	}()
	if <-done; err != nil {
		t.Fatalf("network namespace: %v", err)
	}
	return fd
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

// within does something on a thread in a network namespace.
func within(netns int, do func() error) (err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if err = unix.Setns(netns, unix.CLONE_NEWNET); err == nil {
			err = do()
		}
	}()
	<-done
	return err
}

// start starts the engine's processes.
func (m *machine) start() {
	m.t.Helper()
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		cmd := m.command("engine", "start", "--root", m.Dir+"/root", "--run", m.Dir+"/run", "--socket", m.socket())
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		err := within(m.netns, cmd.Run)
		if err == nil {
			return
		}
		// One that is ending has no name any more, and still its locks.
		if !strings.Contains(out.String(), "already runs") || time.Now().After(end) {
			m.t.Fatalf("engine start: %v\n%s\n%s", err, out.String(), m.log())
		}
	}
}

func (m *machine) stop() {
	m.t.Helper()
	if out, err := m.command("engine", "stop", "--run", m.Dir+"/run").CombinedOutput(); err != nil {
		m.t.Errorf("engine stop: %v\n%s", err, out)
	}
}

// fell does what the fall of a machine does after its processes have gone: what is volatile is away.
func (m *machine) fell() {
	m.t.Helper()
	m.eventually("the end of all processes", func() bool {
		m.kill([]string{"brig-keeper", "brig-warden", "brig-spawner", "brigd", "brig-router", "brig-store", "brig-worker", containers})
		entries, _ := os.ReadDir("/proc")
		for _, d := range entries {
			var pid int
			if _, err := fmt.Sscan(d.Name(), &pid); err != nil {
				continue
			}
			if _, ours := m.program(pid); ours {
				return false
			}
		}
		return true
	})
	if err := os.RemoveAll(m.Dir + "/run"); err != nil {
		m.t.Fatal(err)
	}
	sweepCgroups(m.Instance)
	unix.Close(m.netns) // tables and interfaces of the host go with it
	m.netns = newNetns(m.t)
	m.serve()
}

// registryAddress is where the registry of each machine listens, in its network namespace.
const registryAddress = "127.0.0.1:5000"

// serve lets the registry answer until the namespace is left.
func (m *machine) serve() {
	m.t.Helper()
	var l net.Listener
	err := within(m.netns, func() (err error) {
		l, err = net.Listen("tcp", registryAddress)
		return err
	})
	if err != nil {
		m.t.Fatal(err)
	}
	if m.listener != nil {
		m.listener.Close()
	}
	m.listener = l
	go http.Serve(l, m.registry)
}

// close ends the engine, and says if that leaves anything.
func (m *machine) close() {
	if len(m.find("brig-keeper")) > 0 {
		m.stop()
	} else {
		m.fell()
	}
	if m.t.Failed() {
		m.t.Logf("engine's log:\n%s", m.log())
	}
	m.listener.Close()
	unix.Close(m.netns)
	if err := os.RemoveAll(m.Dir); err != nil {
		m.t.Errorf("the engine left something that cannot be removed: %v", err)
	}
	sweepCgroups(m.Instance)
}

func (m *machine) log() string {
	b, _ := os.ReadFile(m.Dir + "/run/engine.log")
	return string(b[max(0, len(b)-6000):])
}

func (m *machine) command(args ...string) *exec.Cmd {
	cmd := exec.Command(program(m.t, "brig"), args...)
	cmd.Env = append(os.Environ(), "BRIG_HOST=unix://"+m.socket(), "DOCKER_HOST=")
	return cmd
}

// brig runs a command line that must succeed.
func (m *machine) brig(args ...string) string {
	m.t.Helper()
	out, code := m.try(args...)
	if code != 0 {
		m.t.Fatalf("brig %s: exit code %d\n%s\n%s", strings.Join(args, " "), code, out, m.log())
	}
	return out
}

// patience is how long any command line may take.
const patience = 30 * time.Second

func (m *machine) try(args ...string) (out string, code int) {
	m.t.Helper()
	cmd := m.command(args...)
	var b bytes.Buffer
	cmd.Stdout, cmd.Stderr = &b, &b
	if err := cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	return m.await(cmd, &b)
}

// await waits for a command that was started.
func (m *machine) await(cmd *exec.Cmd, out *bytes.Buffer) (string, int) {
	m.t.Helper()
	late := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	err := cmd.Wait()
	if !late.Stop() {
		m.t.Errorf("%s: not done in %s\n%s", strings.Join(cmd.Args[1:], " "), patience, out)
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		m.t.Fatal(err)
	}
	return strings.TrimRight(out.String(), "\n"), cmd.ProcessState.ExitCode()
}

func (m *machine) eventually(what string, f func() bool) {
	m.t.Helper()
	for end := time.Now().Add(15 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if f() {
			return
		}
	}
	m.t.Fatalf("%s: not within 15 s\n%s", what, m.log())
}

func sweepCgroups(instance string) {
	for range 100 {
		left := cgroupsOf(instance)
		for i := len(left) - 1; i >= 0; i-- {
			os.Remove(left[i])
		}
		if len(left) == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// cgroupsOf lists the control groups of an engine in every hierarchy, outermost first.
func cgroupsOf(instance string) (found []string) {
	tops, _ := filepath.Glob("/sys/fs/cgroup/*/" + instance)
	more, _ := filepath.Glob("/sys/fs/cgroup/" + instance)
	deeper, _ := filepath.Glob("/sys/fs/cgroup/*/*/" + instance)
	deepest, _ := filepath.Glob("/sys/fs/cgroup/*/*/*/" + instance)
	for _, top := range slices.Concat(tops, more, deeper, deepest) {
		filepath.WalkDir(top, func(path string, d os.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				found = append(found, path)
			}
			return nil
		})
	}
	return found
}

// dial gives what a server on the engine's loopback says.
func (m *machine) dial(address string) (said string) {
	within(m.netns, func() error {
		c, err := net.DialTimeout("tcp", address, time.Second)
		if err != nil {
			return err
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(time.Second))
		b, _ := io.ReadAll(c)
		said = string(b)
		return nil
	})
	return said
}
