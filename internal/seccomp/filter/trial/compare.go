package trial

import (
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/seccomp/filter"
)

// Interesting gives argument values around every constant of a filter, with the traps for filters that forget a word.
func Interesting(f *filter.Filter) []uint64 {
	vals := []uint64{0, 1, 2, 38, 40, 0x541b, ^uint64(0), 1 << 32, 1<<32 | 1, 1 << 63}
	for _, r := range f.Rules {
		for _, a := range r.Args {
			vals = append(vals, a.Value, a.Value+1, a.Value-1, a.Mask, ^a.Mask, a.Value|1<<32, a.Value|1<<63, a.Value|^a.Mask)
		}
	}
	slices.Sort(vals)
	return slices.Compact(vals)
}

// Compare runs every number from 0 to 600 and the borders, with interesting arguments where a rule looks at them.
func Compare(t *testing.T, f filter.Filter, prog []unix.SockFilter) {
	t.Helper()
	compare(t, &f, &f, NewMachine(t, prog))
	if f.Compat != nil {
		compare(t, &f, f.Compat, NewMachine(t, prog))
	}
}

// compare has the numbers and constants of one part of a filter, which is the filter itself or its Compat.
func compare(t *testing.T, whole, f *filter.Filter, m Machine) {
	t.Helper()
	looks := map[uint32][]uint8{}
	for _, r := range f.Rules {
		for _, nr := range r.Calls {
			for _, a := range r.Args {
				looks[nr] = append(looks[nr], a.Index)
			}
		}
	}
	check := func(c Call) {
		if want, got := Reference(whole, c), m.Run(t, c); got != want {
			t.Errorf("call %d %x on %#x: program says %#x, reference %#x", c.Number, c.Args, c.Arch, got, want)
		}
	}
	vals := Interesting(f)
	numbers := []uint32{4095, 4096, X32 - 1, X32, X32 + 41, ^uint32(0), 1 << 31}
	for nr := range uint32(601) {
		numbers = append(numbers, nr)
	}
	for _, arch := range []uint32{unix.AUDIT_ARCH_X86_64, unix.AUDIT_ARCH_AARCH64, unix.AUDIT_ARCH_I386,
		unix.AUDIT_ARCH_ARM, 0} {
		for _, nr := range numbers {
			check(Call{Arch: arch, Number: nr})
			if arch != Token(f.Arch) {
				continue
			}
			indexes := looks[nr]
			slices.Sort(indexes)
			indexes = slices.Compact(indexes)
			tuples(indexes, vals, Call{Arch: arch, Number: nr}, check)
		}
	}
}

// tuples visits all single values and all pairs of values of the arguments that a call's rules look at.
func tuples(indexes []uint8, vals []uint64, c Call, visit func(Call)) {
	for _, i := range indexes {
		for _, v := range vals {
			one := c
			one.Args[i] = v
			visit(one)
			for _, j := range indexes {
				if j <= i {
					continue
				}
				for _, w := range vals {
					two := one
					two.Args[j] = w
					visit(two)
				}
			}
		}
	}
}
