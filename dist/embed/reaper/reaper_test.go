package reaper

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/dist/embed/filters"
	"github.com/brig-engine/brig/internal/kernel/memfile"
	kernel "github.com/brig-engine/brig/internal/kernel/seccomp"
	"github.com/brig-engine/brig/internal/seccomp/filter"
)

// The expected bytes were checked with a disassembler of other people.
func TestEncodings(t *testing.T) {
	for _, c := range []struct {
		what         string
		make         func(i isa) []byte
		amd64, arm64 string
	}{
		{"mov a0, 0", func(i isa) []byte { return i.set(a0, 0) }, "48c7c700000000", "000080d2"},
		{"mov a3, 0x5410", func(i isa) []byte { return i.set(a3, 0x5410) }, "49c7c210540000", "03828ad2"},
		{"mov a4, 65535", func(i isa) []byte { return i.set(a4, 65535) }, "49c7c0ffff0000", "e4ff9fd2"},
		{"mov s3, -1", func(i isa) []byte { return i.set(s3, -1) }, "49c7c7ffffffff", "16008092"},
		{"mov number, 94", func(i isa) []byte { return i.set(number, 94) }, "48c7c05e000000", "c80b80d2"},
		{"lea s1, sp + 0", func(i isa) []byte { return i.lea(s1, sp, 0) }, "488dac2400000000", "f4030091"},
		{"lea sp, sp - 16", func(i isa) []byte { return i.lea(sp, sp, -16) }, "488da424f0ffffff", "ff4300d1"},
		{"lea s2, s0 + 128", func(i isa) []byte { return i.lea(s2, s0, 128) }, "4c8db380000000", "75020291"},
		{"lea a0, s2 + 4095", func(i isa) []byte { return i.lea(a0, s2, 4095) }, "498dbeff0f0000", "a0fe3f91"},
		{"load s0, sp + 8", func(i isa) []byte { return i.load(s0, sp, 8) }, "488b9c2408000000", "f30740f9"},
		{"load s3, s1 + 24", func(i isa) []byte { return i.load(s3, s1, 24) }, "4c8bbd18000000", "960e40f9"},
		{"load a0, s2 + 0", func(i isa) []byte { return i.load(a0, s2, 0) }, "498bbe00000000", "a00240f9"},
		{"store ret, sp + 8", func(i isa) []byte { return i.store(ret, sp, 8) }, "4889842408000000", "e00700f9"},
		{"store s3, s0 + 16", func(i isa) []byte { return i.store(s3, s0, 16) }, "4c89bb10000000", "760a00f9"},
		{"s2 += s0", func(i isa) []byte { return i.plus(s2, s0) }, "4901de", "b502138b"},
		{"a1 += a3", func(i isa) []byte { return i.plus(a1, a3) }, "4c01d6", "2100038b"},
		{"ret -= s2", func(i isa) []byte { return i.sub(ret, s2) }, "4c29f0", "000015cb"},
		{"s0 = 7 bits of s0", func(i isa) []byte { return i.bits(s0, 0, 7) }, "48c1eb004881e37f000000", "731a40d3"},
		{"s2 = 8 bits of s2 from 8", func(i isa) []byte { return i.bits(s2, 8, 8) }, "49c1ee084981e6ff000000", "b53e48d3"},
		{"ret == -4, back", func(i isa) []byte { return i.branch(ret, equal, -4, -32) }, "4881f8fcffffff0f84d3ffffff",
			"1f1000b1e0feff54"},
		{"ret == -20, on", func(i isa) []byte { return i.branch(ret, equal, -20, 24) }, "4881f8ecffffff0f840b000000",
			"1f5000b1a0000054"},
		{"s2 != 0", func(i isa) []byte { return i.branch(s2, notEqual, 0, 64) }, "4981fe000000000f8533000000",
			"bf0200f1e1010054"},
		{"s0 < 3", func(i isa) []byte { return i.branch(s0, less, 3, 624) }, "4881fb030000000f8c63020000",
			"7f0e00f16b130054"},
		{"ret <= 0, back", func(i isa) []byte { return i.branch(ret, lessOrEqual, 0, -92) }, "4881f8000000000f8e97ffffff",
			"1f0000f10dfdff54"},
		{"jump on", func(i isa) []byte { return i.jumpBy(4096) }, "e9fb0f0000", "00040014"},
		{"jump back", func(i isa) []byte { return i.jumpBy(-64) }, "e9bbffffff", "f0ffff17"},
		{"address on", func(i isa) []byte { return i.addr(a1, 812) }, "488d3525030000", "61190010"},
		{"address on, odd", func(i isa) []byte { return i.addr(s3, 1023) }, "4c8d3df8030000", "f61f0070"},
		{"address back", func(i isa) []byte { return i.addr(s0, -6) }, "488d1df3ffffff", "d3ffff50"},
		{"system call", func(i isa) []byte { return i.trap() }, "0f05", "010000d4"},
	} {
		if got := fmt.Sprintf("%x", c.make(x86{})); got != c.amd64 {
			t.Errorf("amd64: %s: %s, want %s", c.what, got, c.amd64)
		}
		if got := fmt.Sprintf("%x", c.make(a64{})); got != c.arm64 {
			t.Errorf("arm64: %s: %s, want %s", c.what, got, c.arm64)
		}
	}
}

