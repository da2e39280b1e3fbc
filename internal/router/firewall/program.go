package firewall

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/bpf/asm"
	"github.com/brig-engine/brig/internal/kernel/bpf/bpfmap"
	"github.com/brig-engine/brig/internal/wire"
)

// Offsets in struct __sk_buff (linux/bpf.h).
const (
	skbMark, skbProtocol, skbVlan, skbIngress, skbIfindex = 8, 16, 20, 36, 40
)

// Helpers and results of linux/bpf.h.
const (
	helperLoadBytes, helperFibLookup = 26, 69
	fibNotForwarded, fibNoForwarding = 4, 5
	fibLast                          = 8 // larger values mean a lookup that did not work
	tcOK, tcShot                     = 0, 2
)

// The stack frame of the packet programs: 28 bytes of the packet from its sixth on, that is the sender's MAC, the type
// and the IPv4 header without options.
const (
	frame             = -32
	frameMAC          = frame
	frameIP           = frame + 8
	frameProto        = frameIP + 9
	frameSrc          = frameIP + 12
	frameDst          = frameIP + 16
	packetMAC, ipBase = 6, 14
	frameLen          = 28
)

// prologue keeps the context in R6, drops everything but plain IPv4 and copies the headers to the stack.
func prologue() []asm.Insn {
	return []asm.Insn{
		asm.Op(asm.Mov, asm.R6, asm.R1),
		asm.Load(asm.W, asm.R2, asm.R6, skbVlan),
		asm.JumpIfImm(asm.NE, asm.R2, 0, "drop"),
		asm.Load(asm.W, asm.R2, asm.R6, skbProtocol),
		asm.JumpIfImm(asm.NE, asm.R2, networkOrder16(unix.ETH_P_IP), "drop"),
		asm.OpImm(asm.Mov, asm.R2, packetMAC),
		asm.Op(asm.Mov, asm.R3, asm.R10),
		asm.OpImm(asm.Add, asm.R3, frame),
		asm.OpImm(asm.Mov, asm.R4, frameLen),
		asm.Call(helperLoadBytes),
		asm.JumpIfImm(asm.NE, asm.R0, 0, "drop"),
	}
}

func epilogue() []asm.Insn {
	return []asm.Insn{
		asm.Label("pass"), asm.OpImm(asm.Mov, asm.R0, tcOK), asm.Exit(),
		asm.Label("drop"), asm.OpImm(asm.Mov, asm.R0, tcShot), asm.Exit(),
	}
}

func program(parts ...[]asm.Insn) []asm.Insn {
	var out []asm.Insn
	for _, p := range parts {
		out = append(out, p...)
	}
	return append(out, epilogue()...)
}

func networkOrder16(v uint16) int32 {
	return int32(binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, v)))
}

// jumpIfAddr compares R2, an address in host order zero-extended to 64 bits, with a; R3 is lost.
func jumpIfAddr(cond asm.Cond, a netip.Addr, to string) []asm.Insn {
	return append(constant(asm.R3, number(a)), asm.JumpIf(cond, asm.R2, asm.R3, to))
}

// jumpInside jumps if R2 lies in p; R3 and R4 are lost.
func jumpInside(p netip.Prefix, to string) []asm.Insn {
	shift := int32(32 - p.Bits())
	out := []asm.Insn{asm.Op(asm.Mov, asm.R4, asm.R2), asm.OpImm(asm.Rsh, asm.R4, shift)}
	out = append(out, constant(asm.R3, number(p.Addr())>>shift)...)
	return append(out, asm.JumpIf(asm.EQ, asm.R4, asm.R3, to))
}

func number(a netip.Addr) uint32 {
	b := a.As4()
	return binary.BigEndian.Uint32(b[:])
}

// constant loads v without the sign extension that an immediate has.
func constant(r asm.Reg, v uint32) []asm.Insn {
	return []asm.Insn{asm.OpImm(asm.Mov, r, int32(v>>16)), asm.OpImm(asm.Lsh, r, 16),
		asm.OpImm(asm.Or, r, int32(v&0xffff))}
}

// loadAddress puts an address of the frame into R2, in host order.
func loadAddress(off int16) []asm.Insn {
	return []asm.Insn{asm.Load(asm.W, asm.R2, asm.R10, off), asm.ToBig(asm.R2, 32)}
}

