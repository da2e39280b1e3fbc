package asm

import (
	"encoding/binary"
	"encoding/hex"
	"strings"
	"testing"
)

func TestAssembleEncodesAsRFC9669(t *testing.T) {
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		t.Skip("missing: a little-endian machine")
	}
	const m = 0x11223344
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
