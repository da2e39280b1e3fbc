package firewall

import (
	"encoding/binary"
	"net/netip"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/wire"
)

// Port is one published port of a member. HostIP is the address that it is published on; the unspecified IPv4 address
// stands for all of them. A loopback HostIP gets no translation: its clients are spliced by brigd.
type Port struct {
	Proto         uint8 // unix.IPPROTO_TCP or unix.IPPROTO_UDP
	HostIP        netip.Addr
	HostPort      uint16
	ContainerPort uint16
}

// Member is an endpoint that may talk. Ifindex is that of its router side.
type Member struct {
	Ifindex int
	Addr    netip.Addr
	Ports   []Port
	wire.Membership
}

func liveKey(m Member) []byte {
	key := binary.NativeEndian.AppendUint32(nil, uint32(m.Ifindex))
	a := m.Addr.As4()
	return append(key, a[:]...)
}

func liveElements(members []Member) []nftables.SetElement {
	out := make([]nftables.SetElement, 0, len(members))
	for _, m := range members {
		out = append(out, nftables.SetElement{Key: liveKey(m)})
	}
	return out
}

// openElements are the keys address . protocol . port of what may be reached in the containers. One port can be
// published twice (two addresses, two host ports), and a set has each element once.
func openElements(members []Member) []nftables.SetElement {
	var out []nftables.SetElement
	for _, m := range members {
		seen := map[uint32]bool{}
		for _, p := range m.Ports {
			id := uint32(p.Proto)<<16 | uint32(p.ContainerPort)
			if seen[id] {
				continue
			}
			seen[id] = true
			a := m.Addr.As4()
			key := append(a[:], p.Proto, 0, 0, 0)
			out = append(out, nftables.SetElement{Key: appendPort(key, p.ContainerPort)})
		}
	}
	return out
}

// translations are the elements of the two DNAT maps: wide for ports on every address, narrow for one address.
func translations(members []Member) (wide, narrow []nftables.SetElement) {
	for _, m := range members {
		for _, p := range m.Ports {
			if p.HostIP.IsLoopback() || !p.HostIP.Is4() {
				continue
			}
			a := m.Addr.As4()
			val := appendPort(a[:], p.ContainerPort)
			key := appendPort([]byte{p.Proto, 0, 0, 0}, p.HostPort)
			if p.HostIP.IsUnspecified() {
				wide = append(wide, nftables.SetElement{Key: key, Val: val})
				continue
			}
			h := p.HostIP.As4()
			narrow = append(narrow, nftables.SetElement{Key: append(h[:], key...), Val: val})
		}
	}
	return wide, narrow
}

// appendPort appends a port as a register holds it: network order, padded to 32 bits.
func appendPort(b []byte, port uint16) []byte {
	return append(binary.BigEndian.AppendUint16(b, port), 0, 0)
}

func addressElements(addrs []netip.Addr) []nftables.SetElement {
	var out []nftables.SetElement
	for _, a := range addrs {
		if a.Is4() {
			b := a.As4()
			out = append(out, nftables.SetElement{Key: b[:]})
		}
	}
	return out
}

// ProtoNumber gives the protocol number of "tcp" or "udp", and 0 for anything else.
func ProtoNumber(name string) uint8 {
	switch name {
	case "tcp":
		return unix.IPPROTO_TCP
	case "udp":
		return unix.IPPROTO_UDP
	}
	return 0
}