func senderProgram(m *bpfmap.Map) []asm.Insn {
	const key = -40
	return program(prologue(), []asm.Insn{
		asm.Load(asm.W, asm.R2, asm.R6, skbIfindex),
		asm.Store(asm.W, asm.R10, key, asm.R2),
		asm.LoadMap(asm.R1, m.FD()),
		asm.Op(asm.Mov, asm.R2, asm.R10),
		asm.OpImm(asm.Add, asm.R2, key),
		asm.Call(asm.HelperMapLookup),
		asm.JumpIfImm(asm.EQ, asm.R0, 0, "drop"),
		asm.Load(asm.W, asm.R2, asm.R0, 0),
		asm.Load(asm.W, asm.R3, asm.R10, frameMAC),
		asm.JumpIf(asm.NE, asm.R2, asm.R3, "drop"),
		asm.Load(asm.H, asm.R2, asm.R0, 4),
		asm.Load(asm.H, asm.R3, asm.R10, frameMAC+4),
		asm.JumpIf(asm.NE, asm.R2, asm.R3, "drop"),
		asm.Load(asm.W, asm.R2, asm.R0, 8),
		asm.Load(asm.W, asm.R3, asm.R10, frameSrc),
		asm.JumpIf(asm.NE, asm.R2, asm.R3, "drop"),
	})
}

func neighbourProgram(p Plan, members *bpfmap.Map) []asm.Insn {
	return program(prologue(), loadAddress(frameSrc),
		jumpIfAddr(asm.EQ, p.Gateway, "pass"), jumpIfAddr(asm.EQ, p.Host, "outside"), jumpInside(p.Subnet, "inside"),
		[]asm.Insn{asm.Label("outside")}, dropConfined(members, frameDst, "pass"),
		[]asm.Insn{asm.Jump("pass"), asm.Label("inside")}, meet(members))
}

// member looks up the membership of the address at off in the frame: R0 is its address, or 0.
func member(m *bpfmap.Map, off int16) []asm.Insn {
	return []asm.Insn{
		asm.LoadMap(asm.R1, m.FD()),
		asm.Op(asm.Mov, asm.R2, asm.R10),
		asm.OpImm(asm.Add, asm.R2, int32(off)),
		asm.Call(asm.HelperMapLookup),
	}
}

// dropConfined drops the packet if the address at off is a confined endpoint's, and goes on at the label free.
func dropConfined(m *bpfmap.Map, off int16, free string) []asm.Insn {
	return append(member(m, off),
		asm.JumpIfImm(asm.EQ, asm.R0, 0, free),
		asm.Load(asm.W, asm.R2, asm.R0, confinedAt),
		asm.JumpIfImm(asm.NE, asm.R2, 0, "drop"))
}

// meet lets pass what is between members of one network: each number of the sender, up to the first empty place, against
// each of the receiver.
func meet(m *bpfmap.Map) []asm.Insn {
	out := append(member(m, frameSrc), asm.JumpIfImm(asm.EQ, asm.R0, 0, "drop"), asm.Op(asm.Mov, asm.R7, asm.R0))
	out = append(out, member(m, frameDst)...)
	out = append(out, asm.JumpIfImm(asm.EQ, asm.R0, 0, "drop"))
	for i := range int16(wire.MaxNetworks) {
		out = append(out, asm.Load(asm.W, asm.R2, asm.R7, 4*i), asm.JumpIfImm(asm.EQ, asm.R2, 0, "drop"))
		for j := range int16(wire.MaxNetworks) {
			out = append(out, asm.Load(asm.W, asm.R3, asm.R0, 4*j), asm.JumpIf(asm.EQ, asm.R2, asm.R3, "pass"))
		}
	}
	return append(out, asm.Jump("drop"))
}

func outwardProgram(p Plan, members *bpfmap.Map) []asm.Insn {
	parts := [][]asm.Insn{prologue(), loadAddress(frameSrc), jumpInside(p.Subnet, "ours"), {asm.Jump("drop")},
		{asm.Label("ours")}, dropConfined(members, frameSrc, "free"), {asm.Label("free")}, loadAddress(frameDst), jumpIfAddr(asm.EQ, p.Host, "host"), jumpInside(p.Subnet, "drop")}
	for _, n := range never() {
		parts = append(parts, jumpInside(n, "drop"))
	}
	parts = append(parts, []asm.Insn{asm.Jump("pass"), asm.Label("host")}, answerLike())
	return program(parts...)
}