func TestFileIsAnExecutableThatNobodyWrites(t *testing.T) {
	for arch, machine := range map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64} {
		b, err := Program(arch)
		if err != nil {
			t.Fatal(err)
		}
		f, err := elf.NewFile(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		if f.Machine != machine || f.Type != elf.ET_DYN || f.Class != elf.ELFCLASS64 || len(f.Progs) != 2 {
			t.Errorf("%s: %+v", arch, f.FileHeader)
		}
		load, stack := f.Progs[0], f.Progs[1]
		if load.Type != elf.PT_LOAD || load.Flags != elf.PF_R|elf.PF_X || load.Filesz != uint64(len(b)) ||
			load.Memsz != load.Filesz {
			t.Errorf("%s: %+v", arch, load.ProgHeader)
		}
		if stack.Type != elf.PT_GNU_STACK || stack.Flags != elf.PF_R|elf.PF_W {
			t.Errorf("%s: %+v", arch, stack.ProgHeader)
		}
		if len(b) > 2048 || f.Entry%4 != 0 || f.Entry >= load.Filesz {
			t.Errorf("%s: %d bytes, entry %#x", arch, len(b), f.Entry)
		}
	}
	if _, err := Program("riscv64"); !errors.Is(err, unix.ENOTSUP) {
		t.Errorf("another architecture: %v", err)
	}
}

// calls lists what the program calls, by what is set before each trap.
type calls struct {
	isa
	last    *int
	numbers *[]uint32
}

func (c calls) set(r reg, v int) []byte {
	if r == number {
		*c.last = v
	}
	return c.isa.set(r, v)
}

func (c calls) trap() []byte {
	*c.numbers = append(*c.numbers, uint32(*c.last))
	return c.isa.trap()
}

// Nothing that init needs is refused by the filters of a container that asked for none.
func TestEveryCallPassesTheDefaultFilter(t *testing.T) {
	for arch, encode := range map[string]isa{"amd64": x86{}, "arm64": a64{}} {
		var made []uint32
		c := &code{arch: arch, at: map[string]int{}, isa: calls{encode, new(int), &made}}
		c.write()
		if c.err != nil || len(made) < 12 {
			t.Fatalf("%s: %d calls, %v", arch, len(made), c.err)
		}
		byDefault, floor := filters.Default(filter.Arch(arch)), filters.Floor(filter.Arch(arch), filters.Relax{})
		conditional := func(nr uint32) bool { // allowed for the arguments used here, as the births of package plan show
			for _, name := range []string{"clone", "ioctl"} {
				if n, _ := kernel.Number(arch, name); n == nr {
					return true
				}
			}
			return false
		}
		for _, nr := range made {
			allowed := slices.ContainsFunc(byDefault.Rules, func(r filter.Rule) bool {
				return r.Action == filter.Allow && slices.Contains(r.Calls, nr) && (len(r.Args) == 0 || conditional(nr))
			})
			refused := slices.ContainsFunc(floor.Rules, func(r filter.Rule) bool {
				return slices.Contains(r.Calls, nr) && !conditional(nr)
			})
			if !allowed || refused {
				t.Errorf("%s: call %d: allowed %v, refused by the floor %v", arch, nr, allowed, refused)
			}
		}
	}
}

// Anybody in a container can execute the file with any arguments.
func TestExecutedByHand(t *testing.T) {
	b, err := Program(runtime.GOARCH)
	if err != nil {
		t.Fatal(err)
	}
	f, err := memfile.Seal("init", bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const usage = "usage: init PATH ARGUMENT...\n"
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"init"}, 125, usage},
		{[]string{"init", "/bin/true"}, 125, usage},
		{[]string{"", "", ""}, 127, "init: this program, or its interpreter, does not exist: \n"},
		{[]string{"init", "/dev/null/x", "x"}, 127, "init: this program, or its interpreter, does not exist: /dev/null/x\n"},
		{[]string{"init", "/bin/sh", "sh", "-c", "echo $0$1; exit 9", "a", ""}, 9, "a\n"},
		{[]string{"init", "/proc/self/exe", "init", "/bin/sh", "sh", "-c", "exit 8"}, 8, ""},
	} {
		cmd := &exec.Cmd{Path: fmt.Sprintf("/proc/self/fd/%d", f.Fd()), Args: c.args}
		out, err := cmd.CombinedOutput()
		if code := cmd.ProcessState.ExitCode(); code != c.code || string(out) != c.says {
			t.Errorf("%q: %v, %q", c.args, err, out)
		}
	}
}
