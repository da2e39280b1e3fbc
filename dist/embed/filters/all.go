package filters

import "github.com/brig-engine/brig/internal/seccomp/filter"

// Architectures that Brig runs on.
var Architectures = []filter.Arch{filter.AMD64, filter.ARM64}

// All gives every filter by the name that the warden knows it by (internal/warden/code).
func All(arch filter.Arch) map[string]filter.Filter {
	return map[string]filter.Filter{
		"default":         Default(arch),
		"floor":           Floor(arch, Relax{}),
		"floor-raw":       Floor(arch, Relax{Packet: true}),
		"floor-admin":     Floor(arch, Relax{NetworkAdmin: true}),
		"floor-raw-admin": Floor(arch, Relax{Packet: true, NetworkAdmin: true}),
		"brigd":           Daemon(arch),
		"router":          Router(arch),
		"store":           Store(arch),
		"worker":          Worker(arch),
		"filler":          Filler(arch),
		"copier":          Copier(arch),
	}
}
