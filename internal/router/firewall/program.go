package firewall

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/bpf"
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
func prologue() []bpf.Insn {
	return []bpf.Insn{
		bpf.Op(bpf.Mov, bpf.R6, bpf.R1),
		bpf.Load(bpf.W, bpf.R2, bpf.R6, skbVlan),
		bpf.JumpIfImm(bpf.NE, bpf.R2, 0, "drop"),
		bpf.Load(bpf.W, bpf.R2, bpf.R6, skbProtocol),
		bpf.JumpIfImm(bpf.NE, bpf.R2, networkOrder16(unix.ETH_P_IP), "drop"),
		bpf.OpImm(bpf.Mov, bpf.R2, packetMAC),
		bpf.Op(bpf.Mov, bpf.R3, bpf.R10),
		bpf.OpImm(bpf.Add, bpf.R3, frame),
		bpf.OpImm(bpf.Mov, bpf.R4, frameLen),
		bpf.Call(helperLoadBytes),
		bpf.JumpIfImm(bpf.NE, bpf.R0, 0, "drop"),
	}
}

func epilogue() []bpf.Insn {
	return []bpf.Insn{
		bpf.Label("pass"), bpf.OpImm(bpf.Mov, bpf.R0, tcOK), bpf.Exit(),
		bpf.Label("drop"), bpf.OpImm(bpf.Mov, bpf.R0, tcShot), bpf.Exit(),
	}
}

func program(parts ...[]bpf.Insn) []bpf.Insn {
	var out []bpf.Insn
	for _, p := range parts {
		out = append(out, p...)
	}
	return append(out, epilogue()...)
}

func networkOrder16(v uint16) int32 {
	return int32(binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, v)))
}

// jumpIfAddr compares R2, an address in host order zero-extended to 64 bits, with a; R3 is lost.
func jumpIfAddr(cond bpf.Cond, a netip.Addr, to string) []bpf.Insn {
	return append(constant(bpf.R3, number(a)), bpf.JumpIf(cond, bpf.R2, bpf.R3, to))
}

// jumpInside jumps if R2 lies in p; R3 and R4 are lost.
func jumpInside(p netip.Prefix, to string) []bpf.Insn {
	shift := int32(32 - p.Bits())
	out := []bpf.Insn{bpf.Op(bpf.Mov, bpf.R4, bpf.R2), bpf.OpImm(bpf.Rsh, bpf.R4, shift)}
	out = append(out, constant(bpf.R3, number(p.Addr())>>shift)...)
	return append(out, bpf.JumpIf(bpf.EQ, bpf.R4, bpf.R3, to))
}

func number(a netip.Addr) uint32 {
	b := a.As4()
	return binary.BigEndian.Uint32(b[:])
}

// constant loads v without the sign extension that an immediate has.
func constant(r bpf.Reg, v uint32) []bpf.Insn {
	return []bpf.Insn{bpf.OpImm(bpf.Mov, r, int32(v>>16)), bpf.OpImm(bpf.Lsh, r, 16),
		bpf.OpImm(bpf.Or, r, int32(v&0xffff))}
}

// loadAddress puts an address of the frame into R2, in host order.
func loadAddress(off int16) []bpf.Insn {
	return []bpf.Insn{bpf.Load(bpf.W, bpf.R2, bpf.R10, off), bpf.ToBig(bpf.R2, 32)}
}

