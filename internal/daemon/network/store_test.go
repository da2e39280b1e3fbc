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
	if n, err := s.Find(made(t, s, Network{Name: mine.ID}).ID); err != nil || n.Name != mine.ID {
		t.Errorf("%+v, %v", n, err)
	}
	for range 20 { // a map's order is another one each time
		if n, err := s.Find(mine.ID); err != nil || n.ID != mine.ID {
			t.Fatalf("an id that is another one's name: %+v, %v", n, err)
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

// A network that is gone opens nothing, and one that somebody has come into since the list was made is not pruned.
func TestNetworksThatAreGoneOrTakenMeanwhile(t *testing.T) {
	s := open(t, t.TempDir())
	inner, gone := made(t, s, Network{Name: "inner", Internal: true}), made(t, s, Network{Name: "gone"})
	list := in(inner, gone)
	if s.Confined(list) || s.Missing(list) != nil {
		t.Error("two networks are there, and one of them is open")
	}
	names, err := s.Prune(func(n Network) bool { // nobody comes into a network between the question and its removal
		done := make(chan bool)
		go func() { defer close(done); _, _ = s.Enter("c", in(n)) }()
		select {
		case <-done:
			t.Errorf("%s was entered", n.Name)
		case <-time.After(20 * time.Millisecond):
		}
		return n.Name == "gone"
	})
	if err != nil || !slices.Equal(names, []string{"gone"}) {
		t.Errorf("%v, %v", names, err)
	}
	if !s.Confined(list) || !errdefs.IsNotFound(s.Missing(list)) || !slices.Equal(ids(s.Present(list)), []string{inner.ID}) {
		t.Errorf("a network that is gone: confined %v, present %v", s.Confined(list), s.Present(list))
	}
}

func ids(list []Membership) (out []string) {
	for _, m := range list {
		out = append(out, m.ID)
	}
	return out
}

func TestNobodyIsCalledLikeTheIdOfAnother(t *testing.T) {
	id := strings.Repeat("0123456789ab", 6)[:64]
	got := DNSNames("ffffffffffff", id, "0123456789ab", []string{"b", "a", "b", "0000000000AA", "cafe"})
	if want := []string{"b", "a", "cafe", "0123456789ab"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// A forwarder hears everything that is so when it comes, and every change after that; nobody keeps news for one that is
// not there.
func TestAForwarderHearsWhatIsSo(t *testing.T) {
	n := NewNames()
	a, b := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	n.Set("a", jobs.Names{Addr: a})
	n.Set("b", jobs.Names{Addr: b})
	n.Drop("b", b)
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
	n.Set("b", jobs.Names{Addr: b, Confined: true})
	if of := next(); of.Addr != b || !of.Confined {
		t.Errorf("%+v", of)
	}
	n.Drop("old", a) // whose address it was before
	n.Drop("a", a)
	if of := next(); of.Addr != a || !of.Gone {
		t.Errorf("%+v", of)
	}
	cancel()
	<-done
}
