package seccompjson

import (
	"fmt"
	"slices"

	moby "github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// archNames are the architectures as conditions call them. Those that this engine does not run on make a rule that never
// applies here; any other name would be a slip that changes what is allowed.
var archNames = []string{"amd64", "arm64", "x86", "x32", "arm", "loongarch64", "mips", "mips64", "mips64n32", "mipsel", "mipsel64",
	"mips3l64n32", "ppc", "ppc64", "ppc64le", "riscv64", "s390", "s390x"}

// archTokens are the architectures as architectures and archMap call them.
var archTokens = []specs.Arch{specs.ArchX86_64, specs.ArchAARCH64, specs.ArchX86, specs.ArchX32, specs.ArchARM, specs.ArchMIPS,
	specs.ArchMIPS64, specs.ArchMIPS64N32, specs.ArchMIPSEL, specs.ArchMIPSEL64, specs.ArchMIPSEL64N32, specs.ArchPPC, specs.ArchPPC64,
	specs.ArchPPC64LE, specs.ArchS390, specs.ArchS390X, specs.ArchPARISC, specs.ArchPARISC64, specs.ArchRISCV64, specs.ArchLOONGARCH64,
	specs.ArchM68K, specs.ArchSH, specs.ArchSHEB}

// checkArchitectures looks at every place of a profile that names one.
func checkArchitectures(d *moby.Seccomp) error {
	list := slices.Clone(d.Architectures)
	for _, m := range d.ArchMap {
		list = append(append(list, m.Arch), m.SubArches...)
	}
	for _, a := range list {
		if !slices.Contains(archTokens, a) {
			return fmt.Errorf("%q is no architecture (SCMP_ARCH_X86_64, SCMP_ARCH_AARCH64, …)", a)
		}
	}
	for i, s := range d.Syscalls {
		if s == nil {
			continue // which is refused
		}
		for _, c := range []*moby.Filter{s.Includes, s.Excludes} {
			if c == nil {
				continue
			}
			for _, a := range c.Arches {
				if !slices.Contains(archNames, a) {
					return fmt.Errorf("syscalls[%d]: conditions know no architecture %q (amd64, arm64, …)", i, a)
				}
			}
		}
	}
	return nil
}
