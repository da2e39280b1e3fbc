package link

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"

	"github.com/brig-engine/brig/internal/warden/firewall"
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
	used []uint64 // one bit per address
	next uint32
	free int
}

var errFull = errors.New("every address of the network is in use")

func newPool(subnet netip.Prefix) *pool {
	n := size(subnet)
	return &pool{subnet: subnet, used: make([]uint64, (n+63)/64), next: firstContainer,
		free: int(n) - firstContainer - reservedAtEnd}
}

func (p *pool) take() (netip.Addr, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.free == 0 {
		return netip.Addr{}, errFull
	}
	for {
		n := p.next
		if p.next++; p.next >= size(p.subnet)-reservedAtEnd {
			p.next = firstContainer
		}
		if p.used[n/64]&(1<<(n%64)) == 0 {
			p.used[n/64] |= 1 << (n % 64)
			p.free--
			return nth(p.subnet, n), nil
		}
	}
}

// claim marks an address that lives on from an earlier warden, and lets take go on behind it.
func (p *pool) claim(a netip.Addr) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	n, err := p.index(a)
	if err != nil {
		return err
	}
	if p.used[n/64]&(1<<(n%64)) != 0 {
		return fmt.Errorf("address %s is in use twice", a)
	}
	p.used[n/64] |= 1 << (n % 64)
	p.free--
	if n >= p.next && n+1 < size(p.subnet)-reservedAtEnd {
		p.next = n + 1
	}
	return nil
}

// put gives an address back; giving back what is free does nothing.
func (p *pool) put(a netip.Addr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n, err := p.index(a)
	if err != nil || p.used[n/64]&(1<<(n%64)) == 0 {
		return
	}
	p.used[n/64] &^= 1 << (n % 64)
	p.free++
}

func (p *pool) index(a netip.Addr) (uint32, error) {
	if !a.Is4() || !p.subnet.Contains(a) {
		return 0, fmt.Errorf("address %s is not of the network %s", a, p.subnet)
	}
	b, base := a.As4(), p.subnet.Addr().As4()
	n := binary.BigEndian.Uint32(b[:]) - binary.BigEndian.Uint32(base[:])
	if n < firstContainer || n >= size(p.subnet)-reservedAtEnd {
		return 0, fmt.Errorf("address %s is not a container's", a)
	}
	return n, nil
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
