package idmap

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// newSandbox makes namespaces of ids that nobody has, and a socket in there.
func newSandbox(t *testing.T) (net, route int) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("missing: root privileges")
	}
	user, net, route, err := NewSandbox(0x70020000, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		unix.Close(user)
		unix.Close(net)
		unix.Close(route)
	})
	return net, route
}

// inside runs f on a thread that is in the namespace, and that ends with it.
func inside(ns int, f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked
		err := unix.Setns(ns, unix.CLONE_NEWNET)
		if err == nil {
			err = f()
		}
		done <- err
	}()
	return <-done
}

func TestNetworkNoneHasLoopbackAndNothingElse(t *testing.T) {
	ns, _ := newSandbox(t)
	err := inside(ns, func() error {
		l, err := net.Listen("tcp", "127.0.0.1:80")
		if err != nil {
			return err
		}
		defer l.Close()
		c, err := net.Dial("tcp", "127.0.0.1:80")
		if err != nil {
			return err
		}
		c.Close()
		if c, err := net.Dial("tcp", "192.0.2.1:80"); !errors.Is(err, unix.ENETUNREACH) {
			t.Errorf("anything else: %v, %v", c, err)
		}
		for _, s := range settings {
			if s.name == "ipv4/ping_group_range" { // as who has no part in the user namespace sees it
				s.value = fmt.Sprint(0x70020000, 0x70020000+Size-1)
			}
			b, err := os.ReadFile("/proc/sys/net/" + s.name)
			if got := strings.Join(strings.Fields(string(b)), " "); got != s.value && !(s.optional && os.IsNotExist(err)) {
				t.Errorf("%s is %q, want %q (%v)", s.name, got, s.value, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// The socket belongs to the namespace, whoever uses it later.
func TestTheSocketIsOfTheNamespace(t *testing.T) {
	ns, fd := newSandbox(t)
	of, err := unix.IoctlRetInt(fd, unix.SIOCGSKNS)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(of)
	var want, got unix.Stat_t
	if err := errors.Join(unix.Fstat(ns, &want), unix.Fstat(of, &got)); err != nil || want.Ino != got.Ino {
		t.Errorf("the socket is of namespace %d, not %d (%v)", got.Ino, want.Ino, err)
	}
	if kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PROTOCOL); err != nil || kind != unix.NETLINK_ROUTE {
		t.Errorf("protocol %d, %v", kind, err)
	}
}
