// Package devices writes the program that decides about devices in every control group of version 2.
//
// Zone: none for this package: dist/embed runs it, and what comes out is data of the warden (internal/warden/code).
// Input: the table. Output: the program's bytes, and a listing of them.
// Spec: the kernel's admin-guide/cgroup-v2, device controller; RFC 9669.
// Answers: A3 (device nodes).
package devices

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/bpf/asm"
)

// devices are those of every container. They may be read and written; nobody needs to make device nodes.
var devices = []struct{ major, minor int32 }{
	{1, 3},    // null
	{1, 5},    // zero
	{1, 7},    // full
	{1, 8},    // random
	{1, 9},    // urandom
	{5, 0},    // tty
	{5, 2},    // ptmx
	{136, -1}, // pts/*
}

// Program allows to read and write the devices of every container, and refuses all else. Its argument is struct
// bpf_cgroup_dev_ctx: access << 16 | type, major, minor.
func Program() ([]byte, error) {
	const kind, access, major, minor = asm.R2, asm.R3, asm.R4, asm.R5
	prog := []asm.Insn{
		asm.Load(asm.W, kind, asm.R1, 0),
		asm.Op(asm.Mov, access, kind), asm.OpImm(asm.Rsh, access, 16),
		asm.OpImm(asm.And, kind, 0xffff),
		asm.Load(asm.W, major, asm.R1, 4),
		asm.Load(asm.W, minor, asm.R1, 8),
		asm.JumpIfImm(asm.NE, kind, unix.BPF_DEVCG_DEV_CHAR, "refuse"),
		asm.JumpIfImm(asm.AnySet, access, unix.BPF_DEVCG_ACC_MKNOD, "refuse"),
	}
	for i, d := range devices {
		next := fmt.Sprintf("device %d", i+1)
		prog = append(prog, asm.JumpIfImm(asm.NE, major, d.major, next))
		if d.minor >= 0 {
			prog = append(prog, asm.JumpIfImm(asm.NE, minor, d.minor, next))
		}
		prog = append(prog, asm.OpImm(asm.Mov, asm.R0, 1), asm.Exit(), asm.Label(next))
	}
	return asm.Assemble(append(prog, asm.Label("refuse"), asm.OpImm(asm.Mov, asm.R0, 0), asm.Exit()))
}

// Block allows one more device. The warden has it behind Program, puts it into it, behind the six instructions that load the
// argument, and writes three of its operands: of the third instruction what is not allowed, of the fifth and sixth the device.
func Block() ([]byte, error) {
	const kind, access, major, minor = asm.R2, asm.R3, asm.R4, asm.R5
	return asm.Assemble([]asm.Insn{
		asm.JumpIfImm(asm.NE, kind, unix.BPF_DEVCG_DEV_CHAR, "next"),
		asm.Op(asm.Mov, asm.R0, access), asm.OpImm(asm.And, asm.R0, -1), asm.JumpIfImm(asm.NE, asm.R0, 0, "next"),
		asm.JumpIfImm(asm.NE, major, -1, "next"), asm.JumpIfImm(asm.NE, minor, -1, "next"),
		asm.OpImm(asm.Mov, asm.R0, 1), asm.Exit(), asm.Label("next"),
	})
}

// Listing writes the program for the warden and for people: the bytes of an instruction, its number, what it does.
func Listing(program []byte) string {
	var b strings.Builder
	for i, in := range slices.Collect(slices.Chunk(program, 8)) {
		fmt.Fprintf(&b, "% x  %4d  %s\n", in, i, text(i, in))
	}
	return b.String()
}

// text knows the instructions that Program consists of.
func text(at int, in []byte) string {
	dst, src := in[1]&15, in[1]>>4
	off := int(int16(binary.LittleEndian.Uint16(in[2:])))
	imm := int32(binary.LittleEndian.Uint32(in[4:]))
	switch to := at + 1 + off; in[0] {
	case 0x61:
		return fmt.Sprintf("r%d = word at r%d + %d", dst, src, off)
	case 0xbf:
		return fmt.Sprintf("r%d = r%d", dst, src)
	case 0xb7:
		return fmt.Sprintf("r%d = %d", dst, imm)
	case 0x77:
		return fmt.Sprintf("r%d >>= %d", dst, imm)
	case 0x57:
		return fmt.Sprintf("r%d &= %#x", dst, imm)
	case 0x55:
		return fmt.Sprintf("if r%d != %d goto %d", dst, imm, to)
	case 0x45:
		return fmt.Sprintf("if r%d & %d goto %d", dst, imm, to)
	case 0x95:
		return "return r0"
	}
	return "unknown"
}
