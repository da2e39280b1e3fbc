package api

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	apiimage "github.com/moby/moby/api/types/image"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/daemon/container"
	"github.com/brig-engine/brig/internal/daemon/event"
	"github.com/brig-engine/brig/internal/daemon/image"
	"github.com/brig-engine/brig/internal/daemon/log"
	"github.com/brig-engine/brig/internal/daemon/network"
	"github.com/brig-engine/brig/internal/daemon/policy"
	"github.com/brig-engine/brig/internal/daemon/volume"
	"github.com/brig-engine/brig/internal/wire"
	"github.com/brig-engine/brig/internal/wire/client"
)

// testImage is the one image that there is. Its programs are those of the host.
func testImage() *image.Image {
	i := &image.Image{ID: "sha256:" + strings.Repeat("ab", 32), Index: "sha256:" + strings.Repeat("cd", 32),
		Names: []string{"docker.io/library/test:latest"}, Users: []image.User{{Name: "root", Home: "/root"}, {Name: "app",
			UID: 1000, GID: 1000}}}
	i.Config = dockerspec.DockerOCIImage{}
	i.Config.Config.Cmd = []string{"sh"}
	i.Config.Config.Env = []string{"PATH=/usr/local/bin:/usr/bin:/bin"}
	return i
}

type testImages struct{}

func (testImages) Lookup(ref string) (*image.Image, error) {
	if i := testImage(); ref == "test" || ref == i.ID {
		return i, nil
	}
	return nil, fmt.Errorf("No such image: %s: %w", ref, errdefs.ErrNotFound)
}
func (testImages) Hold(string, string) error { return nil }
func (testImages) Release(string, string)    {}
func (testImages) Commit(ctx context.Context, _ image.CommitOptions, layer func(context.Context, int) error) (string, error) {
	fd, err := unix.MemfdCreate("layer", unix.MFD_CLOEXEC)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	return "sha256:made", layer(ctx, fd)
}

// usedImages is the test image with a layer that another one shares.
func usedImages() (int64, []*apiimage.Summary, error) {
	return 5000, []*apiimage.Summary{
		{ID: testImage().ID, RepoTags: []string{"test:latest"}, RepoDigests: []string{}, Size: 3000, SharedSize: 1000,
			Containers: 2},
		{ID: "sha256:" + strings.Repeat("ef", 32), RepoTags: []string{}, RepoDigests: []string{}, Size: 3000, SharedSize: 1000},
	}, nil
}

// compiled counts the profiles that were compiled.
var compiled atomic.Int64

// compileAnew gives another program each time, as if the kernel were a new one.
func compileAnew(container.Filter) (*wire.Filter, error) {
	return &wire.Filter{Program: fmt.Appendf(nil, "%08d", compiled.Add(1))}, nil
}

// testReceivers are the receivers of logs of this test.
var testReceivers log.Receivers

// testNames are what the last server tells a forwarder.
var testNames atomic.Pointer[network.Names]

