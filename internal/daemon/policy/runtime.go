package policy

import (
	"maps"
	"slices"
	"strings"

	"github.com/brig-engine/brig/internal/wire"
	"github.com/brig-engine/brig/internal/wire/rules"
)

// BrigRuntime is what Brig is called where a runtime is named.
const BrigRuntime = "brig"

// Runtimes are all names that --runtime can have.
func Runtimes(p *rules.Policy) []string {
	return append([]string{BrigRuntime}, slices.Sorted(maps.Keys(p.Runtimes))...)
}

// runtime finds who makes the container. One that is not Brig gets a sandbox of Brig's, and makes the rest of it by itself, so
// that what Brig would have to make in it is refused. (That the caller may have the runtime is a need.)
func (c *collector) runtime(in Input, s *wire.Spec, profile string) {
	name := in.Request.Host.Runtime
	if name == "" {
		name = in.Host.Runtime
	}
	if name == "" || name == BrigRuntime {
		return
	}
	option, p := "--runtime "+clip(name), &s.Process
	if in.Policy.Runtimes[name] == nil {
		c.invalid("--runtime", name, "the administrator's policy names no such runtime; there are %s. Next: a table [runtimes.NAME] in "+
			"/etc/brig/policy.toml, and brig policy apply", strings.Join(Runtimes(in.Policy), ", "))
		return
	}
	s.Runtime = name
	for _, is := range []struct {
		wrong        bool
		with, reason string
	}{
		{s.Init, "--init", "the init is Brig's, and only Brig executes it"},
		{s.Join != wire.Join{}, "the namespaces of another container", "only Brig enters those"},
		{len(s.Devices) > 0, "--device", "a runtime gets the harmless devices alone"},
		{p.Filter != nil || profile != "" || p.Capabilities.Bounding&^defaultCaps() != 0, "other capabilities or system calls than the default ones",
			"its filter is the default's"},
		{p.ABI32, "--security-opt abi32=allow", "its filter is the default's"},
		{p.Label+p.Level != "" || p.AppArmor != "" && p.AppArmor != "unconfined", "--security-opt label= or apparmor=", "neither lets a program mount, which a runtime has to do"},
		{in.Request.Host.Annotations[RecordAnnotation] != "", "--record", "its own system calls would be among them"},
		{c.level == Strict, "level strict", "the level is kept by Brig, and a runtime keeps its own"},
		{slices.ContainsFunc(s.Mounts, func(m wire.Mount) bool { return !m.Writable && m.Kind != wire.MountImage }), "a mount for reading",
			"it is root of the sandbox, and could write to it"},
		{p.AllowNewPrivileges, "--security-opt no-new-privileges=false", "no_new_privs is set before it is executed"},
	} {
		if is.wrong {
			c.forbid(option, "with "+is.with, "the rule runtime-sandbox forbids it: "+is.reason, "leave one of both out")
		}
	}
}
