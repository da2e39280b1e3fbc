//go:build oracle

package seccomp

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
	"github.com/brig-engine/brig/internal/wire"
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
func ask(t fataler, oracle string, f *wire.Filter) ([]unix.SockFilter, []uint32) {
	t.Helper()
	var in bytes.Buffer
	fmt.Fprintln(&in, verdict(f.Default, f.Errno))
	ops := []wire.FilterOp{"", wire.FilterNE, wire.FilterLT, wire.FilterLE, wire.FilterEQ, wire.FilterGE, wire.FilterGT,
		wire.FilterMaskedEQ}
	for _, r := range f.Rules {
		for _, nr := range r.Calls {
			fmt.Fprint(&in, verdict(r.Action, r.Errno), " ", nr, " ", len(r.Args))
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
	f := Default(wire.FilterAMD64)
	f.Newest = 0
	prog, unknown := ask(t, buildOracle(t), &f)
	ours, theirs := newMachine(t, mustCompile(t, f)), newMachine(t, prog)
	same := func(c sysCall) {
		a, b := ours.run(t, c), theirs.run(t, c)
		if slices.Contains(unknown, c.nr) && c.arch == archToken(f.Arch) {
			b = unix.SECCOMP_RET_ALLOW // by Docker's profile; the library is too old
		}
		if a != b {
			t.Errorf("%s %x on %#x: %s, libseccomp %s", kernel.Name("amd64", c.nr), c.args, c.arch,
				verdictName(a), verdictName(b))
		}
	}
	vals := interesting(&f)
	for nr := range uint32(601) {
		for index := range 3 {
			for _, v := range vals {
				c := sysCall{arch: archToken(f.Arch), nr: nr}
				c.args[index] = v
				same(c)
			}
		}
		same(sysCall{arch: unix.AUDIT_ARCH_I386, nr: nr})
		same(sysCall{arch: unix.AUDIT_ARCH_AARCH64, nr: nr})
	}
}

// One rule per call: libseccomp 2.5.4 merges some ordered comparisons of several rules wrongly ("arg0 < 0 and
// arg1 == 0" or "arg0 < 1<<32" refuses arg0 = 1).
func TestRandomFiltersEqualLibseccomp(t *testing.T) {
	oracle := buildOracle(t)
	ops := []wire.FilterOp{wire.FilterEQ, wire.FilterNE, wire.FilterLT, wire.FilterLE, wire.FilterGT, wire.FilterGE,
		wire.FilterMaskedEQ}
	value := rapid.OneOf(rapid.Uint64Range(0, 50), rapid.Uint64(),
		rapid.SampledFrom([]uint64{1<<32 - 1, 1 << 32, 1<<32 + 1}))
	rapid.Check(t, func(rt *rapid.T) {
		f := wire.Filter{Arch: wire.FilterAMD64, Default: wire.FilterErrno, Errno: 1}
		for nr := range rapid.Uint32Range(1, 40).Draw(rt, "rules") {
			r := wire.FilterRule{Calls: []uint32{nr}, Action: wire.FilterAllow}
			for i := range rapid.Uint8Range(0, 2).Draw(rt, "args") {
				a := wire.FilterArg{Index: i, Op: rapid.SampledFrom(ops).Draw(rt, "op"), Value: value.Draw(rt, "value")}
				if a.Op.Masked() {
					a.Mask = value.Draw(rt, "mask")
					a.Value &= a.Mask
				}
				r.Args = append(r.Args, a)
			}
			f.Rules = append(f.Rules, r)
		}
		prog, _ := ask(rt, oracle, &f)
		ours, theirs := newMachine(t, mustCompile(t, f)), newMachine(t, prog)
		vals := interesting(&f)
		for range 200 {
			c := sysCall{arch: archToken(f.Arch), nr: rapid.Uint32Range(0, 45).Draw(rt, "call")}
			c.args[0], c.args[1] = rapid.SampledFrom(vals).Draw(rt, "a"), rapid.SampledFrom(vals).Draw(rt, "b")
			if a, b := ours.run(t, c), theirs.run(t, c); a != b {
				rt.Fatalf("call %d %x: %#x, libseccomp %#x\n%+v", c.nr, c.args, a, b, f)
			}
		}
	})
}
