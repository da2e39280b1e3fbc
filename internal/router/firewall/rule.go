package firewall

import (
	"encoding/binary"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Registers: four bytes each; a concatenated key lies in registers that follow each other.
const (
	reg0 = unix.NFT_REG32_00
	reg1 = unix.NFT_REG32_01
	reg2 = unix.NFT_REG32_02
)

// rule puts the parts of a rule in a row.
func rule(parts ...[]expr.Any) []expr.Any {
	var out []expr.Any
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

func cmp(op expr.CmpOp, reg uint32, data []byte) expr.Any {
	return &expr.Cmp{Op: op, Register: reg, Data: data}
}

func ifname(key expr.MetaKey, op expr.CmpOp, name string) []expr.Any {
	b := make([]byte, unix.IFNAMSIZ)
	copy(b, name)
	return []expr.Any{&expr.Meta{Key: key, Register: reg0}, cmp(op, reg0, b)}
}

func in(name string) []expr.Any     { return ifname(expr.MetaKeyIIFNAME, expr.CmpOpEq, name) }
func notIn(name string) []expr.Any  { return ifname(expr.MetaKeyIIFNAME, expr.CmpOpNeq, name) }
func out(name string) []expr.Any    { return ifname(expr.MetaKeyOIFNAME, expr.CmpOpEq, name) }
func notOut(name string) []expr.Any { return ifname(expr.MetaKeyOIFNAME, expr.CmpOpNeq, name) }

func family(op expr.CmpOp, nfproto byte) []expr.Any {
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: reg0}, cmp(op, reg0, []byte{nfproto})}
}

func proto(p byte) []expr.Any {
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: reg0}, cmp(expr.CmpOpEq, reg0, []byte{p})}
}

// Offsets of the addresses in an IPv4 header, and of the destination port in TCP's and UDP's.
const (
	saddrOffset, daddrOffset = 12, 16
	dportOffset              = 2
)

func loadAddr(offset, reg uint32) expr.Any {
	return &expr.Payload{DestRegister: reg, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: 4}
}

func loadProto(reg uint32) expr.Any { return &expr.Meta{Key: expr.MetaKeyL4PROTO, Register: reg} }

func loadPort(reg uint32) expr.Any {
	return &expr.Payload{DestRegister: reg, Base: expr.PayloadBaseTransportHeader, Offset: dportOffset, Len: 2}
}

func addr(offset uint32, op expr.CmpOp, a netip.Addr) []expr.Any {
	b := a.As4()
	return []expr.Any{loadAddr(offset, reg0), cmp(op, reg0, b[:])}
}

func prefix(offset uint32, op expr.CmpOp, p netip.Prefix) []expr.Any {
	mask := binary.BigEndian.AppendUint32(nil, ^uint32(0)<<(32-p.Bits()))
	net := p.Masked().Addr().As4()
	return []expr.Any{
		loadAddr(offset, reg0),
		&expr.Bitwise{SourceRegister: reg0, DestRegister: reg0, Len: 4, Mask: mask, Xor: make([]byte, 4)},
		cmp(op, reg0, net[:]),
	}
}

func dport(port uint16) []expr.Any {
	return []expr.Any{loadPort(reg0), cmp(expr.CmpOpEq, reg0, binary.BigEndian.AppendUint16(nil, port))}
}

// ctBits matches when one of the bits is set in the connection's state or status.
func ctBits(key expr.CtKey, bits uint32) []expr.Any {
	return []expr.Any{
		&expr.Ct{Key: key, Register: reg0},
		&expr.Bitwise{SourceRegister: reg0, DestRegister: reg0, Len: 4,
			Mask: binaryutil.NativeEndian.PutUint32(bits), Xor: make([]byte, 4)},
		cmp(expr.CmpOpNeq, reg0, make([]byte, 4)),
	}
}

// ipsDstNAT is IPS_DST_NAT of linux/netfilter/nf_conntrack_common.h: the connection's destination was translated.
const ipsDstNAT = 1 << 5

func known() []expr.Any {
	return ctBits(expr.CtKeySTATE, expr.CtStateBitESTABLISHED|expr.CtStateBitRELATED)
}

func translated() []expr.Any { return ctBits(expr.CtKeySTATUS, ipsDstNAT) }

// localDst matches packets to an address of this namespace.
func localDst() []expr.Any {
	return []expr.Any{
		&expr.Fib{Register: reg0, ResultADDRTYPE: true, FlagDADDR: true},
		cmp(expr.CmpOpEq, reg0, binaryutil.NativeEndian.PutUint32(unix.RTN_LOCAL)),
	}
}

// isIn looks up the key that starts in register 0.
func isIn(s *nftables.Set, load ...expr.Any) []expr.Any {
	return append(load, &expr.Lookup{SourceRegister: reg0, SetName: s.Name, SetID: s.ID})
}

// translate looks up the key that starts in register 0 in a map and makes its value the connection's destination.
func translate(m *nftables.Set, load ...expr.Any) []expr.Any {
	return append(load,
		&expr.Lookup{SourceRegister: reg0, DestRegister: reg0, IsDestRegSet: true, SetName: m.Name, SetID: m.ID},
		&expr.NAT{Type: expr.NATTypeDestNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: reg0, RegProtoMin: reg1})
}

func verdict(k expr.VerdictKind) []expr.Any { return []expr.Any{&expr.Verdict{Kind: k}} }
func accept() []expr.Any                    { return verdict(expr.VerdictAccept) }
func drop() []expr.Any {
	return []expr.Any{&expr.Counter{}, &expr.Verdict{Kind: expr.VerdictDrop}}
}
func goTo(chain string) []expr.Any {
	return []expr.Any{&expr.Verdict{Kind: expr.VerdictGoto, Chain: chain}}
}

// refusals answer at once, so that a forbidden connection is an error of the first second and not a time-out. Always by
// ICMP, which comes from the gateway: a TCP reset would bear a neighbour's address, and the second layer drops those.
func refusals() [][]expr.Any {
	const adminProhibited = 3 // NFT_REJECT_ICMPX_ADMIN_PROHIBITED
	return [][]expr.Any{
		{&expr.Counter{}, &expr.Reject{Type: unix.NFT_REJECT_ICMPX_UNREACH, Code: adminProhibited}},
	}
}
