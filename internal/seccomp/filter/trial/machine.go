package trial

import (
	"encoding/binary"
	"testing"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	kernel "github.com/brig-engine/brig/internal/kernel/seccomp"
	"github.com/brig-engine/brig/internal/seccomp/filter"
)

// Machine runs a compiled program in the interpreter of x/net/bpf. That one loads words in network order, so the input
// is laid out with the kernel's offsets and the interpreter's order.
type Machine struct{ vm *bpf.VM }

// NewMachine checks the program.
func NewMachine(t testing.TB, prog []unix.SockFilter) Machine {
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
	return Machine{vm}
}

// Run gives the verdict about one call.
func (m Machine) Run(t testing.TB, c Call) uint32 {
	t.Helper()
	var data [kernel.DataSize]byte
	binary.BigEndian.PutUint32(data[kernel.OffNumber:], c.Number)
	binary.BigEndian.PutUint32(data[kernel.OffArch:], c.Arch)
	for i, a := range c.Args {
		binary.BigEndian.PutUint32(data[kernel.OffArgs+8*i:], uint32(a))
		binary.BigEndian.PutUint32(data[kernel.OffArgs+8*i+4:], uint32(a>>32))
	}
	got, err := m.vm.Run(data[:])
	if err != nil {
		t.Fatalf("run: %v", err)
	}
	return uint32(got)
}

// Compile makes the program of a filter that has one.
func Compile(t testing.TB, f filter.Filter) []unix.SockFilter {
	t.Helper()
	prog, err := filter.Compile(&f)
	if err != nil {
		t.Fatal(err)
	}
	return prog
}
