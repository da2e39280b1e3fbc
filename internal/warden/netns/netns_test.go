package netns

import (
	"errors"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func newNetns(t *testing.T) int {
	t.Helper()
	type result struct {
		fd  int
		err error
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends here
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			done <- result{-1, err}
			return
		}
		fd, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		done <- result{fd, err}
	}()
	r := <-done
	if errors.Is(r.err, unix.EPERM) {
		t.Skip("missing: the right to make network namespaces")
	}
	if r.err != nil {
		t.Fatal(r.err)
	}
	t.Cleanup(func() { unix.Close(r.fd) })
	return r.fd
}

func TestNetworkNoneHasLoopbackAndNothingElse(t *testing.T) {
	ns := newNetns(t)
	if err := Prepare(ns); err != nil {
		t.Fatal(err)
	}
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
	ns := newNetns(t)
	fd, err := PrepareWithSocket(ns)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
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
