package filters

import (
	"encoding/json"
	"fmt"

	"github.com/opencontainers/runtime-spec/specs-go"

	kernel "github.com/brig-engine/brig/internal/kernel/seccomp"
	"github.com/brig-engine/brig/internal/seccomp/filter"
)

// RuntimeProfile is Default as another OCI runtime takes it: linux.seccomp of a config.json. The runtime loads it above
// Floor with Relax.Runtime, which lets pass what makes containers: here none of it does.
func RuntimeProfile(arch filter.Arch) (string, error) {
	f := Default(arch)
	errno := uint(f.Errno)
	p := specs.LinuxSeccomp{DefaultAction: specs.ActErrno, DefaultErrnoRet: &errno,
		Architectures: []specs.Arch{map[filter.Arch]specs.Arch{filter.AMD64: specs.ArchX86_64, filter.ARM64: specs.ArchAARCH64}[arch]}}
	for _, r := range f.Rules {
		s := specs.LinuxSyscall{Action: specs.ActAllow}
		if r.Action == filter.Errno {
			errno := uint(r.Errno)
			s.Action, s.ErrnoRet = specs.ActErrno, &errno
		} else if r.Action != filter.Allow {
			return "", fmt.Errorf("the default filter has the action %s", r.Action)
		}
		for _, nr := range r.Calls {
			s.Names = append(s.Names, kernel.Name(string(arch), nr))
		}
		for _, a := range r.Args {
			arg := specs.LinuxSeccompArg{Index: uint(a.Index), Value: a.Value}
			switch a.Op {
			case filter.EQ:
				arg.Op = specs.OpEqualTo
			case filter.LT:
				arg.Op = specs.OpLessThan
			case filter.MaskedEQ: // whose mask comes first
				arg.Op, arg.Value, arg.ValueTwo = specs.OpMaskedEqual, a.Mask, a.Value
			default:
				return "", fmt.Errorf("the default filter has the comparison %s", a.Op)
			}
			s.Args = append(s.Args, arg)
		}
		p.Syscalls = append(p.Syscalls, s)
	}
	b, err := json.MarshalIndent(p, "", " ")
	return string(b) + "\n", err
}
