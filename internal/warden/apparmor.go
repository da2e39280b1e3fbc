package warden

import (
	"errors"
	"os"
	"slices"
	"strings"

	"github.com/brig-engine/brig/internal/kernel/mount"
	"github.com/brig-engine/brig/internal/wire"
)

// openAppArmor looks for the profiles of containers, which who starts an engine loads (it takes a capability that is none of
// the warden's), and opens the procfs by which processes ask for one.
func (w *Warden) openAppArmor() (err error) {
	loaded, err := os.ReadFile("/sys/kernel/security/apparmor/profiles")
	w.facts.AppArmor = slices.Contains(strings.Split(string(loaded), "\n"), wire.AppArmorDefault+" (enforce)")
	if !w.facts.AppArmor && !errors.Is(err, os.ErrNotExist) {
		w.facts.Missing = append(w.facts.Missing, "apparmor profiles of containers: whoever started the engine could not load them")
	}
	w.proc, err = mount.New("proc", 0)
	return err
}

// profile names the one that a process is to have; one that is executed in the container later has the same by record. One
// of the administrator's stays as it is: the birth finds out whether the kernel has it.
func (w *Warden) profile(p *wire.Process) {
	switch {
	case p.AppArmor != "" && p.AppArmor != wire.AppArmorDefault && p.AppArmor != wire.AppArmorCapable:
	case !w.facts.AppArmor:
		p.AppArmor = ""
	case p.Capabilities.Bounding&^wire.OrdinaryCaps != 0:
		p.AppArmor = wire.AppArmorCapable
	default:
		p.AppArmor = wire.AppArmorDefault
	}
}