func senderProgram(m *bpf.Map) []bpf.Insn {
	const key = -40
	return program(prologue(), []bpf.Insn{
		bpf.Load(bpf.W, bpf.R2, bpf.R6, skbIfindex),
		bpf.Store(bpf.W, bpf.R10, key, bpf.R2),
		bpf.LoadMap(bpf.R1, m),
		bpf.Op(bpf.Mov, bpf.R2, bpf.R10),
		bpf.OpImm(bpf.Add, bpf.R2, key),
		bpf.Call(bpf.HelperMapLookup),
		bpf.JumpIfImm(bpf.EQ, bpf.R0, 0, "drop"),
		bpf.Load(bpf.W, bpf.R2, bpf.R0, 0),
		bpf.Load(bpf.W, bpf.R3, bpf.R10, frameMAC),
		bpf.JumpIf(bpf.NE, bpf.R2, bpf.R3, "drop"),
		bpf.Load(bpf.H, bpf.R2, bpf.R0, 4),
		bpf.Load(bpf.H, bpf.R3, bpf.R10, frameMAC+4),
		bpf.JumpIf(bpf.NE, bpf.R2, bpf.R3, "drop"),
		bpf.Load(bpf.W, bpf.R2, bpf.R0, 8),
		bpf.Load(bpf.W, bpf.R3, bpf.R10, frameSrc),
		bpf.JumpIf(bpf.NE, bpf.R2, bpf.R3, "drop"),
	})
}

func neighbourProgram(p Plan) []bpf.Insn {
	return program(prologue(), loadAddress(frameSrc),
		jumpIfAddr(bpf.EQ, p.Gateway, "pass"), jumpIfAddr(bpf.EQ, p.Host, "pass"), jumpInside(p.Subnet, "drop"))
}

func outwardProgram(p Plan) []bpf.Insn {
	parts := [][]bpf.Insn{prologue(), loadAddress(frameSrc), jumpInside(p.Subnet, "ours"), {bpf.Jump("drop")},
		{bpf.Label("ours")}, loadAddress(frameDst), jumpIfAddr(bpf.EQ, p.Host, "host"), jumpInside(p.Subnet, "drop")}
	for _, n := range never() {
		parts = append(parts, jumpInside(n, "drop"))
	}
	parts = append(parts, []bpf.Insn{bpf.Jump("pass"), bpf.Label("host")}, answerLike())
	return program(parts...)
}

