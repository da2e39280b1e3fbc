//go:build oracle

package filters

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	kernel "github.com/brig-engine/brig/internal/kernel/seccomp"
	"github.com/brig-engine/brig/internal/seccomp/filter"
	"github.com/brig-engine/brig/internal/seccomp/filter/trial"
)

// The tests in this file need gcc and libseccomp's headers; they run with -tags oracle. libseccomp knows no masked-ne,
// no Newest and, for filters with conflicting actions, has rules of its own; so filters are compared that have
// none. Its interface takes numbers of the machine that it runs on, so the comparison is for amd64.

func buildOracle(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "oracle")
	out, err := exec.Command("gcc", "-Wall", "-o", bin, "testdata/oracle/oracle.c", "-lseccomp").CombinedOutput()
	if err != nil {
		t.Fatalf("gcc: %v\n%s", err, out)
	}
	return bin
}

type fataler interface {
	Helper()
	Fatalf(string, ...any)
}

// ask gives libseccomp's program, and the calls that it does not know.
func ask(t fataler, oracle string, f *filter.Filter) ([]unix.SockFilter, []uint32) {
	t.Helper()
	var in bytes.Buffer
	fmt.Fprintln(&in, trial.Verdict(f.Default, f.Errno))
	ops := []filter.Op{"", filter.NE, filter.LT, filter.LE, filter.EQ, filter.GE, filter.GT,
		filter.MaskedEQ}
	for _, r := range f.Rules {
		for _, nr := range r.Calls {
			fmt.Fprint(&in, trial.Verdict(r.Action, r.Errno), " ", nr, " ", len(r.Args))
			for _, a := range r.Args {
				x, y := a.Value, uint64(0)
				if a.Op.Masked() {
					x, y = a.Mask, a.Value
				}
				fmt.Fprint(&in, " ", a.Index, " ", slices.Index(ops, a.Op), " ", x, " ", y)
			}
			fmt.Fprintln(&in)
		}
	}
	cmd := exec.Command(oracle)
	cmd.Stdin = &in
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, stderr.Bytes())
	}
	prog := make([]unix.SockFilter, len(out)/8)
	if err := binary.Read(bytes.NewReader(out), binary.NativeEndian, prog); err != nil {
		t.Fatalf("%v", err)
	}
	var unknown []uint32
	for s := range strings.FieldsSeq(stderr.String()) {
		nr, err := strconv.ParseUint(s, 10, 32)
		if err != nil || nr < 450 {
			t.Fatalf("libseccomp says %q", stderr.Bytes())
		}
		unknown = append(unknown, uint32(nr))
	}
	return prog, unknown
}

func TestDefaultEqualsLibseccomp(t *testing.T) {
	f := Default(filter.AMD64)
	f.Newest = 0
	prog, unknown := ask(t, buildOracle(t), &f)
	ours, theirs := trial.NewMachine(t, trial.Compile(t, f)), trial.NewMachine(t, prog)
	same := func(c trial.Call) {
		a, b := ours.Run(t, c), theirs.Run(t, c)
		if slices.Contains(unknown, c.Number) && c.Arch == trial.Token(f.Arch) {
			b = unix.SECCOMP_RET_ALLOW // by Docker's profile; the library is too old
		}
		if a != b {
			t.Errorf("%s %x on %#x: %s, libseccomp %s", kernel.Name("amd64", c.Number), c.Args, c.Arch,
				verdictName(a), verdictName(b))
		}
	}
	vals := trial.Interesting(&f)
	for nr := range uint32(601) {
		for index := range 3 {
			for _, v := range vals {
				c := trial.Call{Arch: trial.Token(f.Arch), Number: nr}
				c.Args[index] = v
				same(c)
			}
		}
		same(trial.Call{Arch: unix.AUDIT_ARCH_I386, Number: nr})
		same(trial.Call{Arch: unix.AUDIT_ARCH_AARCH64, Number: nr})
	}
}

// One rule per call: libseccomp 2.5.4 merges some ordered comparisons of several rules wrongly ("arg0 < 0 and
// arg1 == 0" or "arg0 < 1<<32" refuses arg0 = 1).
func TestRandomFiltersEqualLibseccomp(t *testing.T) {
	oracle := buildOracle(t)
	ops := []filter.Op{filter.EQ, filter.NE, filter.LT, filter.LE, filter.GT, filter.GE,
		filter.MaskedEQ}
	value := rapid.OneOf(rapid.Uint64Range(0, 50), rapid.Uint64(),
		rapid.SampledFrom([]uint64{1<<32 - 1, 1 << 32, 1<<32 + 1}))
	rapid.Check(t, func(rt *rapid.T) {
		f := filter.Filter{Arch: filter.AMD64, Default: filter.Errno, Errno: 1}
		for nr := range rapid.Uint32Range(1, 40).Draw(rt, "rules") {
			r := filter.Rule{Calls: []uint32{nr}, Action: filter.Allow}
			for i := range rapid.Uint8Range(0, 2).Draw(rt, "args") {
				a := filter.Arg{Index: i, Op: rapid.SampledFrom(ops).Draw(rt, "op"), Value: value.Draw(rt, "value")}
				if a.Op.Masked() {
					a.Mask = value.Draw(rt, "mask")
					a.Value &= a.Mask
				}
				r.Args = append(r.Args, a)
			}
			f.Rules = append(f.Rules, r)
		}
		prog, _ := ask(rt, oracle, &f)
		ours, theirs := trial.NewMachine(t, trial.Compile(t, f)), trial.NewMachine(t, prog)
		vals := trial.Interesting(&f)
		for range 200 {
			c := trial.Call{Arch: trial.Token(f.Arch), Number: rapid.Uint32Range(0, 45).Draw(rt, "call")}
			c.Args[0], c.Args[1] = rapid.SampledFrom(vals).Draw(rt, "a"), rapid.SampledFrom(vals).Draw(rt, "b")
			if a, b := ours.Run(t, c), theirs.Run(t, c); a != b {
				rt.Fatalf("call %d %x: %#x, libseccomp %#x\n%+v", c.Number, c.Args, a, b, f)
			}
		}
	})
}
