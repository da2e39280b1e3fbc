package seccomp

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/brig-engine/brig/internal/wire"
)

var architectures = []wire.FilterArch{wire.FilterAMD64, wire.FilterARM64}

// fixed are the filters that this package holds.
func fixed(arch wire.FilterArch) map[string]wire.Filter {
	return map[string]wire.Filter{
		"default":       Default(arch),
		"floor":         Floor(arch, Relax{}),
		"floor-relaxed": Floor(arch, Relax{Mount: true, Packet: true, NetworkAdmin: true}),
		"daemon":        Daemon(arch),
		"worker":        Worker(arch),
		"router":        Router(arch),
	}
}

// interesting gives argument values around every constant of a filter, with the traps for filters that forget a word.
func interesting(f *wire.Filter) []uint64 {
	vals := []uint64{0, 1, 2, 38, 40, 0x541b, ^uint64(0), 1 << 32, 1<<32 | 1, 1 << 63}
	for _, r := range f.Rules {
		for _, a := range r.Args {
			vals = append(vals, a.Value, a.Value+1, a.Value-1, a.Mask, ^a.Mask, a.Value|1<<32, a.Value|1<<63, a.Value|^a.Mask)
		}
	}
	slices.Sort(vals)
	return slices.Compact(vals)
}

// compareAll runs every number from 0 to 600 and the borders, with interesting arguments where a rule looks at them.
func compareAll(t *testing.T, f wire.Filter, prog []unix.SockFilter) {
	t.Helper()
	m := newMachine(t, prog)
	looks := map[uint32][]uint8{}
	for _, r := range f.Rules {
		for _, nr := range r.Calls {
			for _, a := range r.Args {
				looks[nr] = append(looks[nr], a.Index)
			}
		}
	}
	check := func(c sysCall) {
		if want, got := reference(&f, c), m.run(t, c); got != want {
			t.Errorf("call %d %x on %#x: program says %#x, reference %#x", c.nr, c.args, c.arch, got, want)
		}
	}
	vals := interesting(&f)
	numbers := []uint32{4095, 4096, x32Bit - 1, x32Bit, x32Bit + 41, ^uint32(0), 1 << 31}
	for nr := range uint32(601) {
		numbers = append(numbers, nr)
	}
	for _, arch := range []uint32{unix.AUDIT_ARCH_X86_64, unix.AUDIT_ARCH_AARCH64, unix.AUDIT_ARCH_I386,
		unix.AUDIT_ARCH_ARM, 0} {
		for _, nr := range numbers {
			check(sysCall{arch: arch, nr: nr})
			if arch != archToken(f.Arch) {
				continue
			}
			indexes := looks[nr]
			slices.Sort(indexes)
			indexes = slices.Compact(indexes)
			tuples(indexes, vals, sysCall{arch: arch, nr: nr}, check)
		}
	}
}

// tuples visits all single values and all pairs of values of the arguments that a call's rules look at.
func tuples(indexes []uint8, vals []uint64, c sysCall, visit func(sysCall)) {
	for _, i := range indexes {
		for _, v := range vals {
			one := c
			one.args[i] = v
			visit(one)
			for _, j := range indexes {
				if j <= i {
					continue
				}
				for _, w := range vals {
					two := one
					two.args[j] = w
					visit(two)
				}
			}
		}
	}
}

func TestFixedFiltersMeanWhatTheyAreCompiledTo(t *testing.T) {
	for _, arch := range architectures {
		for name, f := range fixed(arch) {
			t.Run(string(arch)+"/"+name, func(t *testing.T) { compareAll(t, f, mustCompile(t, f)) })
		}
	}
}

func drawFilter(t *rapid.T) wire.Filter {
	action := rapid.SampledFrom([]wire.FilterAction{wire.FilterKillProcess, wire.FilterKillThread, wire.FilterTrap,
		wire.FilterErrno, wire.FilterErrno, wire.FilterTrace, wire.FilterLog, wire.FilterAllow, wire.FilterAllow})
	errno := func(a wire.FilterAction) uint16 {
		if a == wire.FilterErrno || a == wire.FilterTrace {
			return rapid.SampledFrom([]uint16{0, 1, 38, 4095}).Draw(t, "errno")
		}
		return 0
	}
	value := rapid.OneOf(rapid.Uint64Range(0, 50), rapid.Uint64(),
		rapid.SampledFrom([]uint64{1<<32 - 1, 1 << 32, 1<<32 + 1, ^uint64(0), 0x7e020000}))
	ops := []wire.FilterOp{wire.FilterEQ, wire.FilterNE, wire.FilterLT, wire.FilterLE, wire.FilterGT, wire.FilterGE,
		wire.FilterMaskedEQ, wire.FilterMaskedNE}
	arg := rapid.Custom(func(t *rapid.T) wire.FilterArg {
		a := wire.FilterArg{Index: rapid.Uint8Range(0, 5).Draw(t, "index"), Op: rapid.SampledFrom(ops).Draw(t, "op"),
			Value: value.Draw(t, "value")}
		if a.Op.Masked() {
			a.Mask = value.Draw(t, "mask")
			if rapid.Bool().Draw(t, "canMatch") {
				a.Value &= a.Mask
			}
		}
		return a
	})
	f := wire.Filter{Arch: rapid.SampledFrom(architectures).Draw(t, "arch"), Default: action.Draw(t, "default")}
	f.Errno = errno(f.Default)
	f.Newest = rapid.SampledFrom([]uint32{0, 0, 5, 300}).Draw(t, "newest")
	call := rapid.OneOf(rapid.Uint32Range(0, 12), rapid.Uint32Range(0, 500), rapid.Uint32Range(0, wire.FilterMaxCall))
	for range rapid.IntRange(0, 60).Draw(t, "rules") {
		r := wire.FilterRule{Calls: rapid.SliceOfN(call, 1, 6).Draw(t, "calls"), Action: action.Draw(t, "action")}
		r.Errno = errno(r.Action)
		r.Args = rapid.SliceOfN(arg, 0, 3).Draw(t, "args")
		f.Rules = append(f.Rules, r)
	}
	return f
}

