package filters

import (
	"strings"

	"github.com/brig-engine/brig/internal/seccomp/filter"
)

// Architectures that Brig runs on.
var Architectures = []filter.Arch{filter.AMD64, filter.ARM64}

// All gives every filter by the name that the warden knows it by (internal/warden/code).
func All(arch filter.Arch) map[string]filter.Filter {
	all := map[string]filter.Filter{
		"default":         Default(arch),
		"floor":           Floor(arch, Relax{}),
		"floor-raw":       Floor(arch, Relax{Packet: true}),
		"floor-admin":     Floor(arch, Relax{NetworkAdmin: true}),
		"floor-raw-admin": Floor(arch, Relax{Packet: true, NetworkAdmin: true}),
		"floor-runtime":   Floor(arch, Relax{Runtime: true}),
		"brigd":           Daemon(arch),
		"router":          Router(arch),
		"store":           Store(arch),
		"worker":          Worker(arch),
		"filler":          Filler(arch),
		"copier":          Copier(arch),
	}
	for _, name := range []string{"floor", "floor-raw", "floor-admin", "floor-raw-admin"} {
		relax := Relax{Packet: strings.Contains(name, "raw"), NetworkAdmin: strings.Contains(name, "admin"), Compat: true}
		all[name+"-abi32"] = Floor(arch, relax)
	}
	return all
}