// answerLike lets pass what can be an answer to a connection that the host opened: TCP but for a bare SYN, UDP to a
// port that programs are given when they ask for none, ICMP errors; and later fragments, which are nothing without the
// first.
func answerLike() []asm.Insn {
	const scratch, lowestEphemeral, syn, synAck = -40, 32768, 0x02, 0x12
	load := func(off, size int32) []asm.Insn { // off beyond the IPv4 header, whose length is in R7
		return []asm.Insn{
			asm.Op(asm.Mov, asm.R1, asm.R6),
			asm.Op(asm.Mov, asm.R2, asm.R7),
			asm.OpImm(asm.Add, asm.R2, ipBase+off),
			asm.Op(asm.Mov, asm.R3, asm.R10),
			asm.OpImm(asm.Add, asm.R3, scratch),
			asm.OpImm(asm.Mov, asm.R4, size),
			asm.Call(helperLoadBytes),
			asm.JumpIfImm(asm.NE, asm.R0, 0, "drop"),
		}
	}
	parts := [][]asm.Insn{
		{
			asm.Load(asm.H, asm.R2, asm.R10, frameIP+6), asm.ToBig(asm.R2, 16),
			asm.OpImm(asm.And, asm.R2, 0x1fff), asm.JumpIfImm(asm.NE, asm.R2, 0, "pass"),
			asm.Load(asm.B, asm.R7, asm.R10, frameIP), asm.OpImm(asm.And, asm.R7, 0x0f), asm.OpImm(asm.Lsh, asm.R7, 2),
			asm.Load(asm.B, asm.R8, asm.R10, frameProto),
			asm.JumpIfImm(asm.EQ, asm.R8, unix.IPPROTO_UDP, "udp"),
			asm.JumpIfImm(asm.EQ, asm.R8, unix.IPPROTO_ICMP, "icmp"),
			asm.JumpIfImm(asm.NE, asm.R8, unix.IPPROTO_TCP, "drop"),
		},
		load(13, 1), {
			asm.Load(asm.B, asm.R2, asm.R10, scratch), asm.OpImm(asm.And, asm.R2, synAck),
			asm.JumpIfImm(asm.EQ, asm.R2, syn, "drop"), asm.Jump("pass"), asm.Label("udp"),
		},
		load(2, 2), {
			asm.Load(asm.H, asm.R2, asm.R10, scratch), asm.ToBig(asm.R2, 16),
			asm.JumpIfImm(asm.LT, asm.R2, lowestEphemeral, "drop"), asm.Jump("pass"), asm.Label("icmp"),
		},
		load(0, 1), {
			asm.Load(asm.B, asm.R2, asm.R10, scratch),
			asm.JumpIfImm(asm.EQ, asm.R2, 3, "pass"),  // destination unreachable
			asm.JumpIfImm(asm.EQ, asm.R2, 11, "pass"), // time exceeded
			asm.JumpIfImm(asm.EQ, asm.R2, 12, "pass"), // parameter problem
			asm.Jump("drop"),
		},
	}
	var out []asm.Insn
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

// arrivalProgram asks the host's own routing what it would do with the packet: only what it would send onward passes.
func arrivalProgram(p Plan) []asm.Insn {
	const params, paramsLen = -96, 64 // struct bpf_fib_lookup
	ask := []asm.Insn{}
	for off := int16(0); off < paramsLen; off += 8 {
		ask = append(ask, asm.StoreImm(asm.DW, asm.R10, params+off, 0))
	}
	ask = append(ask,
		asm.StoreImm(asm.B, asm.R10, params, unix.AF_INET),
		asm.Load(asm.W, asm.R2, asm.R6, skbIfindex), asm.Store(asm.W, asm.R10, params+8, asm.R2),
		asm.Load(asm.W, asm.R2, asm.R10, frameSrc), asm.Store(asm.W, asm.R10, params+16, asm.R2),
		asm.Load(asm.W, asm.R2, asm.R10, frameDst), asm.Store(asm.W, asm.R10, params+32, asm.R2),
		asm.Op(asm.Mov, asm.R1, asm.R6),
		asm.Op(asm.Mov, asm.R2, asm.R10), asm.OpImm(asm.Add, asm.R2, params),
		asm.OpImm(asm.Mov, asm.R3, paramsLen), asm.OpImm(asm.Mov, asm.R4, 0),
		asm.Call(helperFibLookup),
		asm.JumpIfImm(asm.EQ, asm.R0, fibNotForwarded, "drop"),
		asm.JumpIfImm(asm.EQ, asm.R0, fibNoForwarding, "drop"),
		asm.JumpIfImm(asm.GT, asm.R0, fibLast, "drop"),
	)
	return program(prologue(), loadAddress(frameSrc), jumpInside(p.Subnet, "ours"), []asm.Insn{asm.Jump("drop"),
		asm.Label("ours")}, loadAddress(frameDst), jumpIfAddr(asm.EQ, p.Host, "pass"), ask)
}

func backProgram() []asm.Insn {
	return program([]asm.Insn{
		asm.Load(asm.W, asm.R2, asm.R1, skbIngress),
		asm.JumpIfImm(asm.EQ, asm.R2, 0, "pass"), // made by the host itself
		asm.Load(asm.W, asm.R2, asm.R1, skbMark),
		asm.JumpIfImm(asm.AnySet, asm.R2, passMark, "pass"),
		asm.Jump("drop"),
	})
}
