package warden

import "github.com/brig-engine/brig/internal/wire"

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
