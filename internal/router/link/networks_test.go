package link

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/wire"
)

// in makes a namespace with a live endpoint that is a member of these networks.
func (w *world) in(s wire.Membership, ports ...Port) box {
	w.t.Helper()
	b := box{ns: netnsFor(w.t)}
	var err error
	b.ep, err = newEndpoint(w.r, b.ns)
	must(w.t, err)
	b.ep.Membership = s
	must(w.t, w.r.Activate(b.ep, ports))
	return b
}

func of(numbers ...uint32) wire.Membership { return wire.Membership{Networks: numbers} }

func (w *world) join(b box, s wire.Membership) {
	w.t.Helper()
	b.ep.Membership = s
	must(w.t, w.r.Join(b.ep))
}

func TestMembersOfANetworkReachEachOtherAndNobodyElse(t *testing.T) {
	w := newNetwork(t)
	a, b, both := w.in(of(7)), w.in(of(7)), w.in(of(8, 7))
	other, alone := w.in(of(8)), w.container()
	for _, x := range []box{a, b, both, other, alone} {
		w.serve(x.ns, "0.0.0.0:80")
		w.serve(x.ns, "0.0.0.0:53")
	}
	w.serve(w.outside, outsideIP+":80")
	for _, network := range []string{"tcp", "udp"} {
		w.reaches("members", a.ns, network, b.at(80), a.ep.Addr.String())
		w.reaches("members, back", b.ns, network, a.at(53), b.ep.Addr.String())
		w.reaches("one in two networks", both.ns, network, a.at(80), both.ep.Addr.String())
		w.reaches("one in two networks", both.ns, network, other.at(80), both.ep.Addr.String())
		w.reaches("to one in two networks", other.ns, network, both.at(80), other.ep.Addr.String())
		w.reaches("outside", a.ns, network, outsideIP+":80", hostIP)
		w.refusedAtOnce("another network", a.ns, network, other.at(80))
		w.refusedAtOnce("another network, back", other.ns, network, a.at(80))
		w.refusedAtOnce("one in no network to a member", alone.ns, network, a.at(80))
		w.refusedAtOnce("a member to one in no network", a.ns, network, alone.at(80))
		w.refusedAtOnce("closed port of the host", a.ns, network, w.r.HostAddress().String()+":22")
	}
	must(t, w.r.Release(b.ep))
	w.refused("released", a.ns, "tcp", b.at(80))
	w.refused("released, its own way", b.ns, "tcp", a.at(80))
}

// The table of connections is one for all: what members say to each other takes no place in it.
func TestNeighboursTakeNoTrackedConnections(t *testing.T) {
	w := newNetwork(t)
	a, b := w.in(of(7)), w.in(of(7))
	w.serve(b.ns, "0.0.0.0:80")
	w.serve(w.outside, outsideIP+":80")
	for _, network := range []string{"tcp", "udp"} {
		w.reaches("a member", a.ns, network, b.at(80), "")
		w.reaches("outside", a.ns, network, outsideIP+":80", "")
	}
	h, err := dial(w.r.NetnsFD(), unix.NETLINK_NETFILTER)
	must(t, err)
	defer h.Close()
	flows, err := h.ConntrackTableList(netlink.ConntrackTable, unix.AF_INET)
	must(t, err)
	if len(flows) != 2 {
		t.Errorf("%d tracked connections, want the two to the outside: %v", len(flows), flows)
	}
}

// Who is outside of a network reaches nobody in it when the rules are gone, and the members reach nobody's outsiders.
func TestAFlushOpensNoNetwork(t *testing.T) {
	w := newNetwork(t)
	a, b, other, alone := w.in(of(7)), w.in(of(7)), w.in(of(8)), w.container()
	inner := w.in(wire.Membership{Networks: []uint32{7}, Confined: true})
	for _, x := range []box{a, b, other, alone, inner} {
		w.serve(x.ns, "0.0.0.0:80")
	}
	w.serve(w.outside, outsideIP+":80")
	heard := ear(t, b.ns, b.ep.Addr.String()+":7")
	w.outsideRoute()
	flush(t, w.host)
	flush(t, w.r.NetnsFD())
	w.reaches("members: the way is there", a.ns, "tcp", b.at(80), "")
	for _, network := range []string{"tcp", "udp"} {
		w.refused("another network", other.ns, network, a.at(80))
		w.refused("one in no network", alone.ns, network, a.at(80))
		w.refused("a member to one in no network", a.ns, network, alone.at(80))
		w.refused("confined, to the outside", inner.ns, network, outsideIP+":80")
		w.refused("the host, to a confined one", w.host, network, inner.at(80))
	}
	for _, forged := range []netip.Addr{a.ep.Addr, w.r.Gateway(), w.r.HostAddress()} {
		inject(t, other.ns, macOf(other.ep.Addr), unix.ETH_P_IP, datagram(forged, b.ep.Addr, 7))
	}
	if n := heard(); n != 0 {
		t.Errorf("%d datagrams with a forged sender arrived", n)
	}
	inject(t, a.ns, macOf(a.ep.Addr), unix.ETH_P_IP, datagram(a.ep.Addr, b.ep.Addr, 7))
	if n := heard(); n != 1 {
		t.Errorf("%d honest datagrams arrived, want 1: the test could not fail", n)
	}
	a.ep.Membership = wire.Membership{}
	if w.r.Join(a.ep) == nil {
		t.Error("a change of a table that is not there was no error")
	}
	w.refused("who has left, without a table", a.ns, "tcp", b.at(80))
}

