package bpf

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/bpf/trial"
)

func TestAssembleEncodesAsRFC9669(t *testing.T) {
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		t.Skip("missing: a little-endian machine")
	}
	m := &Map{fd: 0x11223344}
	for _, tc := range []struct {
		name string
		prog []Insn
		hex  string
	}{
		{"mov imm, exit", []Insn{OpImm(Mov, R0, 1), Exit()}, "b700000001000000 9500000000000000"},
		{"mov reg", []Insn{Op(Mov, R6, R1)}, "bf16000000000000"},
		{"negative imm", []Insn{OpImm(And, R3, -8)}, "57030000f8ffffff"},
		{"load word", []Insn{Load(W, R2, R1, 4)}, "6112040000000000"},
		{"store double word", []Insn{Store(DW, R10, -8, R1)}, "7b1af8ff00000000"},
		{"store imm", []Insn{StoreImm(H, R10, -2, 7)}, "6a0afeff07000000"},
		{"to big", []Insn{ToBig(R4, 16)}, "dc04000010000000"},
		{"call", []Insn{Call(1)}, "8500000001000000"},
		{"map, label across a wide slot", []Insn{JumpIfImm(NE, R2, 5, "x"), LoadMap(R1, m), Label("x"), Exit()},
			"5502020005000000 1811000044332211 0000000000000000 9500000000000000"},
		{"jump reg", []Insn{JumpIf(GT, R3, R4, "e"), Jump("e"), Label("e"), Exit()},
			"2d43010000000000 0500000000000000 9500000000000000"},
	} {
		code, err := Assemble(tc.prog)
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		if got, want := hex.EncodeToString(code), strings.ReplaceAll(tc.hex, " ", ""); got != want {
			t.Errorf("%s:\n got %s\nwant %s", tc.name, got, want)
		}
	}
}

func TestAssembleRefusesBrokenPrograms(t *testing.T) {
	for name, prog := range map[string][]Insn{
		"empty":         {},
		"only a label":  {Label("a")},
		"unknown label": {Jump("nowhere"), Exit()},
		"backwards":     {Label("a"), OpImm(Mov, R0, 0), Jump("a"), Exit()},
		"twice":         {Label("a"), Label("a"), Exit()},
		"too long":      make([]Insn, maxInsns+1),
	} {
		if _, err := Assemble(prog); err == nil {
			t.Errorf("%s: assembled", name)
		}
	}
}

// needBPF skips where the kernel or the user cannot load programs at all; any other failure is the test's.
func needBPF(t *testing.T) {
	t.Helper()
	fd, err := LoadProgram(SchedCLS, "brig_probe", []Insn{OpImm(Mov, R0, 0), Exit()})
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
	_, err := LoadProgram(SchedCLS, "brig_bad", []Insn{Op(Mov, R0, R5), Exit()})
	if err == nil || !strings.Contains(err.Error(), "R5") {
		t.Fatalf("an uninitialised register was read; error: %v", err)
	}
}

// The program looks up the source MAC of a frame in a map and lets the frame pass if it is there: the shape of the
// anti-spoofing program.
func TestPacketProgramReadsMap(t *testing.T) {
	needBPF(t)
	m, err := NewHash("brig_macs", 8, 4, 16)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	const data, dataEnd = 76, 80 // struct __sk_buff
	fd, err := LoadProgram(SchedCLS, "brig_macs", []Insn{
		Load(W, R2, R1, data), Load(W, R3, R1, dataEnd),
		Op(Mov, R4, R2), OpImm(Add, R4, 14), JumpIf(GT, R4, R3, "drop"),
		StoreImm(DW, R10, -8, 0),
		Load(W, R5, R2, 6), Store(W, R10, -8, R5),
		Load(H, R5, R2, 10), Store(H, R10, -4, R5),
		LoadMap(R1, m), Op(Mov, R2, R10), OpImm(Add, R2, -8), Call(HelperMapLookup),
		JumpIfImm(EQ, R0, 0, "drop"),
		OpImm(Mov, R0, 0), Exit(), // TC_ACT_OK
		Label("drop"), OpImm(Mov, R0, 2), Exit(), // TC_ACT_SHOT
	})
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
