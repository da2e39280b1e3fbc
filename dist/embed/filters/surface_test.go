package filters

import (
	"testing"

	"golang.org/x/sys/unix"

	kernel "github.com/brig-engine/brig/internal/kernel/seccomp"
	"github.com/brig-engine/brig/internal/seccomp/filter/trial"
)

// What is counted is what the filters, run as the kernel runs them, let pass: one call after the other, with arguments
// that some rule names.
func TestTheSurfaceIsWhatPassesTheFilters(t *testing.T) {
	for _, arch := range Architectures {
		s := Left(arch)
		floor, others := Floor(arch, Relax{}), Default(arch)
		lower, upper := trial.NewMachine(t, trial.Compile(t, floor)), trial.NewMachine(t, trial.Compile(t, others))
		passes := func(nr uint32, args [6]uint64) bool {
			c := trial.Call{Arch: trial.Token(arch), Number: nr, Args: args}
			return lower.Run(t, c) == unix.SECCOMP_RET_ALLOW && upper.Run(t, c) == unix.SECCOMP_RET_ALLOW
		}
		values := append(trial.Interesting(&floor), trial.Interesting(&others)...)
		calls := 0
		for _, nr := range kernel.Calls(string(arch)) {
			for _, v := range values {
				if passes(nr, [6]uint64{v, v, 0}) || passes(nr, [6]uint64{v}) {
					calls++
					break
				}
			}
		}
		socket, _ := kernel.Number(string(arch), "socket")
		families := 0
		for family := range uint64(unix.AF_MAX) {
			if passes(socket, [6]uint64{family, unix.SOCK_STREAM}) {
				families++
			}
		}
		if s.Calls != calls || s.Families != families || s.Known < s.Calls || families != 4 {
			t.Errorf("%s: counted %+v, and %d calls and %d families pass", arch, s, calls, families)
		}
	}
}