// answerLike lets pass what can be an answer to a connection that the host opened: TCP but for a bare SYN, UDP to a
// port that programs are given when they ask for none, ICMP errors; and later fragments, which are nothing without the
// first.
func answerLike() []bpf.Insn {
	const scratch, lowestEphemeral, syn, synAck = -40, 32768, 0x02, 0x12
	load := func(off, size int32) []bpf.Insn { // off beyond the IPv4 header, whose length is in R7
		return []bpf.Insn{
			bpf.Op(bpf.Mov, bpf.R1, bpf.R6),
			bpf.Op(bpf.Mov, bpf.R2, bpf.R7),
			bpf.OpImm(bpf.Add, bpf.R2, ipBase+off),
			bpf.Op(bpf.Mov, bpf.R3, bpf.R10),
			bpf.OpImm(bpf.Add, bpf.R3, scratch),
			bpf.OpImm(bpf.Mov, bpf.R4, size),
			bpf.Call(helperLoadBytes),
			bpf.JumpIfImm(bpf.NE, bpf.R0, 0, "drop"),
		}
	}
	parts := [][]bpf.Insn{
		{
			bpf.Load(bpf.H, bpf.R2, bpf.R10, frameIP+6), bpf.ToBig(bpf.R2, 16),
			bpf.OpImm(bpf.And, bpf.R2, 0x1fff), bpf.JumpIfImm(bpf.NE, bpf.R2, 0, "pass"),
			bpf.Load(bpf.B, bpf.R7, bpf.R10, frameIP), bpf.OpImm(bpf.And, bpf.R7, 0x0f), bpf.OpImm(bpf.Lsh, bpf.R7, 2),
			bpf.Load(bpf.B, bpf.R8, bpf.R10, frameProto),
			bpf.JumpIfImm(bpf.EQ, bpf.R8, unix.IPPROTO_UDP, "udp"),
			bpf.JumpIfImm(bpf.EQ, bpf.R8, unix.IPPROTO_ICMP, "icmp"),
			bpf.JumpIfImm(bpf.NE, bpf.R8, unix.IPPROTO_TCP, "drop"),
		},
		load(13, 1), {
			bpf.Load(bpf.B, bpf.R2, bpf.R10, scratch), bpf.OpImm(bpf.And, bpf.R2, synAck),
			bpf.JumpIfImm(bpf.EQ, bpf.R2, syn, "drop"), bpf.Jump("pass"), bpf.Label("udp"),
		},
		load(2, 2), {
			bpf.Load(bpf.H, bpf.R2, bpf.R10, scratch), bpf.ToBig(bpf.R2, 16),
			bpf.JumpIfImm(bpf.LT, bpf.R2, lowestEphemeral, "drop"), bpf.Jump("pass"), bpf.Label("icmp"),
		},
		load(0, 1), {
			bpf.Load(bpf.B, bpf.R2, bpf.R10, scratch),
			bpf.JumpIfImm(bpf.EQ, bpf.R2, 3, "pass"),  // destination unreachable
			bpf.JumpIfImm(bpf.EQ, bpf.R2, 11, "pass"), // time exceeded
			bpf.JumpIfImm(bpf.EQ, bpf.R2, 12, "pass"), // parameter problem
			bpf.Jump("drop"),
		},
	}
	var out []bpf.Insn
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

// arrivalProgram asks the host's own routing what it would do with the packet: only what it would send onward passes.
func arrivalProgram(p Plan) []bpf.Insn {
	const params, paramsLen = -96, 64 // struct bpf_fib_lookup
	ask := []bpf.Insn{}
	for off := int16(0); off < paramsLen; off += 8 {
		ask = append(ask, bpf.StoreImm(bpf.DW, bpf.R10, params+off, 0))
	}
	ask = append(ask,
		bpf.StoreImm(bpf.B, bpf.R10, params, unix.AF_INET),
		bpf.Load(bpf.W, bpf.R2, bpf.R6, skbIfindex), bpf.Store(bpf.W, bpf.R10, params+8, bpf.R2),
		bpf.Load(bpf.W, bpf.R2, bpf.R10, frameSrc), bpf.Store(bpf.W, bpf.R10, params+16, bpf.R2),
		bpf.Load(bpf.W, bpf.R2, bpf.R10, frameDst), bpf.Store(bpf.W, bpf.R10, params+32, bpf.R2),
		bpf.Op(bpf.Mov, bpf.R1, bpf.R6),
		bpf.Op(bpf.Mov, bpf.R2, bpf.R10), bpf.OpImm(bpf.Add, bpf.R2, params),
		bpf.OpImm(bpf.Mov, bpf.R3, paramsLen), bpf.OpImm(bpf.Mov, bpf.R4, 0),
		bpf.Call(helperFibLookup),
		bpf.JumpIfImm(bpf.EQ, bpf.R0, fibNotForwarded, "drop"),
		bpf.JumpIfImm(bpf.EQ, bpf.R0, fibNoForwarding, "drop"),
		bpf.JumpIfImm(bpf.GT, bpf.R0, fibLast, "drop"),
	)
	return program(prologue(), loadAddress(frameSrc), jumpInside(p.Subnet, "ours"), []bpf.Insn{bpf.Jump("drop"),
		bpf.Label("ours")}, loadAddress(frameDst), jumpIfAddr(bpf.EQ, p.Host, "pass"), ask)
}

func backProgram() []bpf.Insn {
	return program([]bpf.Insn{
		bpf.Load(bpf.W, bpf.R2, bpf.R1, skbIngress),
		bpf.JumpIfImm(bpf.EQ, bpf.R2, 0, "pass"), // made by the host itself
		bpf.Load(bpf.W, bpf.R2, bpf.R1, skbMark),
		bpf.JumpIfImm(bpf.AnySet, bpf.R2, passMark, "pass"),
		bpf.Jump("drop"),
	})
}
