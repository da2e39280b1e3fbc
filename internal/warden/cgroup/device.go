package cgroup

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/bpf"
)

// devices are those of every container. They may be read and written; nobody needs to make device nodes.
var devices = []struct{ major, minor int32 }{
	{1, 3},    // null
	{1, 5},    // zero
	{1, 7},    // full
	{1, 8},    // random
	{1, 9},    // urandom
	{5, 0},    // tty
	{5, 2},    // ptmx
	{136, -1}, // pts/*
}

// deviceProgram allows to read and write the devices of every container, and refuses all else. Its argument is struct
// bpf_cgroup_dev_ctx: access << 16 | type, major, minor.
func deviceProgram() []bpf.Insn {
	const kind, access, major, minor = bpf.R2, bpf.R3, bpf.R4, bpf.R5
	prog := []bpf.Insn{
		bpf.Load(bpf.W, kind, bpf.R1, 0),
		bpf.Op(bpf.Mov, access, kind), bpf.OpImm(bpf.Rsh, access, 16),
		bpf.OpImm(bpf.And, kind, 0xffff),
		bpf.Load(bpf.W, major, bpf.R1, 4),
		bpf.Load(bpf.W, minor, bpf.R1, 8),
		bpf.JumpIfImm(bpf.NE, kind, unix.BPF_DEVCG_DEV_CHAR, "refuse"),
		bpf.JumpIfImm(bpf.AnySet, access, unix.BPF_DEVCG_ACC_MKNOD, "refuse"),
	}
	for i, d := range devices {
		next := fmt.Sprintf("device %d", i+1)
		prog = append(prog, bpf.JumpIfImm(bpf.NE, major, d.major, next))
		if d.minor >= 0 {
			prog = append(prog, bpf.JumpIfImm(bpf.NE, minor, d.minor, next))
		}
		prog = append(prog, bpf.OpImm(bpf.Mov, bpf.R0, 1), bpf.Exit(), bpf.Label(next))
	}
	return append(prog, bpf.Label("refuse"), bpf.OpImm(bpf.Mov, bpf.R0, 0), bpf.Exit())
}
