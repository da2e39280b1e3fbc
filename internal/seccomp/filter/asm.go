package filter

import (
	"slices"

	"golang.org/x/sys/unix"
)

// The instructions that are used (linux/bpf_common.h): load a word of seccomp_data, mask the accumulator, compare it
// with a constant, jump, return.
const (
	opLoad = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
	opAnd  = unix.BPF_ALU | unix.BPF_AND | unix.BPF_K
	opJEQ  = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
	opJGT  = unix.BPF_JMP | unix.BPF_JGT | unix.BPF_K
	opJGE  = unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K
	opJA   = unix.BPF_JMP | unix.BPF_JA
	opRet  = unix.BPF_RET | unix.BPF_K
)

// reach is how far a conditional jump is allowed to go. The field holds 255; two less, because the trampoline of one
// target moves the other target away.
const reach = 253

// at is the place of an instruction, counted from the end of the program.
type at int

// builder writes a program from its last instruction to its first. Classic BPF jumps forward only, so every target
// exists already when a jump to it is written, and shared endings cost nothing.
type builder struct {
	rev  []unix.SockFilter // the last instruction first
	rets []at              // the nearest return of each verdict
}

func (b *builder) emit(ins unix.SockFilter) at {
	b.rev = append(b.rev, ins)
	return at(len(b.rev) - 1)
}

// distance is the jump offset from the instruction that would be written next.
func (b *builder) distance(to at) int { return len(b.rev) - int(to) - 1 }

// ret gives a place, near enough to jump to, that returns verdict.
func (b *builder) ret(verdict uint32) at {
	for i, p := range b.rets {
		if b.rev[p].K == verdict {
			b.rets[i] = b.near(p)
			return b.rets[i]
		}
	}
	p := b.emit(unix.SockFilter{Code: opRet, K: verdict})
	b.rets = append(b.rets, p)
	return p
}

// near gives a place that a conditional jump reaches and that leads to p: p itself, a second copy if p is a return, or
// an unconditional jump.
func (b *builder) near(p at) at {
	switch {
	case b.distance(p) <= reach:
		return p
	case b.rev[p].Code == opRet:
		return b.emit(b.rev[p])
	}
	return b.emit(unix.SockFilter{Code: opJA, K: uint32(b.distance(p))})
}

// branch compares the accumulator with k and goes to yes or no.
func (b *builder) branch(op uint16, k uint32, yes, no at) at {
	if yes == no {
		return yes
	}
	yes = b.near(yes)
	no = b.near(no)
	return b.emit(unix.SockFilter{Code: op, Jt: uint8(b.distance(yes)), Jf: uint8(b.distance(no)), K: k})
}

// follow writes an instruction that continues at next.
func (b *builder) follow(op uint16, k uint32, next at) at {
	if b.distance(next) != 0 {
		next = b.emit(unix.SockFilter{Code: opJA, K: uint32(b.distance(next))})
	}
	return b.emit(unix.SockFilter{Code: op, K: k})
}

// program gives the instructions in the order in which the kernel wants them.
func (b *builder) program() []unix.SockFilter {
	slices.Reverse(b.rev)
	return b.rev
}

// step is a boundary in a list of ranges: from start on (up to the next step) go to what target gives.
type step struct {
	start  uint32
	target func() at
}

// search writes a binary tree of comparisons over steps, which are sorted; the first one has start 0. The accumulator
// holds the number that is looked for.
func (b *builder) search(steps []step) at {
	if len(steps) == 1 {
		return steps[0].target()
	}
	mid := len(steps) / 2
	above := b.search(steps[mid:])
	below := b.search(steps[:mid])
	return b.branch(opJGE, steps[mid].start, above, below)
}
