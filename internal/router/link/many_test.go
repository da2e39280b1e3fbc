package link

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func TestEndpointsComeAndGoAtTheSameTime(t *testing.T) {
	w := newNetwork(t)
	w.serve(w.outside, outsideIP+":80")
	stays := w.container()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 10 {
				ns, err := newNetns()
				if err != nil {
					t.Error(err)
					return
				}
				e, err := newEndpoint(w.r, ns)
				if err == nil {
					err = errors.Join(w.r.Activate(e, []Port{udp("0.0.0.0", 5000+uint16(e.Addr.As4()[3]), 53)}), w.r.Refresh())
				}
				if err == nil && i%2 == 0 {
					_, err = ask(ns, "tcp", outsideIP+":80")
				}
				if err == nil {
					err = w.r.Release(e)
				}
				if unix.Close(ns); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	w.reaches("the one that stays", stays.ns, "tcp", outsideIP+":80", hostIP)
	if n := len(w.r.members); n != 1 {
		t.Errorf("%d members are left, want 1", n)
	}
}

func TestClosedRouterRefusesAndDoesNotPanic(t *testing.T) {
	w := newNetwork(t)
	c := w.container()
	must(t, w.r.Close())
	must(t, w.r.Close())
	must(t, w.r.Refresh())
	if err := w.r.Release(c.ep); err == nil {
		t.Error("the table of a closed network was changed")
	}
	if e, err := newEndpoint(w.r, c.ns); err == nil {
		t.Errorf("a closed network made the endpoint %v", e)
	}
	if err := w.r.Sync(); err == nil {
		t.Error("the table of a closed network was written")
	}
}

func TestDroppedNamespaceLeavesNoInterface(t *testing.T) {
	w := newNetwork(t)
	ns, err := newNetns()
	must(t, err)
	e, err := newEndpoint(w.r, ns)
	must(t, err)
	must(t, w.r.Release(e))
	unix.Close(ns)
	h, err := dial(w.r.NetnsFD(), unix.NETLINK_ROUTE)
	must(t, err)
	defer h.Close()
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if _, err := h.LinkByName(e.Name); errors.As(err, &netlink.LinkNotFoundError{}) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s is still there", e.Name)
		}
	}
}
