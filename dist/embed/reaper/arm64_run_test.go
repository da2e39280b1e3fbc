package reaper

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	kernel "github.com/brig-engine/brig/internal/kernel/seccomp"
)

// This file executes the program for arm64 on a machine that need not be one: the instructions that it consists of,
// decoded by their layout in the reference manual, above a kernel that answers from a list.

const (
	codeAt  = 0x10000
	stackAt = 0x70000
)

// processor has the registers, register 31 being the stack pointer, and what the last comparison was about.
type processor struct {
	t           *testing.T
	x           [32]uint64
	pc          uint64
	left, right int64
	code        []byte
	stack       map[uint64]uint64
}

func sign(v uint32, bits int) uint64 { return uint64(int64(v) << (64 - bits) >> (64 - bits)) }

// step executes one instruction and tells whether it was a system call.
func (p *processor) step() bool {
	w := binary.LittleEndian.Uint32(p.code[p.pc-codeAt:])
	d, n, m, imm12, imm16 := w&31, w>>5&31, w>>16&31, uint64(w>>10&0xfff), uint64(w>>5&0xffff)
	next := p.pc + 4
	switch {
	case w&0xffe00000 == 0xd2800000: // MOVZ, 64 bit, no shift
		p.x[d] = imm16
	case w&0xffe00000 == 0x92800000: // MOVN
		p.x[d] = ^imm16
	case w&0xffc00000 == 0x91000000: // ADD (immediate), no shift
		p.x[d] = p.x[n] + imm12
	case w&0xffc00000 == 0xd1000000: // SUB (immediate)
		p.x[d] = p.x[n] - imm12
	case w&0xffc0001f == 0xf100001f && n != 31: // CMP (immediate)
		p.left, p.right = int64(p.x[n]), int64(imm12)
	case w&0xffc0001f == 0xb100001f && n != 31: // CMN (immediate)
		p.left, p.right = int64(p.x[n]), -int64(imm12)
	case w&0xffc00000 == 0xf9400000: // LDR (unsigned offset)
		v, ok := p.stack[p.x[n]+8*imm12]
		if !ok {
			p.t.Fatalf("%#x: nothing is at %#x", p.pc, p.x[n]+8*imm12)
		}
		p.x[d] = v
	case w&0xffc00000 == 0xf9000000: // STR (unsigned offset)
		p.stack[p.x[n]+8*imm12] = p.x[d]
	case w&0xffe0fc00 == 0x8b000000: // ADD (shifted register), by 0
		p.x[d] = p.x[n] + p.x[m]
	case w&0xffe0fc00 == 0xcb000000: // SUB (shifted register), by 0
		p.x[d] = p.x[n] - p.x[m]
	case w&0xffc00000 == 0xd3400000 && w>>10&63 >= w>>16&63: // UBFM that extracts
		p.x[d] = p.x[n] >> (w >> 16 & 63) & (1<<(w>>10&63-w>>16&63+1) - 1)
	case w&0xff000010 == 0x54000000: // B.cond
		if p.holds(w & 15) {
			next = p.pc + 4*sign(w>>5&0x7ffff, 19)
		}
	case w&0xfc000000 == 0x14000000: // B
		next = p.pc + 4*sign(w&0x3ffffff, 26)
	case w&0x9f000000 == 0x10000000: // ADR
		p.x[d] = p.pc + sign(w>>5&0x7ffff<<2|w>>29&3, 21)
	case w == 0xd4000001: // SVC 0
		p.pc = next
		return true
	default:
		p.t.Fatalf("%#x: %#08x is no instruction that the program should have", p.pc, w)
	}
	p.pc = next
	return false
}

func (p *processor) holds(condition uint32) bool {
	switch condition {
	case 0:
		return p.left == p.right
	case 1:
		return p.left != p.right
	case 11:
		return p.left < p.right
	case 13:
		return p.left <= p.right
	}
	p.t.Fatalf("%#x: condition %d", p.pc, condition)
	return false
}

// text is what the code has at an address.
func (p *processor) text(at, size uint64) string {
	if at < codeAt || at+size > codeAt+uint64(len(p.code)) {
		return fmt.Sprintf("%d bytes at %#x", size, at)
	}
	return string(p.code[at-codeAt : at-codeAt+size])
}

// answers of the kernel, by call: one after the other, then the last again. A wait4 that finds a child writes status.
type answers struct {
	results map[string][]int64
	status  uint64
}

