package warden

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/cli/launch/machine"
	"github.com/brig-engine/brig/internal/kernel/landlock"
	served "github.com/brig-engine/brig/internal/router"
	"github.com/brig-engine/brig/internal/wire"
	"github.com/brig-engine/brig/internal/wire/client"
)

// newRouter is the warden's end of a router that answers as handle says; its process is a sleep.
func newRouter(t *testing.T, handle wire.Handler) *router {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]*wire.Conn
	for i, fd := range pair {
		if ends[i], err = wire.FileConn(fd, "test"); err != nil {
			t.Fatal(err)
		}
	}
	go wire.Serve(ends[1], served.Ops, handle)
	process := exec.Command("/bin/sleep", "60")
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.PidfdOpen(process.Process.Pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	r := &router{w: &Warden{facts: wire.HelloReply{Machine: wire.Machine{Groups: wire.Groups{Instance: "brig"}}}}, client: client.New(ends[0], "brig-router"), pidfd: fd, patience: 10 * time.Second}
	r.reply = wire.RouterReply{State: wire.RouterState{Instance: "brig", Subnet: netip.MustParsePrefix("172.30.0.0/16")},
		Gateway: netip.MustParseAddr("172.30.0.1")}
	t.Cleanup(func() {
		ends[0].Close()
		ends[1].Close()
		process.Process.Kill()
		process.Wait()
		unix.Close(fd)
	})
	return r
}

func TestASilentRouterIsKilled(t *testing.T) {
	never := make(chan struct{})
	defer close(never)
	r := newRouter(t, func(*wire.Request) (wire.Reply, error) { <-never; return wire.Reply{}, nil })
	r.patience = 50 * time.Millisecond
	if _, _, _, err := r.reserve(wire.Port{Proto: "tcp", HostPort: 80}); !errdefs.IsUnavailable(err) {
		t.Errorf("reserve: %v", err)
	}
	p := []unix.PollFd{{Fd: int32(r.pidfd), Events: unix.POLLIN}}
	n, err := unix.Poll(p, 5000)
	for err == unix.EINTR { // the runtime's own signals
		n, err = unix.Poll(p, 5000)
	}
	if n != 1 {
		t.Errorf("the process lives (%v)", err)
	}
}

// The sockets of a container that has just ended may be open for a moment; then, and only then, a port in use is waited for.
func TestAPortThatIsBeingGivenBackIsWaitedFor(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	at := l.Addr().(*net.TCPAddr).AddrPort()
	refusals := 3
	var r *router
	r = newRouter(t, func(*wire.Request) (wire.Reply, error) {
		if refusals--; refusals >= 0 {
			if refusals > 3 { // others end all the time
				r.freed.Store(time.Now().UnixNano())
			}
			return wire.Reply{}, errdefs.ErrConflict
		}
		fd, err := dup(int(f.Fd()))
		return wire.Reply{Body: []string{}, FDs: []int{fd}}, err
	})
	ask := wire.Port{Proto: "tcp", HostIP: "127.0.0.1", HostPort: at.Port()}
	if _, _, _, err := r.reserve(ask); !errdefs.IsConflict(err) || refusals != 2 {
		t.Errorf("with nothing that has just ended: %v, %d tries are left", err, refusals)
	}
	r.freed.Store(time.Now().UnixNano())
	_, fds, _, err := r.reserve(ask)
	wire.CloseAll(fds)
	if err != nil || refusals != -1 {
		t.Errorf("after an end: %v, %d tries are left", err, refusals)
	}
	refusals = 3 * int(portLinger/(portLinger/50))
	if _, _, _, err := r.reserve(ask); !errdefs.IsConflict(err) {
		t.Errorf("a port that stays in use: %v", err)
	}
}