func TestCompiledProgramEqualsReference(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		f := drawFilter(rt)
		prog, err := Compile(&f)
		if err != nil {
			if strings.Contains(err.Error(), "instructions") {
				rt.Skip("too long for the kernel, and refused")
			}
			rt.Fatal(err)
		}
		m := newMachine(t, prog)
		vals := interesting(&f)
		for range 200 {
			c := sysCall{arch: archToken(f.Arch)}
			if len(f.Rules) > 0 && rapid.Bool().Draw(rt, "named") {
				c.nr = rapid.SampledFrom(rapid.SampledFrom(f.Rules).Draw(rt, "rule").Calls).Draw(rt, "nr")
			} else {
				c.nr = rapid.OneOf(rapid.Uint32Range(0, 600), rapid.Uint32()).Draw(rt, "any")
			}
			for i := range c.args {
				c.args[i] = rapid.SampledFrom(vals).Draw(rt, "arg")
			}
			if want, got := reference(&f, c), m.run(t, c); got != want {
				rt.Fatalf("call %d %x: program says %#x, reference %#x", c.nr, c.args, got, want)
			}
		}
	})
}

// TestFarJumpsReachTheirTargets builds a program in which most targets are further away than a conditional jump goes.
func TestFarJumpsReachTheirTargets(t *testing.T) {
	f := wire.Filter{Arch: wire.FilterAMD64, Default: wire.FilterErrno, Errno: 1}
	for nr := range uint32(150) {
		var args []wire.FilterArg
		for i := range uint8(4) {
			args = append(args, wire.FilterArg{Index: i, Op: wire.FilterMaskedNE, Value: uint64(nr), Mask: 1<<40 - 1})
		}
		f.Rules = append(f.Rules, wire.FilterRule{Calls: []uint32{nr * 2}, Action: wire.FilterAllow, Args: args})
	}
	prog := mustCompile(t, f)
	if len(prog) < 2000 {
		t.Fatalf("%d instructions do not test far jumps", len(prog))
	}
	m := newMachine(t, prog)
	for nr := range uint32(400) {
		for _, v := range []uint64{0, uint64(nr / 2), 1<<41 | uint64(nr/2)} {
			c := sysCall{arch: unix.AUDIT_ARCH_X86_64, nr: nr, args: [6]uint64{v, 7777, 7777, 7777}}
			if want, got := reference(&f, c), m.run(t, c); got != want {
				t.Fatalf("call %d %x: program says %#x, reference %#x", nr, c.args, got, want)
			}
		}
	}
}

func TestProgramTooLongForTheKernelIsRefused(t *testing.T) {
	f := wire.Filter{Arch: wire.FilterAMD64, Default: wire.FilterAllow}
	for nr := range uint32(1500) {
		f.Rules = append(f.Rules, wire.FilterRule{Calls: []uint32{nr}, Action: wire.FilterErrno,
			Args: []wire.FilterArg{{Op: wire.FilterEQ, Value: uint64(nr)}}})
	}
	if _, err := Compile(&f); err == nil || !strings.Contains(err.Error(), "at most 4096") {
		t.Fatalf("Compile: %v", err)
	}
}

func TestOrderOfRulesHasNoMeaning(t *testing.T) {
	deny := wire.FilterRule{Calls: []uint32{41}, Action: wire.FilterErrno, Errno: 1,
		Args: []wire.FilterArg{{Op: wire.FilterEQ, Value: 40}}}
	allow := wire.FilterRule{Calls: []uint32{41}, Action: wire.FilterAllow}
	for _, rules := range [][]wire.FilterRule{{deny, allow}, {allow, deny}} {
		f := wire.Filter{Arch: wire.FilterAMD64, Default: wire.FilterErrno, Errno: 38, Rules: rules}
		m := newMachine(t, mustCompile(t, f))
		for family, want := range map[uint64]uint32{40: unix.SECCOMP_RET_ERRNO | 1, 2: unix.SECCOMP_RET_ALLOW} {
			c := sysCall{arch: unix.AUDIT_ARCH_X86_64, nr: 41, args: [6]uint64{family}}
			if got := m.run(t, c); got != want {
				t.Errorf("family %d: %#x, want %#x", family, got, want)
			}
		}
	}
}

func BenchmarkCompileFloor(b *testing.B) {
	f := Floor(wire.FilterAMD64, Relax{})
	for b.Loop() {
		if _, err := Compile(&f); err != nil {
			b.Fatal(err)
		}
	}
}
