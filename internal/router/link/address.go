package link

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"

	"github.com/brig-engine/brig/internal/router/firewall"
)

// The layout of a subnet, from its first address: network, gateway, containers …, and in the last four: unused, the
// router, the host, broadcast.
const (
	firstContainer = 2
	reservedAtEnd  = 4
	minBits        = 8
	maxBits        = 24
)

// defaultSubnets are tried in this order; the first that no route of the host overlaps is taken.
func defaultSubnets() []netip.Prefix {
	var out []netip.Prefix
	for _, second := range []byte{30, 29, 28, 27, 26, 25} {
		out = append(out, netip.PrefixFrom(netip.AddrFrom4([4]byte{172, second}), 16))
	}
	for _, second := range []byte{213, 187, 139, 91} {
		out = append(out, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, second}), 16))
	}
	return append(out, netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 168, 213}), 24))
}

func checkSubnet(p netip.Prefix) error {
	if !p.IsValid() || !p.Addr().Is4() || p.Bits() < minBits || p.Bits() > maxBits || p.Masked() != p {
		return fmt.Errorf("subnet %s: need an IPv4 network of /%d to /%d", p, minBits, maxBits)
	}
	return nil
}

func nth(p netip.Prefix, n uint32) netip.Addr {
	b := p.Addr().As4()
	return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, binary.BigEndian.Uint32(b[:])+n)))
}

func size(p netip.Prefix) uint32 { return 1 << (32 - p.Bits()) }

func gatewayOf(p netip.Prefix) netip.Addr { return nth(p, 1) }
func routerOf(p netip.Prefix) netip.Addr  { return nth(p, size(p)-3) }
func hostOf(p netip.Prefix) netip.Addr    { return nth(p, size(p)-2) }

// pool hands out a subnet's addresses round robin: an address that was given back is the last to be given again.
type pool struct {
	subnet netip.Prefix

	mu   sync.Mutex
	used map[uint32]bool // by place in the subnet
	next uint32
}

var errFull = errors.New("every address of the network is in use")

func newPool(subnet netip.Prefix) *pool {
	return &pool{subnet: subnet, used: map[uint32]bool{}, next: firstContainer}
}

func (p *pool) take() (netip.Addr, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	end := size(p.subnet) - reservedAtEnd
	for range end - firstContainer {
		n := p.next
		if p.next++; p.next == end {
			p.next = firstContainer
		}
		if !p.used[n] {
			p.used[n] = true
			return nth(p.subnet, n), nil
		}
	}
	return netip.Addr{}, errFull
}

// claim marks an address that lives on from an earlier warden, and lets take go on behind it.
func (p *pool) claim(a netip.Addr) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	n, end := p.index(a), size(p.subnet)-reservedAtEnd
	switch {
	case n < firstContainer || n >= end:
		return fmt.Errorf("address %s is not one that a container of %s can have", a, p.subnet)
	case p.used[n]:
		return fmt.Errorf("address %s is in use twice", a)
	}
	p.used[n] = true
	if n >= p.next && n+1 < end {
		p.next = n + 1
	}
	return nil
}

// put gives an address back; giving back what is free does nothing.
func (p *pool) put(a netip.Addr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.used, p.index(a))
}

// index is the place of an address in the subnet; 0, which nobody gets, for every other.
func (p *pool) index(a netip.Addr) uint32 {
	if !p.subnet.Contains(a) {
		return 0
	}
	b, base := a.As4(), p.subnet.Addr().As4()
	return binary.BigEndian.Uint32(b[:]) - binary.BigEndian.Uint32(base[:])
}

// macOf gives the locally administered MAC that belongs to an address, as Docker forms it.
func macOf(a netip.Addr) net.HardwareAddr {
	b := a.As4()
	return net.HardwareAddr{0x02, 0x42, b[0], b[1], b[2], b[3]}
}

// routerMAC is on the router's side of every pair: the pairs never meet in one segment.
func routerMAC() net.HardwareAddr { return net.HardwareAddr{0x02, 'b', 'r', 'i', 'g', 0x01} }
func hostMAC() net.HardwareAddr   { return net.HardwareAddr{0x02, 'b', 'r', 'i', 'g', 0x02} }

func planFor(instance string, subnet netip.Prefix) firewall.Plan {
	return firewall.Plan{Instance: instance, HostLink: HostLink(instance), Subnet: subnet,
		Gateway: gatewayOf(subnet), Host: hostOf(subnet)}
}

func ipNet(a netip.Addr, bits int) *net.IPNet {
	return &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(bits, 32)}
}

func prefixNet(p netip.Prefix) *net.IPNet { return ipNet(p.Addr(), p.Bits()) }
