package reaper

import "encoding/binary"

// x86 encodes for amd64. Every displacement and number takes four bytes, needed or not.
type x86 struct{}

// number of a register: the system-call convention for arguments; rbx, rbp, r14 and r15 are left alone by it.
func (x86) number(r reg) byte { return [...]byte{7, 6, 2, 10, 8, 3, 5, 14, 15, 4, 0, 0}[r] }

// wide is a REX prefix for 64 bits, an opcode, and a ModRM byte.
func (x86) wide(opcode, mod, field, rm byte) []byte {
	return []byte{0x48 | field>>3<<2 | rm>>3, opcode, mod<<6 | field&7<<3 | rm&7}
}

func word32(b []byte, v int) []byte { return binary.LittleEndian.AppendUint32(b, uint32(v)) }

// memory is an instruction with the operand base + off.
func (x x86) memory(opcode byte, r, base reg, off int) []byte {
	b := x.wide(opcode, 2, x.number(r), x.number(base))
	if x.number(base)&7 == 4 { // rsp: this ModRM means that a SIB byte follows
		b = append(b, 0x24)
	}
	return word32(b, off)
}

func (x x86) set(r reg, v int) []byte           { return word32(x.wide(0xc7, 3, 0, x.number(r)), v) }
func (x x86) lea(r, base reg, off int) []byte   { return x.memory(0x8d, r, base, off) }
func (x x86) load(r, base reg, off int) []byte  { return x.memory(0x8b, r, base, off) }
func (x x86) store(r, base reg, off int) []byte { return x.memory(0x89, r, base, off) }
func (x x86) plus(r, by reg) []byte             { return x.wide(0x01, 3, x.number(by), x.number(r)) }
func (x x86) sub(r, by reg) []byte              { return x.wide(0x29, 3, x.number(by), x.number(r)) }

// bits shifts right (C1 /5), then masks (81 /4).
func (x x86) bits(r reg, low, width int) []byte {
	b := append(x.wide(0xc1, 3, 5, x.number(r)), byte(low))
	return word32(append(b, x.wide(0x81, 3, 4, x.number(r))...), 1<<width-1)
}

// branch compares (81 /7) and jumps (0F 8x): 13 bytes.
func (x x86) branch(r reg, is condition, v, distance int) []byte {
	b := word32(x.wide(0x81, 3, 7, x.number(r)), v)
	return word32(append(b, 0x0f, 0x80|[...]byte{0x4, 0x5, 0xc, 0xe}[is]), distance-13)
}

func (x86) jumpBy(distance int) []byte { return word32([]byte{0xe9}, distance-5) }

// addr is relative to the instruction's end: ModRM 00, rm 5.
func (x x86) addr(r reg, distance int) []byte {
	return word32(x.wide(0x8d, 0, x.number(r), 5), distance-7)
}

func (x86) trap() []byte { return []byte{0x0f, 0x05} }
