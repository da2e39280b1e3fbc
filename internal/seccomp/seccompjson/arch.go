package seccompjson

import (
	"fmt"
	"slices"

	moby "github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/brig-engine/brig/internal/seccomp/seccompspec"
)

// archNames are the architectures as conditions call them. Those that this engine does not run on make a rule that never
// applies here; any other name would be a slip that changes what is allowed.
var archNames = []string{"amd64", "arm64", "x86", "x32", "arm", "loongarch64", "mips", "mips64", "mips64n32", "mipsel", "mipsel64",
	"mips3l64n32", "ppc", "ppc64", "ppc64le", "riscv64", "s390", "s390x"}

// checkArchitectures looks at every place that only Docker's form has.
func checkArchitectures(d *moby.Seccomp) error {
	for _, m := range d.ArchMap {
		if err := seccompspec.CheckArchitectures(append([]specs.Arch{m.Arch}, m.SubArches...)); err != nil {
			return err
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
