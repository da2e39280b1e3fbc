package bundle

import (
	"encoding/json"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/brig-engine/brig/internal/wire"
	"github.com/brig-engine/brig/internal/wire/rules/capname"
)

// Config is the container as a bundle has it. What is mounted below its root is there already, and the runtime takes it along
// when it binds the root; networks, IPC, ids and control groups are those that the runtime is in.
func Config(s *wire.Spec) (json.RawMessage, error) {
	c := specs.Spec{Version: "1.0.2", Process: process(&s.Process), Hostname: s.Hostname,
		Root: &specs.Root{Path: "rootfs", Readonly: !s.WritableRoot},
		Mounts: []specs.Mount{
			{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "nodev", "noexec"}},
			// One that is bound is one that the runtime makes no device in, which it could not.
			{Destination: "/dev", Type: "bind", Source: "/bundle/rootfs/dev", Options: []string{"rbind", "nosuid"}}},
		Linux: &specs.Linux{MaskedPaths: s.MaskedPaths, ReadonlyPaths: s.ReadonlyPaths, Seccomp: new(specs.LinuxSeccomp),
			Namespaces: []specs.LinuxNamespace{{Type: specs.PIDNamespace}, {Type: specs.MountNamespace}, {Type: specs.UTSNamespace}}}}
	if err := json.Unmarshal(profile, c.Linux.Seccomp); err != nil {
		return nil, err
	}
	return json.Marshal(c)
}

// Process is one that is executed in the container.
func Process(p *wire.Process) (json.RawMessage, error) { return json.Marshal(process(p)) }

func process(p *wire.Process) *specs.Process {
	out := &specs.Process{Terminal: p.Terminal, Args: p.Args, Env: p.Env, Cwd: p.Cwd, NoNewPrivileges: true,
		User: specs.User{UID: p.User.UID, GID: p.User.GID, AdditionalGids: p.User.Groups, Umask: p.User.Umask}}
	permitted := names(p.Capabilities.Permitted)
	out.Capabilities = &specs.LinuxCapabilities{Bounding: names(p.Capabilities.Bounding), Permitted: permitted, Effective: permitted}
	for _, l := range p.Rlimits {
		out.Rlimits = append(out.Rlimits, specs.POSIXRlimit{Type: "RLIMIT_" + strings.ToUpper(l.Type), Soft: l.Soft, Hard: l.Hard})
	}
	return out
}

func names(mask uint64) (list []string) {
	for number, name := range capname.All {
		if mask>>number&1 != 0 {
			list = append(list, "CAP_"+name)
		}
	}
	return list
}
