package rtnl

import (
	"errors"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// apart opens a socket in a new network namespace.
func apart(t *testing.T) *Socket {
	t.Helper()
	var s *Socket
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends here
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			s, err = Open()
		}
		done <- err
	}()
	err := <-done
	if errors.Is(err, unix.EPERM) {
		t.Skip("missing: the right to make network namespaces")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func TestABatchIsCarriedOutInOrder(t *testing.T) {
	s := apart(t)
	var empty, up Batch
	up.Up(Loopback)
	up.Address(Loopback, netip.MustParsePrefix("10.1.2.3/24"))
	up.Route(Loopback, netip.MustParsePrefix("10.9.0.0/16"), netip.Addr{}, netip.MustParseAddr("10.1.2.3"))
	if err := errors.Join(s.Do(&empty), s.Do(&up)); err != nil {
		t.Fatal(err)
	}
	if state, err := s.OperState(Loopback); err != nil || state != uint8(netlink.OperUnknown) { // loopback says no more
		t.Errorf("loopback is %d, %v", state, err)
	}
}

// What is told is the first error, by the name of its request; later answers are not taken for those of the next batch.
func TestTheFirstErrorOfABatchIsNamed(t *testing.T) {
	s := apart(t)
	mac, _ := net.ParseMAC("02:00:00:00:00:01")
	for range 3 {
		var bad Batch
		bad.Up(Loopback)
		bad.Address(4242, netip.MustParsePrefix("10.1.2.3/24"))
		bad.Neighbour(4242, netip.MustParseAddr("10.1.2.4"), mac)
		bad.Up(Loopback)
		err := s.Do(&bad)
		if !errors.Is(err, unix.ENODEV) || !strings.HasPrefix(err.Error(), "add the address 10.1.2.3/24: ") {
			t.Fatalf("a batch with two faults: %v", err)
		}
		var last Batch
		last.Up(Loopback)
		last.Delete(4242)
		if err := s.Do(&last); !errors.Is(err, unix.ENODEV) || !strings.HasPrefix(err.Error(), "delete: ") {
			t.Fatalf("a batch whose last request fails: %v", err)
		}
		var good Batch
		good.Up(Loopback)
		if err := s.Do(&good); err != nil {
			t.Fatalf("the batch after: %v", err)
		}
	}
	if _, err := s.OperState(4242); !errors.Is(err, unix.ENODEV) {
		t.Errorf("an interface that is not there: %v", err)
	}
}
