package warden

import (
	"bytes"
	"slices"

	"github.com/brig-engine/brig/internal/kernel/memfile"
	"github.com/brig-engine/brig/internal/wire"
)

// Another OCI runtime makes a container in Brig's place, as a process of the sandbox (plan/runtime.go). The administrator has
// named it, brigd has not: a program that is not in ROOT/policy is none. What it reads is brigd's, and is not read here: a
// runtime that does something else, or is told to, can do what the root of a sandbox can, and its floor says what that is.

// through has a runtime's command executed in place of what the program was to be, with a description that it finds at
// plan.ProcessFile or in its bundle. Nothing of a process that brigd has described is the runtime's but what bounds it.
func (p *program) through(runtime []string, description []byte, command ...string) error {
	f, err := memfile.Seal("config.json", bytes.NewReader(description))
	if err != nil {
		return err
	}
	defer f.Close()
	fd, err := dup(int(f.Fd()))
	p.give("config", fd)
	all := uint64(1)<<(p.host.LastCap+1) - 1 // in the user namespace of the sandbox, which ends at its range
	p.host.Runtime = &wire.Process{Args: slices.Concat(runtime, []string{"--root", "/run/runtime"}, command),
		Env: []string{"PATH=/usr/sbin:/usr/bin", "HOME=/tmp"}, Cwd: "/", Capabilities: wire.Capabilities{Bounding: all, Permitted: all},
		Terminal: p.want.Terminal, Stdin: p.want.Stdin, Rows: p.want.Rows, Cols: p.want.Cols,
		Rlimits: p.want.Rlimits, OOMScoreAdj: p.want.OOMScoreAdj, NoLandlock: true} // as AppArmor, which would keep it from mounting
	p.want = p.host.Runtime
	return err
}
