package plan

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/clone"
	"github.com/brig-engine/brig/internal/kernel/path"
)

// Arg is one argument of a system call: a number, memory that the plan carries, or the result of an earlier operation.
type Arg struct {
	text  string
	show  func() string // text that takes time to write, and is written only when a plan is printed
	value uintptr
	reg   string
	// memory makes the argument's memory in the program and returns its address; nil for numbers and results.
	memory func(p *clone.Program) uintptr
}

// String is the argument as a plan prints it.
func (a Arg) String() string {
	switch {
	case a.text != "":
		return a.text
	case a.show != nil:
		return a.show()
	}
	return strconv.FormatUint(uint64(a.value), 10)
}

func num(v int) Arg { return Arg{value: uintptr(v)} }

func octal(v uint32) Arg {
	return Arg{show: func() string { return fmt.Sprintf("%#o", v) }, value: uintptr(v)}
}

// flags is a number with the text that people know it by.
func flags(text string, v uintptr) Arg { return Arg{text: text, value: v} }

// res is the result of the operation with that name, or a descriptor that the warden prepared (<name>).
func res(name string) Arg { return Arg{text: name, reg: name} }

func str(s string) Arg {
	return Arg{show: func() string { return strconv.Quote(s) },
		memory: func(p *clone.Program) uintptr { return p.String(s) }}
}

func list(s []string) Arg {
	return Arg{show: func() string { return fmt.Sprintf("%q", s) },
		memory: func(p *clone.Program) uintptr { return p.Strings(s) }}
}

func mem(text string, b []byte) Arg {
	return Arg{text: text, memory: func(p *clone.Program) uintptr { return p.Bytes(b) }}
}

// words is memory that consists of 64-bit words.
func words(text string, w ...uint64) Arg {
	b := make([]byte, 0, 8*len(w))
	for _, v := range w {
		b = binary.NativeEndian.AppendUint64(b, v)
	}
	return mem(text, b)
}

// halves is memory that consists of 32-bit words.
func halves(text string, w ...uint32) Arg {
	b := make([]byte, 0, 4*len(w))
	for _, v := range w {
		b = binary.NativeEndian.AppendUint32(b, v)
	}
	return mem(text, b)
}

// filter is a struct sock_fprog: a count, padding, a pointer to the instructions.
func filter(name string, code []byte) Arg {
	text := func() string { return fmt.Sprintf("%s filter, %d instructions", name, len(code)/8) }
	return Arg{show: text, memory: func(p *clone.Program) uintptr {
		head := make([]byte, 8)
		binary.NativeEndian.PutUint16(head, uint16(len(code)/8))
		return p.Words([]uintptr{uintptr(binary.NativeEndian.Uint64(head)), p.Bytes(code)})
	}}
}

// how is a struct open_how.
func how(flags uint64, mode uint32, resolve uint64) Arg {
	h := path.How(flags, mode, resolve)
	a := words("", h.Flags, h.Mode, h.Resolve)
	a.show = func() string {
		text := spell(h.Flags&^unix.O_CLOEXEC, openFlags()) + ", " + spell(resolve, resolveFlags())
		if mode != 0 {
			text += fmt.Sprintf(", %#o", mode)
		}
		return "{" + text + "}"
	}
	return a
}

// attr is a struct mount_attr that sets attributes, and the argument after it: its size.
func attr(set uint64) []Arg {
	a := words("", set, 0, 0, 0)
	a.show = func() string { return "{" + spell(set, mountFlags()) + "}" }
	return []Arg{a, num(unix.MOUNT_ATTR_SIZE_VER0)}
}

type named struct {
	value uint64
	name  string
}

// spell writes a bit mask with names, in the order of the table.
func spell(v uint64, table []named) string {
	var out []string
	for _, n := range table {
		if v&n.value == n.value && n.value != 0 {
			out = append(out, n.name)
			v &^= n.value
		}
	}
	if v != 0 || len(out) == 0 {
		out = append(out, fmt.Sprintf("%#x", v))
	}
	return strings.Join(out, "|")
}

func openFlags() []named {
	return []named{{unix.O_PATH, "O_PATH"}, {unix.O_DIRECTORY, "O_DIRECTORY"}, {unix.O_RDWR, "O_RDWR"},
		{unix.O_WRONLY, "O_WRONLY"}, {unix.O_CREAT, "O_CREAT"}, {unix.O_EXCL, "O_EXCL"}, {unix.O_NOFOLLOW, "O_NOFOLLOW"}}
}

func resolveFlags() []named {
	return []named{{unix.RESOLVE_IN_ROOT, "IN_ROOT"}, {unix.RESOLVE_BENEATH, "BENEATH"},
		{unix.RESOLVE_NO_SYMLINKS, "NO_SYMLINKS"}, {unix.RESOLVE_NO_MAGICLINKS, "NO_MAGICLINKS"},
		{unix.RESOLVE_NO_XDEV, "NO_XDEV"}}
}

func mountFlags() []named {
	return []named{{unix.MOUNT_ATTR_RDONLY, "RDONLY"}, {unix.MOUNT_ATTR_NOSUID, "NOSUID"},
		{unix.MOUNT_ATTR_NODEV, "NODEV"}, {unix.MOUNT_ATTR_NOEXEC, "NOEXEC"}}
}

func cloneFlags() []named {
	return []named{{unix.CLONE_PARENT, "CLONE_PARENT"}, {unix.CLONE_NEWUSER, "CLONE_NEWUSER"},
		{unix.CLONE_NEWPID, "CLONE_NEWPID"}, {unix.CLONE_NEWNS, "CLONE_NEWNS"}, {unix.CLONE_NEWIPC, "CLONE_NEWIPC"},
		{unix.CLONE_NEWUTS, "CLONE_NEWUTS"}, {unix.CLONE_NEWNET, "CLONE_NEWNET"}, {unix.CLONE_NEWCGROUP, "CLONE_NEWCGROUP"}}
}

// capNames writes a capability mask as a count and hexadecimal number; the names are in capabilities(7).
func capText(mask uint64) string {
	return fmt.Sprintf("%d capabilities, %#x", bits.OnesCount64(mask), mask)
}
