package warden

import (
	"errors"
	"fmt"
	"os"

	"github.com/brig-engine/brig/internal/kernel/mount"
	"github.com/brig-engine/brig/internal/warden/code"
	"github.com/brig-engine/brig/internal/wire"
)

// loadProfiles gives the kernel the AppArmor profiles of containers, in place of those that an earlier engine gave it. It
// takes a capability that the warden does not keep.
func loadProfiles() error {
	f, err := os.OpenFile("/sys/kernel/security/apparmor/.replace", os.O_WRONLY, 0)
	if err == nil {
		_, err = f.Write(code.AppArmor) // one write is one policy
		f.Close()
	}
	return err
}

// openAppArmor takes what came of loading profiles, and opens the procfs by which processes ask for one.
func (w *Warden) openAppArmor() (err error) {
	if w.facts.AppArmor = w.cfg.profiles == nil; !w.facts.AppArmor && !errors.Is(w.cfg.profiles, os.ErrNotExist) {
		w.facts.Missing = append(w.facts.Missing, fmt.Sprintf("apparmor profiles of containers: %v", w.cfg.profiles))
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
