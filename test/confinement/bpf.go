package main

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// instruction is struct sock_filter.
type instruction struct {
	code   uint16
	jt, jf uint8
	k      uint32
}

// decode reads a program as the kernel gives it.
func decode(b []byte) (program []instruction) {
	for ; len(b) >= 8; b = b[8:] {
		program = append(program, instruction{binary.NativeEndian.Uint16(b), b[2], b[3], binary.NativeEndian.Uint32(b[4:])})
	}
	return program
}

// Parts of a code of classic BPF.
const (
	classLD, classLDX, classST, classSTX, classALU, classJMP, classRET, classMISC = 0, 1, 2, 3, 4, 5, 6, 7

	loadAbsolute = 0x20 // of a 32-bit word of struct seccomp_data
	loadImm      = 0x00
	sourceX      = 0x08

	jumpAlways, jumpEqual, jumpGreater, jumpNotLess, jumpSet = 0x00, 0x10, 0x20, 0x30, 0x40
)

// value is a register: a number, or anything.
type value struct {
	known bool
	n     uint32
}

// passes tells whether a program lets a call through for some arguments: the number and the architecture are known, the rest
// may be anything. Where two conditions exclude each other that is not seen: what passes says may be too much, never too
// little.
func passes(program []instruction, arch, nr uint32) (bool, error) {
	w := &walk{program: program, arch: arch, nr: nr, seen: map[at]bool{}}
	ok := w.from(0, value{})
	return ok, w.err
}

type walk struct {
	program  []instruction
	arch, nr uint32
	seen     map[at]bool
	err      error
}

// at is a place in a program with what is known there.
type at struct {
	pc int
	a  value
}

func (w *walk) from(pc int, a value) bool {
	for ; pc < len(w.program); pc++ {
		if w.seen[at{pc, a}] {
			return false // somebody is on it, or has been
		}
		w.seen[at{pc, a}] = true
		i := w.program[pc]
		switch class := i.code & 7; {
		case class == classRET:
			return allows(i.k) || i.code&0x18 != 0 // of the accumulator: may be anything
		case class == classJMP && i.code&0xf0 == jumpAlways:
			pc += int(i.k)
		case class == classJMP:
			yes, no := decide(i, a)
			if yes && no {
				if w.from(pc+1+int(i.jt), a) {
					return true
				}
				pc += int(i.jf)
			} else if yes {
				pc += int(i.jt)
			} else {
				pc += int(i.jf)
			}
		case class == classLD && i.code&0xe0 == loadAbsolute:
			a = value{}
			if i.k == 0 {
				a = value{true, w.nr}
			} else if i.k == 4 {
				a = value{true, w.arch}
			}
		case class == classLD && i.code&0xe0 == loadImm:
			a = value{true, i.k}
		case class == classLD, class == classALU, class == classMISC:
			a = value{}
		case class == classLDX, class == classST, class == classSTX:
		default:
			w.err = errors.Join(w.err, fmt.Errorf("instruction %#x", i.code))
			return true
		}
	}
	w.err = errors.Join(w.err, errors.New("the program does not end"))
	return true
}

// decide tells which ways a conditional jump can go.
func decide(i instruction, a value) (yes, no bool) {
	if !a.known || i.code&sourceX != 0 {
		return true, true
	}
	switch i.code & 0xf0 {
	case jumpEqual:
		yes = a.n == i.k
	case jumpGreater:
		yes = a.n > i.k
	case jumpNotLess:
		yes = a.n >= i.k
	case jumpSet:
		yes = a.n&i.k != 0
	default:
		return true, true
	}
	return yes, !yes
}

// allows tells whether a verdict lets the call happen, or has somebody else decide.
func allows(verdict uint32) bool {
	switch verdict & 0xffff0000 {
	case unix.SECCOMP_RET_ALLOW, unix.SECCOMP_RET_LOG, unix.SECCOMP_RET_TRACE, unix.SECCOMP_RET_USER_NOTIF:
		return true
	}
	return false
}
