package filter_test

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/brig-engine/brig/internal/seccomp/filter"
	"github.com/brig-engine/brig/internal/seccomp/filter/trial"
)

var architectures = []filter.Arch{filter.AMD64, filter.ARM64}

func drawFilter(t *rapid.T) filter.Filter {
	f := drawPart(t, rapid.SampledFrom(architectures).Draw(t, "arch"))
	if f.Arch == filter.AMD64 && rapid.Bool().Draw(t, "compat") {
		second := drawPart(t, filter.I386)
		f.Compat = &second
	}
	return f
}

func drawPart(t *rapid.T, arch filter.Arch) filter.Filter {
	action := rapid.SampledFrom([]filter.Action{filter.KillProcess, filter.KillThread, filter.Trap,
		filter.Errno, filter.Errno, filter.Notify, filter.Trace, filter.Log, filter.Allow, filter.Allow})
	errno := func(a filter.Action) uint16 {
		if a == filter.Errno || a == filter.Trace {
			return rapid.SampledFrom([]uint16{0, 1, 38, 4095}).Draw(t, "errno")
		}
		return 0
	}
	value := rapid.OneOf(rapid.Uint64Range(0, 50), rapid.Uint64(),
		rapid.SampledFrom([]uint64{1<<32 - 1, 1 << 32, 1<<32 + 1, ^uint64(0), 0x7e020000}))
	ops := []filter.Op{filter.EQ, filter.NE, filter.LT, filter.LE, filter.GT, filter.GE,
		filter.MaskedEQ, filter.MaskedNE}
	arg := rapid.Custom(func(t *rapid.T) filter.Arg {
		a := filter.Arg{Index: rapid.Uint8Range(0, 5).Draw(t, "index"), Op: rapid.SampledFrom(ops).Draw(t, "op"),
			Value: value.Draw(t, "value")}
		if a.Op.Masked() {
			a.Mask = value.Draw(t, "mask")
			if rapid.Bool().Draw(t, "canMatch") {
				a.Value &= a.Mask
			}
		}
		return a
	})
	f := filter.Filter{Arch: arch, Default: action.Draw(t, "default")}
	f.Errno = errno(f.Default)
	f.Newest = rapid.SampledFrom([]uint32{0, 0, 5, 300}).Draw(t, "newest")
	call := rapid.OneOf(rapid.Uint32Range(0, 12), rapid.Uint32Range(0, 500), rapid.Uint32Range(0, filter.MaxCall))
	for range rapid.IntRange(0, 60).Draw(t, "rules") {
		r := filter.Rule{Calls: rapid.SliceOfN(call, 1, 6).Draw(t, "calls"), Action: action.Draw(t, "action")}
		r.Errno = errno(r.Action)
		r.Args = rapid.SliceOfN(arg, 0, 3).Draw(t, "args")
		f.Rules = append(f.Rules, r)
	}
	return f
}

func TestCompiledProgramEqualsReference(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		f := drawFilter(rt)
		prog, err := filter.Compile(&f)
		if err != nil {
			if strings.Contains(err.Error(), "instructions") {
				rt.Skip("too long for the kernel, and refused")
			}
			rt.Fatal(err)
		}
		m := trial.NewMachine(t, prog)
		parts := []*filter.Filter{&f}
		if f.Compat != nil {
			parts = append(parts, f.Compat)
		}
		for range 200 {
			part := rapid.SampledFrom(parts).Draw(rt, "part")
			vals := trial.Interesting(part)
			c := trial.Call{Arch: trial.Token(part.Arch)}
			if len(part.Rules) > 0 && rapid.Bool().Draw(rt, "named") {
				c.Number = rapid.SampledFrom(rapid.SampledFrom(part.Rules).Draw(rt, "rule").Calls).Draw(rt, "nr")
			} else {
				c.Number = rapid.OneOf(rapid.Uint32Range(0, 600), rapid.Uint32()).Draw(rt, "any")
			}
			for i := range c.Args {
				c.Args[i] = rapid.SampledFrom(vals).Draw(rt, "arg")
			}
			if want, got := trial.Reference(&f, c), m.Run(t, c); got != want {
				rt.Fatalf("call %d %x: program says %#x, reference %#x", c.Number, c.Args, got, want)
			}
		}
	})
}

// TestFarJumpsReachTheirTargets builds a program in which most targets are further away than a conditional jump goes.
func TestFarJumpsReachTheirTargets(t *testing.T) {
	f := filter.Filter{Arch: filter.AMD64, Default: filter.Errno, Errno: 1}
	for nr := range uint32(150) {
		var args []filter.Arg
		for i := range uint8(4) {
			args = append(args, filter.Arg{Index: i, Op: filter.MaskedNE, Value: uint64(nr), Mask: 1<<40 - 1})
		}
		f.Rules = append(f.Rules, filter.Rule{Calls: []uint32{nr * 2}, Action: filter.Allow, Args: args})
	}
	prog := trial.Compile(t, f)
	if len(prog) < 2000 {
		t.Fatalf("%d instructions do not test far jumps", len(prog))
	}
	m := trial.NewMachine(t, prog)
	for nr := range uint32(400) {
		for _, v := range []uint64{0, uint64(nr / 2), 1<<41 | uint64(nr/2)} {
			c := trial.Call{Arch: unix.AUDIT_ARCH_X86_64, Number: nr, Args: [6]uint64{v, 7777, 7777, 7777}}
			if want, got := trial.Reference(&f, c), m.Run(t, c); got != want {
				t.Fatalf("call %d %x: program says %#x, reference %#x", nr, c.Args, got, want)
			}
		}
	}
}

func TestProgramTooLongForTheKernelIsRefused(t *testing.T) {
	f := filter.Filter{Arch: filter.AMD64, Default: filter.Allow}
	for nr := range uint32(1500) {
		f.Rules = append(f.Rules, filter.Rule{Calls: []uint32{nr}, Action: filter.Errno,
			Args: []filter.Arg{{Op: filter.EQ, Value: uint64(nr)}}})
	}
	if _, err := filter.Compile(&f); err == nil || !strings.Contains(err.Error(), "at most 4096") {
		t.Fatalf("Compile: %v", err)
	}
}

func TestOrderOfRulesHasNoMeaning(t *testing.T) {
	deny := filter.Rule{Calls: []uint32{41}, Action: filter.Errno, Errno: 1,
		Args: []filter.Arg{{Op: filter.EQ, Value: 40}}}
	allow := filter.Rule{Calls: []uint32{41}, Action: filter.Allow}
	for _, rules := range [][]filter.Rule{{deny, allow}, {allow, deny}} {
		f := filter.Filter{Arch: filter.AMD64, Default: filter.Errno, Errno: 38, Rules: rules}
		m := trial.NewMachine(t, trial.Compile(t, f))
		for family, want := range map[uint64]uint32{40: unix.SECCOMP_RET_ERRNO | 1, 2: unix.SECCOMP_RET_ALLOW} {
			c := trial.Call{Arch: unix.AUDIT_ARCH_X86_64, Number: 41, Args: [6]uint64{family}}
			if got := m.Run(t, c); got != want {
				t.Errorf("family %d: %#x, want %#x", family, got, want)
			}
		}
	}
}
