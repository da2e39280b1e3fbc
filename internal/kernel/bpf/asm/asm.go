package asm

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Reg is a register: R0 holds results, R1 to R5 arguments (lost in a call), R6 to R9 are kept, R10 is the frame
// pointer.
type Reg uint8

// The registers.
const (
	R0 Reg = iota
	R1
	R2
	R3
	R4
	R5
	R6
	R7
	R8
	R9
	R10
)

// Size is the width of one memory access.
type Size uint8

// Byte, half word, word (32 bits), double word.
const (
	B  Size = 0x10
	H  Size = 0x08
	W  Size = 0x00
	DW Size = 0x18
)

// ALU is an operation on 64-bit registers.
type ALU uint8

// The operations.
const (
	Add ALU = 0x00
	Or  ALU = 0x40
	And ALU = 0x50
	Lsh ALU = 0x60
	Rsh ALU = 0x70
	Mov ALU = 0xb0
)

// Cond is the condition of a jump; comparisons are unsigned and 64 bits wide, immediates are sign-extended.
type Cond uint8

// The conditions.
const (
	Always Cond = 0x00
	EQ     Cond = 0x10
	GT     Cond = 0x20
	AnySet Cond = 0x40 // dst & src != 0
	NE     Cond = 0x50
	LT     Cond = 0xa0
)

const (
	classLD, classLDX, classST, classSTX = 0x00, 0x01, 0x02, 0x03
	classJMP, classALU64                 = 0x05, 0x07
	classALU                             = 0x04
	modeMEM                              = 0x60
	sourceReg                            = 0x08
	opEnd, opCall, opExit                = 0xd0, 0x80, 0x90
	pseudoMapFD                          = 1
)

// maxInsns is the kernel's bound for one function of an unprivileged program; ours stay far below it.
const maxInsns = 4096

// Insn is one instruction, or a label. Only this package can build one that is not empty.
type Insn struct {
	op       uint8
	dst, src Reg
	off      int16
	imm      int32
	target   string // of a jump
	label    string // when this is a label and not an instruction
	wide     bool   // two slots: a 64-bit immediate
}

// Op computes dst = dst op src.
func Op(op ALU, dst, src Reg) Insn {
	return Insn{op: classALU64 | sourceReg | uint8(op), dst: dst, src: src}
}

// OpImm computes dst = dst op imm (sign-extended).
func OpImm(op ALU, dst Reg, imm int32) Insn {
	return Insn{op: classALU64 | uint8(op), dst: dst, imm: imm}
}

// ToBig turns the lowest bits (16, 32, 64) of dst from network to host order or back, and clears the rest.
func ToBig(dst Reg, bits int32) Insn {
	return Insn{op: classALU | sourceReg | opEnd, dst: dst, imm: bits}
}

// Load reads memory at src+off into dst, zero-extended.
func Load(size Size, dst, src Reg, off int16) Insn {
	return Insn{op: classLDX | modeMEM | uint8(size), dst: dst, src: src, off: off}
}

// Store writes src to memory at dst+off.
func Store(size Size, dst Reg, off int16, src Reg) Insn {
	return Insn{op: classSTX | modeMEM | uint8(size), dst: dst, src: src, off: off}
}

// StoreImm writes imm to memory at dst+off.
func StoreImm(size Size, dst Reg, off int16, imm int32) Insn {
	return Insn{op: classST | modeMEM | uint8(size), dst: dst, off: off, imm: imm}
}

// LoadMap puts the address of a map into dst, for helpers. The kernel takes the map's descriptor for it.
func LoadMap(dst Reg, fd int) Insn {
	return Insn{op: classLD | uint8(DW), dst: dst, src: pseudoMapFD, imm: int32(fd), wide: true}
}

// Jump goes to the label to.
func Jump(to string) Insn { return Insn{op: classJMP | uint8(Always), target: to} }

// JumpIf goes to the label to if dst cond src.
func JumpIf(cond Cond, dst, src Reg, to string) Insn {
	return Insn{op: classJMP | sourceReg | uint8(cond), dst: dst, src: src, target: to}
}

// JumpIfImm goes to the label to if dst cond imm.
func JumpIfImm(cond Cond, dst Reg, imm int32, to string) Insn {
	return Insn{op: classJMP | uint8(cond), dst: dst, imm: imm, target: to}
}

// The numbers of helpers, from linux/bpf.h.
const (
	HelperMapLookup int32 = 1 // R1 map, R2 address of the key: address of the value, or 0
)

// Call calls a helper by its number: arguments in R1 to R5, result in R0.
func Call(helper int32) Insn { return Insn{op: classJMP | opCall, imm: helper} }

// Exit ends the program; its result is R0.
func Exit() Insn { return Insn{op: classJMP | opExit} }

// Label names the place of the next instruction. The kernel refuses loops, so jumps go forward only.
func Label(name string) Insn { return Insn{label: name} }

// Assemble resolves labels and gives the program's bytes, eight per slot, in this machine's byte order. It fails for an
// unknown or doubled label, a jump backwards, and a program that is empty or longer than 4096 slots.
func Assemble(prog []Insn) ([]byte, error) {
	labels := map[string]int{}
	slots := 0
	for _, in := range prog {
		_, twice := labels[in.label]
		switch {
		case in.wide:
			slots += 2
		case in.label == "":
			slots++
		case twice:
			return nil, fmt.Errorf("assemble: label %q is there twice", in.label)
		default:
			labels[in.label] = slots
		}
	}
	if slots == 0 || slots > maxInsns {
		return nil, fmt.Errorf("assemble: a program of %d instructions; 1 to %d are possible", slots, maxInsns)
	}
	code := make([]byte, 0, slots*8)
	for _, in := range prog {
		if in.label != "" {
			continue
		}
		if in.target != "" {
			to, ok := labels[in.target]
			off := to - len(code)/8 - 1
			if !ok || off < 0 || off > math.MaxInt16 {
				return nil, fmt.Errorf("assemble: no label %q ahead of instruction %d", in.target, len(code)/8)
			}
			in.off = int16(off)
		}
		code = in.append(code)
		if in.wide {
			code = append(code, make([]byte, 8)...)
		}
	}
	return code, nil
}

// append encodes one slot: op, registers (4 bits each, dst in the low half on little-endian machines), offset,
// immediate.
func (in Insn) append(code []byte) []byte {
	regs := uint8(in.src)<<4 | uint8(in.dst)
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		regs = uint8(in.dst)<<4 | uint8(in.src)
	}
	code = append(code, in.op, regs)
	code = binary.NativeEndian.AppendUint16(code, uint16(in.off))
	return binary.NativeEndian.AppendUint32(code, uint32(in.imm))
}
