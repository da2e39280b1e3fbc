package filters

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	kernel "github.com/brig-engine/brig/internal/kernel/seccomp"
	"github.com/brig-engine/brig/internal/seccomp/filter"
)

// The instructions that programs consist of.
const (
	load    = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
	and     = unix.BPF_ALU | unix.BPF_AND | unix.BPF_K
	equal   = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
	above   = unix.BPF_JMP | unix.BPF_JGT | unix.BPF_K
	atLeast = unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K
	jump    = unix.BPF_JMP | unix.BPF_JA
	ret     = unix.BPF_RET | unix.BPF_K
)

// Listing writes a program for the warden and for people: the bytes of an instruction, its number, jumps to numbers,
// names of calls and verdicts.
func Listing(prog []unix.SockFilter, arch string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "  %d instructions for %s\n", len(prog), arch)
	number, set := false, arch // the accumulator holds the call number; of which instruction set
	for i, p := range prog {
		fmt.Fprintf(&b, "% x  %4d  ", filter.Encode(prog[i:i+1]), i)
		switch p.Code {
		case load:
			if number = p.K == kernel.OffNumber; number {
				set = arch
				if i > 0 && prog[i-1].Code == equal && prog[i-1].K == kernel.ArchI386 || i > 1 && prog[i-2].K == kernel.ArchI386 {
					set = "i386"
				}
			}
			fmt.Fprintf(&b, "load %s\n", field(p.K))
			continue
		case and:
			fmt.Fprintf(&b, "and  %#x\n", p.K)
			continue
		case jump:
			fmt.Fprintf(&b, "goto %d\n", i+1+int(p.K))
			continue
		case ret:
			fmt.Fprintf(&b, "ret  %s\n", verdictName(p.K))
			continue
		}
		op := map[uint16]string{equal: "==", above: ">", atLeast: ">="}[p.Code]
		k := fmt.Sprintf("%#x", p.K)
		if number && p.K < 1<<30 {
			k = fmt.Sprintf("%d (%s)", p.K, kernel.Name(set, p.K))
		}
		fmt.Fprintf(&b, "if %s %s goto %d else %d\n", op, k, i+1+int(p.Jt), i+1+int(p.Jf))
	}
	return b.String()
}

func field(off uint32) string {
	switch {
	case off == kernel.OffNumber:
		return "number"
	case off == kernel.OffArch:
		return "architecture"
	case off >= kernel.OffArgs && off%8 == 0:
		return fmt.Sprintf("argument %d low", (off-kernel.OffArgs)/8)
	}
	return fmt.Sprintf("argument %d high", (off-kernel.OffArgs)/8)
}

func verdictName(v uint32) string {
	switch v & unix.SECCOMP_RET_ACTION_FULL {
	case unix.SECCOMP_RET_ALLOW:
		return "allow"
	case unix.SECCOMP_RET_ERRNO:
		if v&unix.SECCOMP_RET_DATA == 0 {
			return "success, pretended"
		}
		return "errno " + unix.ErrnoName(unix.Errno(v&unix.SECCOMP_RET_DATA))
	case unix.SECCOMP_RET_KILL_PROCESS:
		return "kill-process"
	}
	return fmt.Sprintf("%#x", v)
}
