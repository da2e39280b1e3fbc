package bpf_test

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/bpf"
	"github.com/brig-engine/brig/internal/kernel/bpf/asm"
	"github.com/brig-engine/brig/internal/kernel/bpf/bpfmap"
	"github.com/brig-engine/brig/internal/kernel/bpf/trial"
)

func assemble(t *testing.T, prog ...asm.Insn) []byte {
	t.Helper()
	code, err := asm.Assemble(prog)
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// needBPF skips where the kernel or the user cannot load programs at all; any other failure is the test's.
func needBPF(t *testing.T) {
	t.Helper()
	fd, err := bpf.LoadProgram(bpf.SchedCLS, "brig_probe", assemble(t, asm.OpImm(asm.Mov, asm.R0, 0), asm.Exit()))
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSYS) {
		t.Skip("missing: bpf(2)")
	}
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(fd)
}

func TestRefusedProgramCarriesTheVerifiersWords(t *testing.T) {
	needBPF(t)
	_, err := bpf.LoadProgram(bpf.SchedCLS, "brig_bad", assemble(t, asm.Op(asm.Mov, asm.R0, asm.R5), asm.Exit()))
	if err == nil || !strings.Contains(err.Error(), "R5") {
		t.Fatalf("an uninitialised register was read; error: %v", err)
	}
	for _, code := range [][]byte{nil, make([]byte, 7), make([]byte, 12)} {
		if _, err := bpf.LoadProgram(bpf.SchedCLS, "brig_bad", code); !errors.Is(err, unix.EINVAL) {
			t.Errorf("%d bytes: %v", len(code), err)
		}
	}
}

// The program looks up the source MAC of a frame in a map and lets the frame pass if it is there: the shape of the
// anti-spoofing program.
func TestPacketProgramReadsMap(t *testing.T) {
	needBPF(t)
	m, err := bpfmap.NewHash("brig_macs", 8, 4, 16)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	const data, dataEnd = 76, 80 // struct __sk_buff
	fd, err := bpf.LoadProgram(bpf.SchedCLS, "brig_macs", assemble(t,
		asm.Load(asm.W, asm.R2, asm.R1, data), asm.Load(asm.W, asm.R3, asm.R1, dataEnd),
		asm.Op(asm.Mov, asm.R4, asm.R2), asm.OpImm(asm.Add, asm.R4, 14), asm.JumpIf(asm.GT, asm.R4, asm.R3, "drop"),
		asm.StoreImm(asm.DW, asm.R10, -8, 0),
		asm.Load(asm.W, asm.R5, asm.R2, 6), asm.Store(asm.W, asm.R10, -8, asm.R5),
		asm.Load(asm.H, asm.R5, asm.R2, 10), asm.Store(asm.H, asm.R10, -4, asm.R5),
		asm.LoadMap(asm.R1, m.FD()), asm.Op(asm.Mov, asm.R2, asm.R10), asm.OpImm(asm.Add, asm.R2, -8), asm.Call(asm.HelperMapLookup),
		asm.JumpIfImm(asm.EQ, asm.R0, 0, "drop"),
		asm.OpImm(asm.Mov, asm.R0, 0), asm.Exit(), // TC_ACT_OK
		asm.Label("drop"), asm.OpImm(asm.Mov, asm.R0, 2), asm.Exit(), // TC_ACT_SHOT
	))
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	frame := make([]byte, 64)
	copy(frame[6:], []byte{2, 0, 0, 0, 0, 7})
	key := append(append([]byte{}, frame[6:12]...), 0, 0)
	verdict := func(want uint32) {
		t.Helper()
		got, err := trial.Run(fd, frame)
		if err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Fatalf("verdict %d, want %d", got, want)
		}
	}
	verdict(2)
	if err := m.Put(key, []byte{1, 2, 3, 4}); err != nil {
		t.Fatal(err)
	}
	verdict(0)
	if err := m.Delete(key); err != nil {
		t.Fatal(err)
	}
	verdict(2)
	if err := m.Delete(key); !errors.Is(err, unix.ENOENT) {
		t.Fatalf("second delete: %v", err)
	}
	if err := m.Put(key[:4], []byte{1, 2, 3, 4}); !errors.Is(err, unix.EINVAL) {
		t.Fatalf("a short key would let the kernel read beyond it: %v", err)
	}
}
