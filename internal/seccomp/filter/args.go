package filter

import (
	"cmp"
	"math"
	"slices"

	kernel "github.com/brig-engine/brig/internal/kernel/seccomp"
)

// arguments writes the block of a call whose verdict depends on its arguments. The program can load 32 bits at a time;
// every comparison is made on all 64: a filter that looks at the low word only can be passed by setting a high bit.
func (b *builder) arguments(d *decision) at {
	if steps := b.ranges(d); steps != nil {
		index := d.rules[0].Args[0].Index
		low := b.follow(opLoad, lowWord(index), b.search(steps))
		high := b.branch(opJEQ, 0, low, b.ret(d.onRange(math.MaxUint64)))
		return b.follow(opLoad, highWord(index), high)
	}
	next := b.ret(d.rest)
	for _, r := range slices.Backward(d.rules) {
		match := b.ret(verdict(r.Action, r.Errno))
		for _, a := range slices.Backward(r.Args) {
			match = b.condition(a, match, next)
		}
		next = match
	}
	return next
}

func lowWord(index uint8) uint32  { return kernel.OffArgs + 8*uint32(index) }
func highWord(index uint8) uint32 { return lowWord(index) + 4 }

// condition writes one comparison.
func (b *builder) condition(a Arg, yes, no at) at {
	lo, hi := uint32(a.Value), uint32(a.Value>>32)
	switch a.Op {
	case EQ:
		return b.equal(a.Index, a.Value, math.MaxUint64, yes, no)
	case NE:
		return b.equal(a.Index, a.Value, math.MaxUint64, no, yes)
	case MaskedEQ:
		return b.equal(a.Index, a.Value, a.Mask, yes, no)
	case MaskedNE:
		return b.equal(a.Index, a.Value, a.Mask, no, yes)
	case LT, LE:
		yes, no = no, yes // the complements of GE and GT
	}
	op := uint16(opJGE)
	if a.Op == GT || a.Op == LE {
		op = opJGT
	}
	p := b.branch(op, lo, yes, no)
	p = b.follow(opLoad, lowWord(a.Index), p)
	p = b.branch(opJEQ, hi, p, no)
	p = b.branch(opJGT, hi, yes, p)
	return b.follow(opLoad, highWord(a.Index), p)
}

// equal compares (argument & mask) with value, and leaves a word out whose mask is 0.
func (b *builder) equal(index uint8, value, mask uint64, yes, no at) at {
	if value&^mask != 0 {
		return no
	}
	p := b.word(lowWord(index), uint32(value), uint32(mask), yes, no)
	return b.word(highWord(index), uint32(value>>32), uint32(mask>>32), p, no)
}

func (b *builder) word(offset, value, mask uint32, yes, no at) at {
	if mask == 0 {
		return yes
	}
	p := b.branch(opJEQ, value, yes, no)
	if mask != math.MaxUint32 {
		p = b.follow(opAnd, mask, p)
	}
	return b.follow(opLoad, offset, p)
}

// ranges is the short form for rules that each compare the same argument with a constant (Docker's lists of socket
// families and personalities): a binary tree over the low word. It gives nil where the short form does not apply.
func (b *builder) ranges(d *decision) []step {
	starts := []uint64{0}
	for _, r := range d.rules {
		if len(r.Args) != 1 || r.Args[0].Index != d.rules[0].Args[0].Index || r.Args[0].Op.Masked() {
			return nil
		}
		v := r.Args[0].Value
		if v > math.MaxUint32 {
			return nil // what lies above the low word is not one range
		}
		if starts = append(starts, v); v < math.MaxUint32 {
			starts = append(starts, v+1)
		}
	}
	slices.SortFunc(starts, cmp.Compare)
	var steps []step
	for i, s := range starts {
		v := d.onRange(s)
		if i == 0 || v != d.onRange(starts[i-1]) {
			steps = append(steps, step{uint32(s), func() at { return b.ret(v) }})
		}
	}
	return steps
}

// onRange gives the verdict for one value of the argument that all rules compare.
func (d *decision) onRange(value uint64) uint32 {
	for _, r := range d.rules {
		if r.Args[0].Holds(value) {
			return verdict(r.Action, r.Errno)
		}
	}
	return d.rest
}
