package link

import (
	"errors"
	"net/netip"
	"testing"
)

func TestAddressesAreNotReusedSoon(t *testing.T) {
	p := newPool(netip.MustParsePrefix("10.1.2.0/24"))
	first, err := p.take()
	must(t, err)
	if first.String() != "10.1.2.2" {
		t.Errorf("first address is %s", first)
	}
	p.put(first)
	seen := map[netip.Addr]bool{}
	for range 256 - firstContainer - reservedAtEnd - 1 {
		a, err := p.take()
		must(t, err)
		if a == first || seen[a] {
			t.Fatalf("%s was given again before all others", a)
		}
		seen[a] = true
	}
	if a, err := p.take(); err != nil || a != first {
		t.Errorf("last free address: %v, %v", a, err)
	}
	if _, err := p.take(); !errors.Is(err, errFull) {
		t.Errorf("full pool: %v", err)
	}
	for a := range seen {
		p.put(a)
		p.put(a) // a second time does nothing
	}
	if len(p.used) != 1 {
		t.Errorf("%d in use, want 1", len(p.used))
	}
}

func TestReservedAddressesAreNeverContainers(t *testing.T) {
	p := newPool(netip.MustParsePrefix("10.1.2.0/24"))
	for _, s := range []string{"10.1.2.0", "10.1.2.1", "10.1.2.252", "10.1.2.253", "10.1.2.254", "10.1.2.255",
		"10.1.3.2", "fd00::2", "::ffff:10.1.2.2"} {
		if p.claim(netip.MustParseAddr(s)) == nil {
			t.Errorf("%s was claimed", s)
		}
	}
	a := netip.MustParseAddr("10.1.2.251")
	must(t, p.claim(a))
	if p.claim(a) == nil {
		t.Errorf("%s was claimed twice", a)
	}
}

func TestSubnetsAreChecked(t *testing.T) {
	for _, s := range []string{"10.0.0.0/7", "10.1.2.0/25", "10.1.2.3/24", "fd00::/64"} {
		if checkSubnet(netip.MustParsePrefix(s)) == nil {
			t.Errorf("%s passed", s)
		}
	}
	for _, p := range defaultSubnets() {
		must(t, checkSubnet(p))
	}
}