// newServer is brigd's wiring around a connection to a warden.
func newServer(conn int, dir string) (*Server, *client.Client, error) {
	c, err := wire.FileConn(conn, "warden")
	if err != nil {
		return nil, nil, err
	}
	client := client.New(c, "the warden")
	ctx := context.Background()
	s := &Server{Bus: &event.Bus{}, Root: "/var/lib/brig", Images: handler(func(_ http.ResponseWriter,
		r *http.Request) error {
		return fmt.Errorf("No such image: %s: %w", r.URL.Path, errdefs.ErrNotFound)
	})}
	if _, err := client.Call(ctx, wire.OpHello, wire.Hello{Version: wire.Version}, &s.Hello); err != nil {
		return nil, nil, err
	}
	s.Network = network.Facts{Instance: s.Hello.Instance, Subnet: netip.MustParsePrefix(s.Hello.Subnet),
		Gateway: netip.MustParseAddr(s.Hello.Gateway)}
	s.Forward = func() {}
	if s.Networks, err = network.Open(filepath.Join(dir, "state", "networks"), s.Network, s.Bus); err != nil {
		return nil, nil, err
	}
	s.Host = policy.Host{MemoryTotal: 8 << 30, CPUs: 2, NofileHard: 20000}
	s.FindImage, s.ImageUsage = testImages{}.Lookup, usedImages
	if s.Volumes, err = volume.Open(ctx, filepath.Join(dir, "state", "volumes"), client, s.Bus); err != nil {
		return nil, nil, err
	}
	testNames.Store(network.NewNames())
	s.Logs = &log.Meter{}
	m := s.Measure()
	s.Engine, err = container.NewEngine(ctx, container.Config{
		Metrics: m, LogMeter: s.Logs,
		Warden: m.Timed(client), Images: testImages{}, Volumes: s.Volumes, Bus: s.Bus, Networks: s.Networks, Names: testNames.Load(),
		Host:   s.Host,
		Filter: compileAnew, Receivers: testReceivers,
		StateDir: filepath.Join(dir, "state"), RunDir: filepath.Join(dir, "run"),
	})
	return s, client, err
}

// daemon is a brigd in this process.
type daemon struct {
	socket string
	server *Server
}

func startDaemon(t testing.TB, f *fakeWarden, dir string) *daemon {
	t.Helper()
	s, client, err := newServer(f.connect(), dir)
	if err != nil {
		t.Fatal(err)
	}
	d := &daemon{socket: filepath.Join(dir, "brig.sock"), server: s}
	l, err := net.Listen("unix", d.socket)
	if err != nil {
		t.Fatal(err)
	}
	h := NewHTTPServer(s.Handler())
	s.Connections = h.Connections
	served := make(chan struct{})
	go func() { defer close(served); _ = h.Serve(l) }() // ends with Close
	t.Cleanup(func() {
		h.Close()
		<-served
		f.killAll()
		s.Engine.Close()
		client.Close()
	})
	return d
}

// TestMain is also the main function of a brigd in a process of its own, which tests may kill.
func TestMain(m *testing.M) {
	if socket := os.Getenv("BRIG_TEST_CALLER"); socket != "" {
		os.Exit(pingAs(socket))
	}
	dir := os.Getenv("BRIG_TEST_DAEMON")
	if dir == "" {
		os.Exit(m.Run())
	}
	l, err := net.FileListener(os.NewFile(3, "listener"))
	if err == nil {
		var s *Server
		if s, _, err = newServer(4, dir); err == nil {
			err = NewHTTPServer(s.Handler()).Serve(l)
		}
	}
	fmt.Fprintln(os.Stderr, "test daemon:", err)
	os.Exit(1)
}

// separate is a brigd in a process of its own.
type separate struct {
	t       testing.TB
	f       *fakeWarden
	dir     string
	socket  string
	l       *os.File
	process *os.Process
}

func startSeparate(t testing.TB, f *fakeWarden) *separate {
	t.Helper()
	s := &separate{t: t, f: f, dir: t.TempDir()}
	s.socket = filepath.Join(s.dir, "brig.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: s.socket})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	l.SetUnlinkOnClose(false)
	if s.l, err = l.File(); err != nil {
		t.Fatal(err)
	}
	s.start()
	t.Cleanup(func() {
		s.kill()
		s.l.Close()
	})
	return s
}

func (s *separate) start() {
	s.t.Helper()
	conn := os.NewFile(uintptr(s.f.connect()), "warden")
	defer conn.Close()
	exe, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	s.process, err = os.StartProcess(exe, []string{"brigd"}, &os.ProcAttr{
		Env:   append(os.Environ(), "BRIG_TEST_DAEMON="+s.dir),
		Files: []*os.File{nil, os.Stderr, os.Stderr, s.l, conn},
		Sys:   &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL},
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *separate) kill() {
	if s.process == nil {
		return
	}
	_ = s.process.Kill()
	_, _ = s.process.Wait()
	s.process = nil
}

// eventually waits until cond holds.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after ten seconds still not: %s", what)
		}
	}
}
