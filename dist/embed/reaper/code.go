package reaper

import (
	"encoding/binary"
	"fmt"

	"github.com/brig-engine/brig/internal/kernel/seccomp"
)

// reg is a register by its part in the program. An argument of a system call is lost in the call; its result, which on
// one of the machines is in a0, when the next argument is set. Saved registers keep their value.
type reg int

const (
	a0 reg = iota
	a1
	a2
	a3
	a4
	s0
	s1
	s2
	s3
	sp
	ret    // of a system call
	number // of a system call
)

// condition compares a register, signed, with a number.
type condition int

const (
	equal condition = iota
	notEqual
	less
	lessOrEqual
)

// isa encodes the instructions that the program consists of. Words have 64 bits. Offsets lie within ±4095, those of
// load and store are positive multiples of 8; distances count from the first byte of the instruction.
type isa interface {
	set(r reg, v int) []byte         // r = v; -1 ≤ v < 65536
	lea(r, base reg, off int) []byte // r = base + off
	load(r, base reg, off int) []byte
	store(r, base reg, off int) []byte
	plus(r, by reg) []byte                              // r += by
	sub(r, by reg) []byte                               // r -= by
	bits(r reg, low, width int) []byte                  // r = width bits of r; width ≤ 8
	branch(r reg, is condition, v, distance int) []byte // |v| ≤ 4095
	jumpBy(distance int) []byte                         // always
	addr(r reg, distance int) []byte                    // r = this address + distance
	trap() []byte                                       // the system call itself
}

// code is the program while it is written.
type code struct {
	isa
	arch string
	out  []byte
	at   map[string]int // where labels are, after the first pass
	err  error
}

func (c *code) add(instruction []byte) { c.out = append(c.out, instruction...) }

func (c *code) label(name string) { c.at[name] = len(c.out) }

// to is the distance from here to a label.
func (c *code) to(label string) int { return c.at[label] - len(c.out) }

func (c *code) jumpIf(r reg, is condition, v int, label string) {
	c.add(c.branch(r, is, v, c.to(label)))
}

func (c *code) jump(label string) { c.add(c.jumpBy(c.to(label))) }

// fill stores a number in the frame.
func (c *code) fill(off, v int) {
	c.add(c.set(a0, v))
	c.add(c.store(a0, sp, off))
}

// data is text between the instructions; behind it they are aligned again.
func (c *code) data(label, s string) {
	c.label(label)
	c.out = append(c.out, s...)
	for len(c.out)%4 != 0 {
		c.out = append(c.out, 0)
	}
}

// argument sets a register to an argument of a system call.
type argument func(c *code, r reg)

func imm(v int) argument         { return func(c *code, r reg) { c.add(c.set(r, v)) } }
func local(off int) argument     { return func(c *code, r reg) { c.add(c.lea(r, sp, off)) } }
func saved(from reg) argument    { return func(c *code, r reg) { c.add(c.lea(r, from, 0)) } }
func text(label string) argument { return func(c *code, r reg) { c.add(c.addr(r, c.to(label))) } }

// call makes a system call. The last argument is set first: the result of the call before can be used for any.
func (c *code) call(name string, args ...argument) {
	nr, ok := seccomp.Number(c.arch, name)
	if !ok {
		c.err = fmt.Errorf("%s has no system call %s", c.arch, name)
	}
	for i := len(args) - 1; i >= 0; i-- {
		args[i](c, a0+reg(i))
	}
	c.add(c.set(number, int(nr)))
	c.add(c.trap())
}

// executable is a position-independent ELF file with one segment, which holds the headers and the code: nothing in it
// can be written, nothing else can be executed.
func executable(machine uint16, code []byte) []byte {
	const (
		header, segment      = 64, 56
		entry                = header + 2*segment
		dyn, load, gnuStack  = 3, 1, 0x6474e551
		execute, write, read = 1, 2, 4
		largestPage          = 64 << 10
	)
	le := binary.LittleEndian
	size := uint64(entry + len(code))
	b := append([]byte("\x7fELF\x02\x01\x01"), make([]byte, 9)...) // 64 bit, little-endian
	for _, v := range []uint16{dyn, machine, 1, 0} {
		b = le.AppendUint16(b, v)
	}
	for _, v := range []uint64{entry, header, 0} { // no sections
		b = le.AppendUint64(b, v)
	}
	for _, v := range []uint16{0, 0, header, segment, 2, 0, 0, 0} {
		b = le.AppendUint16(b, v)
	}
	for _, s := range [][8]uint64{{load, read | execute, 0, 0, 0, size, size, largestPage},
		{gnuStack, read | write, 0, 0, 0, 0, 0, 16}} {
		b = le.AppendUint32(le.AppendUint32(b, uint32(s[0])), uint32(s[1]))
		for _, v := range s[2:] {
			b = le.AppendUint64(b, v)
		}
	}
	return append(b, code...)
}
