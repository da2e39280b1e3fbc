package seccomp

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Architecture tokens as a filter sees them (linux/audit.h): ELF machine, 64-bit flag, little-endian flag.
const (
	ArchAMD64 = unix.AUDIT_ARCH_X86_64
	ArchARM64 = unix.AUDIT_ARCH_AARCH64
	ArchI386  = unix.AUDIT_ARCH_I386
)

// Byte offsets in struct seccomp_data, which is all that a filter can read. Argument i is at OffArgs + 8*i, its high
// word (both architectures are little-endian) 4 bytes further.
const (
	OffNumber = 0
	OffArch   = 4
	OffArgs   = 16
	DataSize  = 64
)

// MaxInsns is the kernel's bound for one program (BPF_MAXINSNS).
const MaxInsns = 4096

// LoadFlags are always set. Without SPEC_ALLOW a kernel before 5.16 turns on a speculation mitigation that slows every
// program in the container down, for a secret that the container shares with nobody.
const LoadFlags = unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW

// call is one row of the table.
type call struct {
	name               string
	amd64, arm64, i386 int16
}

func (c *call) on(arch string) int {
	switch arch {
	case "amd64":
		return int(c.amd64)
	case "arm64":
		return int(c.arm64)
	case "i386":
		return int(c.i386)
	}
	return -1
}

// Number looks up a call by name. The second result tells whether the architecture ("amd64", "arm64", "i386") has it.
func Number(arch, name string) (uint32, bool) {
	i, ok := slices.BinarySearchFunc(calls[:], name, func(c call, n string) int { return cmp.Compare(c.name, n) })
	if !ok {
		return 0, false
	}
	nr := calls[i].on(arch)
	return uint32(nr), nr >= 0
}

// Calls are the numbers of all system calls of an architecture.
func Calls(arch string) (all []uint32) {
	for i := range calls {
		if n := calls[i].on(arch); n >= 0 {
			all = append(all, uint32(n))
		}
	}
	return all
}

// Exists tells whether a call of that name exists on any architecture that Linux runs on.
func Exists(name string) bool {
	_, ok := slices.BinarySearchFunc(calls[:], name, func(c call, n string) int { return cmp.Compare(c.name, n) })
	return ok
}

// Name is the inverse of Number, for people; it searches, so it is not for hot paths. Unknown numbers read "#NR".
func Name(arch string, nr uint32) string {
	for i := range calls {
		if n := calls[i].on(arch); n >= 0 && uint32(n) == nr {
			return calls[i].name
		}
	}
	return fmt.Sprintf("#%d", nr)
}

// Fprog describes a program to the kernel. It points into prog, which must stay alive and unchanged until it is loaded.
func Fprog(prog []unix.SockFilter) (unix.SockFprog, error) {
	if len(prog) == 0 || len(prog) > MaxInsns {
		return unix.SockFprog{}, fmt.Errorf("seccomp: a program of %d instructions, want 1 to %d", len(prog), MaxInsns)
	}
	return unix.SockFprog{Len: uint16(len(prog)), Filter: &prog[0]}, nil
}

// Load puts a program on the calling thread and what it creates from now on. The thread needs no_new_privs or
// CAP_SYS_ADMIN in its user namespace. The caller has locked the goroutine to the thread; there is no way back.
func Load(prog []unix.SockFilter, flags uintptr) error {
	fp, err := Fprog(prog)
	if err != nil {
		return err
	}
	_, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&fp)))
	runtime.KeepAlive(prog)
	if errno != 0 {
		return fmt.Errorf("seccomp: load a filter of %d instructions: %w", len(prog), errno)
	}
	return nil
}
