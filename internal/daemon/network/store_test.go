package network

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"

	"github.com/brig-engine/brig/internal/daemon/event"
	"github.com/brig-engine/brig/internal/wire/jobs"
)

func open(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(dir, Facts{Instance: "brig"}, &event.Bus{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func made(t *testing.T, s *Store, n Network) Network {
	t.Helper()
	n, err := s.Create(n)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func in(list ...Network) (out []Membership) {
	for _, n := range list {
		out = append(out, Membership{ID: n.ID, Name: n.Name})
	}
	return out
}

func TestNetworksAreFoundByNameAndId(t *testing.T) {
	s := open(t, t.TempDir())
	mine := made(t, s, Network{Name: "mine"})
	id := ID("brig", Bridge)
	for ref, want := range map[string]bool{"bridge": true, "none": true, id: true, id[:12]: true, "": false,
		"bridg": false, id + "0": false, "mine": true, mine.ID[:10]: true, "min": false} {
		if _, err := s.Find(ref); (err == nil) != want || err != nil && !errdefs.IsNotFound(err) {
			t.Errorf("%q: %v", ref, err)
		}
	}
	if id == ID("brig-123456", Bridge) {
		t.Error("two engines' networks have one id")
	}
}

func TestNamesOfNetworksAreChecked(t *testing.T) {
	s := open(t, t.TempDir())
	made(t, s, Network{Name: "mine"})
	for name, want := range map[string]func(error) bool{
		"mine": errdefs.IsConflict, "bridge": errdefs.IsPermissionDenied, "host": errdefs.IsPermissionDenied,
		"default": errdefs.IsPermissionDenied, "": errdefs.IsInvalidArgument, "-x": errdefs.IsInvalidArgument,
		"a/b": errdefs.IsInvalidArgument, "container:x": errdefs.IsInvalidArgument,
		strings.Repeat("a", 129): errdefs.IsInvalidArgument,
	} {
		if _, err := s.Create(Network{Name: name}); !want(err) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestEnteringSaysWhoIsReached(t *testing.T) {
	s := open(t, t.TempDir())
	a, b := made(t, s, Network{Name: "a"}), made(t, s, Network{Name: "b", Internal: true})
	apart := made(t, s, Network{Name: "apart", NoICC: true})
	bridge, _ := s.Find(Bridge)
	numbers := func(list ...Network) (out []uint32) {
		for _, n := range list {
			out = append(out, n.Number)
		}
		return out
	}
	for what, c := range map[string]struct {
		list     []Network
		numbers  []uint32
		confined bool
	}{
		"the default network":  {[]Network{bridge}, nil, false},
		"one":                  {[]Network{a}, numbers(a), false},
		"two":                  {[]Network{a, b}, numbers(a, b), false},
		"an internal one":      {[]Network{b}, numbers(b), true},
		"internal, and bridge": {[]Network{b, bridge}, numbers(b), false},
		"without icc":          {[]Network{apart, b}, numbers(b), false},
		"none at all":          {nil, nil, true},
	} {
		m, err := s.Enter("c1", in(c.list...))
		if err != nil || !slices.Equal(m.Networks, c.numbers) || m.Confined != c.confined {
			t.Errorf("%s: %+v, %v", what, m, err)
		}
	}
}

func TestANetworkWithSomebodyInItStays(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	a, b := made(t, s, Network{Name: "a", Labels: map[string]string{"k": "v"}}), made(t, s, Network{Name: "b"})
	who := strings.Repeat("c", 64)
	if _, err := s.Enter(who, in(a, b)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Remove("a"); !errdefs.IsPermissionDenied(err) || !strings.Contains(err.Error(), who[:12]) {
		t.Errorf("a network with a container in it: %v", err)
	}
	if _, err := s.Enter(who, in(b)); err != nil { // it has left a
		t.Fatal(err)
	}
	if _, err := s.Remove(a.ID[:12]); err != nil {
		t.Error(err)
	}
	if _, err := s.Enter(who, in(a)); !errdefs.IsNotFound(err) {
		t.Errorf("a network that is gone: %v", err)
	}
	if _, err := s.Remove(Bridge); !errdefs.IsPermissionDenied(err) {
		t.Errorf("bridge: %v", err)
	}
	again := open(t, dir)
	if n, err := again.Find("b"); err != nil || n.Number != b.Number || n.Number == 0 || !n.Created.Equal(b.Created) {
		t.Errorf("after a restart: %+v, %v", n, err)
	}
	if _, err := again.Find(a.ID); err == nil {
		t.Error("a removed network is back after a restart")
	}
	s.Leave(who)
	if names, err := s.Prune(func(n Network) bool { return n.Name == "b" }); err != nil || !slices.Equal(names, []string{"b"}) {
		t.Errorf("prune: %v, %v", names, err)
	}
}

// A forwarder hears everything that is so when it comes, and every change after that; nobody keeps news for one that is
// not there.
func TestAForwarderHearsWhatIsSo(t *testing.T) {
	n := NewNames()
	a, b := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	n.Set(jobs.Names{Addr: a})
	n.Set(jobs.Names{Addr: b})
	n.Drop(b)
	if len(n.dirty) != 0 {
		t.Errorf("news for nobody: %v", n.dirty)
	}
	ctx, cancel := context.WithCancel(context.Background())
	heard, done := make(chan jobs.Names), make(chan bool)
	go func() {
		defer close(done)
		n.Feed(ctx, func(of jobs.Names) error { heard <- of; return nil })
	}()
	next := func() jobs.Names {
		select {
		case of := <-heard:
			return of
		case <-time.After(5 * time.Second):
			t.Fatal("nothing is heard")
			panic("")
		}
	}
	if of := next(); of.Addr != a || of.Gone {
		t.Errorf("%+v", of)
	}
	n.Set(jobs.Names{Addr: b, Confined: true})
	if of := next(); of.Addr != b || !of.Confined {
		t.Errorf("%+v", of)
	}
	n.Drop(a)
	if of := next(); of.Addr != a || !of.Gone {
		t.Errorf("%+v", of)
	}
	cancel()
	<-done
}