// trace runs the program with arguments and lists its calls.
func trace(t *testing.T, args []uint64, a answers) []string {
	t.Helper()
	b, err := Program("arm64")
	if err != nil {
		t.Fatal(err)
	}
	entry := binary.LittleEndian.Uint64(b[24:])
	p := &processor{t: t, code: b, pc: codeAt + entry, stack: map[uint64]uint64{stackAt: uint64(len(args))}}
	p.x[31] = stackAt
	for i, v := range args {
		p.stack[stackAt+8+8*uint64(i)] = v
	}
	names := map[uint64]string{}
	for _, n := range strings.Fields("prctl rt_sigprocmask clone rt_sigtimedwait kill wait4 exit_group setpgid getpid " +
		"ioctl execve write") {
		nr, _ := kernel.Number("arm64", n)
		names[uint64(nr)] = n
	}
	var calls []string
	for range 10_000 {
		if !p.step() {
			continue
		}
		name, line := names[p.x[8]], ""
		switch x := p.x[:5]; name {
		case "prctl":
			line = fmt.Sprint(x[0], " ", p.text(x[1], 4))
		case "rt_sigprocmask":
			line = fmt.Sprintf("%d %x %d %d", x[0], p.stack[x[1]], x[2], x[3])
		case "clone":
			line = fmt.Sprint(x)
		case "rt_sigtimedwait":
			line = fmt.Sprintf("%x %d %d %d", p.stack[x[0]], x[1], x[2], x[3])
		case "kill", "setpgid":
			line = fmt.Sprint(x[0], x[1])
		case "wait4":
			p.stack[x[1]] = a.status
			line = fmt.Sprint(int64(x[0]), x[2], x[3])
		case "exit_group":
			return append(calls, fmt.Sprint("exit_group ", x[0]))
		case "ioctl":
			line = fmt.Sprintf("%d %#x %d", x[0], x[1], p.stack[x[2]])
		case "execve":
			line = fmt.Sprintf("%#x sp+%d sp+%d", x[0], x[1]-stackAt, x[2]-stackAt)
		case "write":
			line = fmt.Sprint(x[0], " ", p.text(x[1], x[2]))
		}
		calls = append(calls, strings.TrimSpace(name+" "+line))
		if r := a.results[name]; len(r) > 0 {
			p.x[0] = uint64(r[0])
			a.results[name] = r[min(1, len(r)-1):]
		} else {
			p.x[0] = 0
		}
	}
	t.Fatalf("it does not end: %q", calls)
	return nil
}

func TestARM64ProgramMakesTheRightCalls(t *testing.T) {
	begin := []string{"prctl 15 init", "rt_sigprocmask 2 ffffffffffffffff 0 8", "clone [17 0 0 0 0]"}
	wait := "rt_sigtimedwait ffffffffffffffff 0 0 8"
	child := []string{"setpgid 0 0", "getpid", "ioctl 0 0x5410 2", "rt_sigprocmask 2 0 0 8", "execve 0x100 sp+24 sp+48"}
	const missing = "write 2 init: this program, or its interpreter, does not exist:"
	const other = "write 2 init: cannot be executed:"
	path := []string{"write 2 7 bytes at 0x100", "write 2"}
	for _, c := range []struct {
		name string
		answers
		args []uint64
		want [][]string
	}{
		{"a signal, an orphan, the program's end", answers{map[string][]int64{"clone": {5}, "rt_sigtimedwait": {15, -4, 17},
			"wait4": {9, 0, 5}}, 7 << 8}, []uint64{1, 0x100, 0x108, 0}, [][]string{begin, {wait, "kill 5 15", wait, wait,
			"wait4 -1 1 0", "wait4 -1 1 0", wait, "wait4 -1 1 0", "exit_group 7"}}},
		{"the program is killed, with a core dump", answers{map[string][]int64{"clone": {5}, "rt_sigtimedwait": {17},
			"wait4": {5}}, 0x80 | 11}, []uint64{1, 0x100, 0x108}, [][]string{begin, {wait, "wait4 -1 1 0", "exit_group 139"}}},
		{"the kernel knows no child", answers{map[string][]int64{"clone": {5}, "rt_sigtimedwait": {17, 64, -1},
			"wait4": {-10}}, 0}, []uint64{1, 0x100, 0x108}, [][]string{begin, {wait, "wait4 -1 1 0", wait, "kill 5 64", wait,
			"write 2 init: waiting for signals is not allowed", "exit_group 125"}}},
		{"no process", answers{map[string][]int64{"clone": {-11}}, 0}, []uint64{1, 0x100, 0x108},
			[][]string{begin, {"write 2 init: no process for the program can be made", "exit_group 125"}}},
		{"no such program", answers{map[string][]int64{"getpid": {2}, "execve": {-2}}, 0}, []uint64{1, 0x100, 0x108, 0x110},
			[][]string{begin, child, {missing}, path, {"exit_group 127"}}},
		{"a directory that is none", answers{map[string][]int64{"getpid": {2}, "execve": {-20}}, 0},
			[]uint64{1, 0x100, 0x108, 0x110}, [][]string{begin, child, {missing}, path, {"exit_group 127"}}},
		{"not executable", answers{map[string][]int64{"getpid": {2}, "execve": {-8}}, 0}, []uint64{1, 0x100, 0x108, 0x110},
			[][]string{begin, child, {other}, path, {"exit_group 126"}}},
		{"too few arguments", answers{}, []uint64{1, 0x100},
			[][]string{{"write 2 usage: init PATH ARGUMENT...", "exit_group 125"}}},
	} {
		want := strings.Join(slices.Concat(c.want...), "\n")
		if got := strings.Join(trace(t, c.args, c.answers), "\n"); got != want {
			t.Errorf("%s:\n%s\nwant:\n%s", c.name, got, want)
		}
	}
}
