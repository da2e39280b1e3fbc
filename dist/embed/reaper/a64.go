package reaper

import "encoding/binary"

// a64 encodes for arm64: one word for each instruction. Register 31 is the stack pointer where it is used here.
type a64 struct{}

// number of a register: the system-call convention for arguments; x19 to x22 are left alone by it.
func (a64) number(r reg) uint32 { return [...]uint32{0, 1, 2, 3, 4, 19, 20, 21, 22, 31, 0, 8}[r] }

func instruction(w ...uint32) (b []byte) {
	for _, v := range w {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	return b
}

// offset is an instruction with a target, a base, and a number of 12 bits.
func (a a64) offset(opcode uint32, r, base reg, n int) []byte {
	return instruction(opcode | uint32(n)<<10 | a.number(base)<<5 | a.number(r))
}

// set is MOVZ, or MOVN of the complement.
func (a a64) set(r reg, v int) []byte {
	if v < 0 {
		return instruction(0x92800000 | uint32(^v)<<5 | a.number(r))
	}
	return instruction(0xd2800000 | uint32(v)<<5 | a.number(r))
}

// lea is ADD, or SUB of a negative offset.
func (a a64) lea(r, base reg, off int) []byte {
	if off < 0 {
		return a.offset(0xd1000000, r, base, -off)
	}
	return a.offset(0x91000000, r, base, off)
}

func (a a64) load(r, base reg, off int) []byte  { return a.offset(0xf9400000, r, base, off/8) }
func (a a64) store(r, base reg, off int) []byte { return a.offset(0xf9000000, r, base, off/8) }

func (a a64) plus(r, by reg) []byte { return a.three(0x8b000000, r, by) }
func (a a64) sub(r, by reg) []byte  { return a.three(0xcb000000, r, by) }

func (a a64) three(opcode uint32, r, by reg) []byte {
	return instruction(opcode | a.number(by)<<16 | a.number(r)<<5 | a.number(r))
}

// bits is UBFX.
func (a a64) bits(r reg, low, width int) []byte {
	return instruction(0xd3400000 | uint32(low)<<16 | uint32(low+width-1)<<10 | a.number(r)<<5 | a.number(r))
}

// branch is CMP, or CMN of a negative number, and B.cond.
func (a a64) branch(r reg, is condition, v, distance int) []byte {
	compare := 0xf100001f | uint32(v)<<10
	if v < 0 {
		compare = 0xb100001f | uint32(-v)<<10
	}
	by := uint32(distance-4) >> 2 & (1<<19 - 1)
	return instruction(compare|a.number(r)<<5, 0x54000000|by<<5|[...]uint32{0x0, 0x1, 0xb, 0xd}[is])
}

func (a64) jumpBy(distance int) []byte {
	return instruction(0x14000000 | uint32(distance)>>2&(1<<26-1))
}

// addr is ADR: the low two bits of the distance stand apart.
func (a a64) addr(r reg, distance int) []byte {
	return instruction(0x10000000 | uint32(distance)&3<<29 | uint32(distance)>>2&(1<<19-1)<<5 | a.number(r))
}

func (a64) trap() []byte { return instruction(0xd4000001) }
