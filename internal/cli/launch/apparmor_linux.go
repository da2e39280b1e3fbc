package launch

import (
	_ "embed"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/brig-engine/brig/internal/wire"
)

// policy is that of containers in the kernel's form: the profiles brig-default and brig-capable. It answers A1 together
// with the filters; dist/embed/apparmor has its source.
//
//go:embed apparmor.policy
var policy []byte

// loadProfiles gives the kernel the AppArmor profiles of containers, in place of those that an earlier engine gave it, and looks
// whether it has them. Containers run without.
func loadProfiles(m *wire.Machine) {
	f, err := os.OpenFile("/sys/kernel/security/apparmor/.replace", os.O_WRONLY, 0)
	if err == nil {
		_, err = f.Write(policy) // one write is one policy
		f.Close()
	}
	if errors.Is(err, os.ErrNotExist) {
		return
	}
	loaded, _ := os.ReadFile("/sys/kernel/security/apparmor/profiles")
	m.AppArmor = slices.Contains(strings.Split(string(loaded), "\n"), wire.AppArmorDefault+" (enforce)")
	if err != nil {
		fmt.Fprintln(os.Stderr, "brig: load the AppArmor profiles of containers:", err)
	}
	if !m.AppArmor {
		m.Missing = append(m.Missing, "apparmor profiles of containers: whoever started the engine could not load them")
	}
}