// What a conquered router says is looked at before anybody relies on it.
func TestALyingRouterIsFoundOut(t *testing.T) {
	listen := func(network, addr string) (fd int, port uint16) {
		var f *os.File
		switch network {
		case "tcp":
			l, err := net.Listen("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
			f, _ = l.(*net.TCPListener).File()
			port = uint16(l.Addr().(*net.TCPAddr).Port)
		default:
			l, err := net.ListenPacket("udp", addr)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
			f, _ = l.(*net.UDPConn).File()
			port = uint16(l.LocalAddr().(*net.UDPAddr).Port)
		}
		t.Cleanup(func() { f.Close() })
		return int(f.Fd()), port
	}
	tcp, port := listen("tcp", "127.0.0.1:0")
	udp, other := listen("udp", "127.0.0.1:0")
	for _, x := range []struct {
		name  string
		ask   wire.Port
		fds   []int
		fault string
	}{
		{"honest", wire.Port{Proto: "tcp", HostIP: "127.0.0.1", HostPort: port}, []int{tcp}, ""},
		{"any port", wire.Port{Proto: "udp", HostIP: "127.0.0.1"}, []int{udp}, ""},
		{"another address", wire.Port{Proto: "tcp", HostIP: "127.0.0.2", HostPort: port}, []int{tcp}, "in place of tcp"},
		{"one address of all", wire.Port{Proto: "tcp", HostPort: port}, []int{tcp}, "in place of tcp"},
		{"nothing", wire.Port{Proto: "tcp", HostIP: "127.0.0.1", HostPort: port}, nil, "0 descriptors"},
		{"another protocol", wire.Port{Proto: "tcp", HostIP: "127.0.0.1", HostPort: other}, []int{udp}, "in place of tcp"},
		{"another port", wire.Port{Proto: "tcp", HostIP: "127.0.0.1", HostPort: port + 1}, []int{tcp}, "in place of tcp"},
		{"no socket at all", wire.Port{Proto: "tcp", HostIP: "127.0.0.1", HostPort: port}, []int{0}, "cannot be"},
	} {
		r := newRouter(t, func(*wire.Request) (wire.Reply, error) {
			var fds []int
			for _, fd := range x.fds {
				copied, err := dup(fd)
				if err != nil {
					return wire.Reply{}, err
				}
				fds = append(fds, copied)
			}
			return wire.Reply{Body: []string{}, FDs: fds}, nil
		})
		bound, fds, _, err := r.reserve(x.ask)
		wire.CloseAll(fds)
		if (err == nil) != (x.fault == "") || err != nil && !strings.Contains(err.Error(), x.fault) {
			t.Errorf("%s: %v", x.name, err)
		}
		is := map[int]uint16{tcp: port, udp: other}
		if err == nil && (len(bound) != 1 || bound[0].HostIP != "127.0.0.1" || bound[0].HostPort != is[x.fds[0]]) {
			t.Errorf("%s: it is bound to %+v", x.name, bound)
		}
	}
	for name, change := range map[string]func(*wire.RouterReply){
		"another engine":  func(r *wire.RouterReply) { r.State.Instance = "brig-1" },
		"no subnet":       func(r *wire.RouterReply) { r.State.Subnet = netip.Prefix{} },
		"strange gateway": func(r *wire.RouterReply) { r.Gateway = netip.MustParseAddr("8.8.8.8") },
	} {
		r := newRouter(t, nil)
		reply := r.reply
		change(&reply)
		if err := r.take(&reply, nil, true); err == nil {
			t.Errorf("%s was believed", name)
		}
	}
	r := newRouter(t, nil)
	reply := r.reply
	if err := r.take(&reply, nil, true); err != nil {
		t.Errorf("an honest one: %v", err)
	}
	if err := r.take(&reply, nil, false); err == nil {
		t.Error("a network without a namespace was believed")
	}
}

// The settings of the network are open to the router, and no other file; it binds and does not connect.
func TestTheRoutersLandlockDomain(t *testing.T) {
	abi := landlock.ABI(machine.Landlock())
	if abi < 4 {
		t.Skip("missing: Landlock ABI 4")
	}
	settings, err := unix.Open("/proc/sys/net", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(settings)
	set, err := routerDomain.ruleset(abi)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(set)
	open := func(path string, flags int) error {
		fd, err := unix.Open(path, flags|unix.O_CLOEXEC, 0)
		if err == nil {
			unix.Close(fd)
		}
		return err
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			t.Error(err)
			return
		}
		if _, _, errno := unix.RawSyscall(unix.SYS_LANDLOCK_RESTRICT_SELF, uintptr(set), 0, 0); errno != 0 {
			t.Error(errno)
			return
		}
		if err := open("/proc/sys/net/ipv4/conf/lo/forwarding", unix.O_WRONLY|unix.O_TRUNC); err != nil {
			t.Errorf("a setting of the network: %v", err)
		}
		for path, flags := range map[string]int{"/etc/passwd": unix.O_RDONLY, "/proc/self/status": unix.O_RDONLY, "/tmp": unix.O_RDONLY,
			"/proc/sys/kernel/core_pattern": unix.O_WRONLY, "/dev/null": unix.O_RDWR, "/proc/sys/net/ipv4": unix.O_RDONLY} {
			if err := open(path, flags); !errors.Is(err, unix.EACCES) {
				t.Errorf("%s: %v", path, err)
			}
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Errorf("bind: %v", err)
			return
		}
		defer l.Close()
		s, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Error(err)
			return
		}
		defer unix.Close(s)
		to := &unix.SockaddrInet4{Port: l.Addr().(*net.TCPAddr).Port, Addr: [4]byte{127, 0, 0, 1}}
		if err := unix.Connect(s, to); !errors.Is(err, unix.EACCES) {
			t.Errorf("connect: %v", err)
		}
	}()
	<-done
}
