package seccomp

import (
	"encoding/binary"
	"testing"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	kernel "github.com/brig-engine/brig/internal/kernel/seccomp"
	"github.com/brig-engine/brig/internal/wire"
)

// sysCall is one call as the kernel shows it to a filter.
type sysCall struct {
	arch uint32
	nr   uint32
	args [6]uint64
}

// reference says what a filter means, straight from the words of wire.Filter, with no thought of speed.
func reference(f *wire.Filter, c sysCall) uint32 {
	if c.arch != archToken(f.Arch) {
		return unix.SECCOMP_RET_KILL_PROCESS
	}
	if c.nr >= x32Bit {
		return unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)
	}
	var best *wire.FilterRule
	named := false
	for i := range f.Rules {
		r := &f.Rules[i]
		for _, nr := range r.Calls {
			if nr != c.nr {
				continue
			}
			named = true
			if matches(r, c) && (best == nil || r.Action.Severity() > best.Action.Severity()) {
				best = r
			}
		}
	}
	switch {
	case best != nil:
		return verdict(best.Action, best.Errno)
	case f.Newest != 0 && c.nr > f.Newest && !named:
		return unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)
	}
	return verdict(f.Default, f.Errno)
}

func matches(r *wire.FilterRule, c sysCall) bool {
	for _, a := range r.Args {
		v, ok := c.args[a.Index], false
		switch a.Op {
		case wire.FilterEQ:
			ok = v == a.Value
		case wire.FilterNE:
			ok = v != a.Value
		case wire.FilterLT:
			ok = v < a.Value
		case wire.FilterLE:
			ok = v <= a.Value
		case wire.FilterGT:
			ok = v > a.Value
		case wire.FilterGE:
			ok = v >= a.Value
		case wire.FilterMaskedEQ:
			ok = v&a.Mask == a.Value
		case wire.FilterMaskedNE:
			ok = v&a.Mask != a.Value
		}
		if !ok {
			return false
		}
	}
	return true
}

// machine runs a compiled program in the interpreter of x/net/bpf. That one loads words in network order, so the input
// is laid out with the kernel's offsets and the interpreter's order.
type machine struct{ vm *bpf.VM }

func newMachine(t testing.TB, prog []unix.SockFilter) machine {
	t.Helper()
	raw := make([]bpf.RawInstruction, len(prog))
	for i, p := range prog {
		raw[i] = bpf.RawInstruction{Op: p.Code, Jt: p.Jt, Jf: p.Jf, K: p.K}
	}
	ins, all := bpf.Disassemble(raw)
	if !all {
		t.Fatal("the program holds an instruction that is none")
	}
	vm, err := bpf.NewVM(ins)
	if err != nil {
		t.Fatalf("the program is not valid: %v", err)
	}
	return machine{vm}
}

func (m machine) run(t testing.TB, c sysCall) uint32 {
	t.Helper()
	var data [kernel.DataSize]byte
	binary.BigEndian.PutUint32(data[kernel.OffNumber:], c.nr)
	binary.BigEndian.PutUint32(data[kernel.OffArch:], c.arch)
	for i, a := range c.args {
		binary.BigEndian.PutUint32(data[lowWord(uint8(i)):], uint32(a))
		binary.BigEndian.PutUint32(data[highWord(uint8(i)):], uint32(a>>32))
	}
	got, err := m.vm.Run(data[:])
	if err != nil {
		t.Fatalf("run: %v", err)
	}
	return uint32(got)
}

func mustCompile(t testing.TB, f wire.Filter) []unix.SockFilter {
	t.Helper()
	prog, err := Compile(&f)
	if err != nil {
		t.Fatal(err)
	}
	return prog
}