func TestConfinedMembersReachNothingOutside(t *testing.T) {
	w := newNetwork(t)
	confined := wire.Membership{Networks: []uint32{7}, Confined: true}
	a, b := w.in(confined, tcp("0.0.0.0", 8080, 80)), w.in(of(7))
	w.serve(a.ns, "0.0.0.0:80")
	w.serve(w.outside, outsideIP+":80")
	check := func(when string) {
		w.reaches(when+": a member", b.ns, "tcp", a.at(80), "")
		w.refusedAtOnce(when+": outside", a.ns, "tcp", outsideIP+":80")
		w.refusedAtOnce(when+": outside", a.ns, "udp", outsideIP+":80")
		w.refusedAtOnce(when+": from the host", w.host, "tcp", a.at(80))
		w.refused(when+": published", w.outside, "tcp", hostIP+":8080")
	}
	check("confined")
	w.join(a, of(7))
	w.reaches("free: outside", a.ns, "tcp", outsideIP+":80", hostIP)
	w.reaches("free: published", w.outside, "tcp", hostIP+":8080", outsideIP)
	w.join(a, confined)
	check("confined again")
}

func TestMembershipChangesAtOnceAndSurvivesTheRouter(t *testing.T) {
	w := newNetwork(t)
	a, b := w.in(of(1)), w.in(of(2))
	w.serve(b.ns, "0.0.0.0:80")
	w.refusedAtOnce("before", a.ns, "tcp", b.at(80))
	w.join(a, of(3, 2, 1))
	w.reaches("joined", a.ns, "tcp", b.at(80), "")
	w.join(a, of(2))
	w.reaches("left others", a.ns, "tcp", b.at(80), "")
	must(t, w.r.Sync())
	w.reaches("written anew", a.ns, "tcp", b.at(80), "")
	old := w.r
	ns, err := unix.FcntlInt(uintptr(old.NetnsFD()), unix.F_DUPFD_CLOEXEC, 3)
	must(t, err)
	defer unix.Close(ns)
	state := old.State()
	w.open(ns, &state)
	defer old.drop()
	for _, x := range []box{a, b} {
		must(t, w.r.Adopt(x.ep, nil))
	}
	must(t, w.r.Sync())
	w.reaches("adopted", a.ns, "tcp", b.at(80), "")
	w.join(b, of(4))
	w.refusedAtOnce("left", a.ns, "tcp", b.at(80))
	must(t, w.r.Release(b.ep))
	if w.r.Join(b.ep) == nil {
		t.Error("a released endpoint joined a network")
	}
}

// A member costs its own elements, whatever the number of others.
func TestManyMembersAreAsQuickAsFew(t *testing.T) {
	w := newNetwork(t)
	member := func(i int) *Endpoint {
		a := nth(w.r.plan.Subnet, uint32(i+100))
		return &Endpoint{Addr: a, Ifindex: 1<<20 + i, Name: fmt.Sprintf("ep%d", i), Membership: of(7, uint32(8+i%100))}
	}
	const many, probe = 3000, 50
	batch := func(from, n int) time.Duration {
		start := time.Now()
		for i := range n {
			must(t, w.r.Activate(member(from+i), nil))
		}
		return time.Since(start) / time.Duration(n)
	}
	few := batch(0, probe)
	batch(probe, many)
	full := batch(probe+many, probe)
	t.Logf("an activation takes %v among few, %v among %d", few, full, many)
	if full > 4*few+2*time.Millisecond {
		t.Errorf("an activation takes %v among few, %v among %d", few, full, many)
	}
	start := time.Now()
	e := member(0)
	e.Membership = of(9)
	must(t, w.r.Join(e))
	if d := time.Since(start); d > 50*time.Millisecond {
		t.Errorf("a change takes %v among %d", d, many)
	}
	must(t, w.r.reconcile(true)) // and not Sync: no endpoint of these exists
}
