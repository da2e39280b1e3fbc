package bundle

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/wire"
	"github.com/brig-engine/brig/internal/wire/rules/capname"
)

// What a runtime reads, in the types of the specification, is what the spec says.
func TestConfigIsTheSpec(t *testing.T) {
	mask := uint32(0o27)
	s := wire.Spec{Hostname: "h", MaskedPaths: []string{"/proc/keys"}, ReadonlyPaths: []string{"/proc/sys"},
		Mounts: []wire.Mount{{Kind: wire.MountVolume, Source: "data", Target: "/data", Writable: true}, {Kind: wire.MountBind, Target: "/etc/hosts", Exec: true}},
		Files:  []wire.File{{Path: "/etc/hosts"}, {Path: "/etc/hostname"}},
		Process: wire.Process{Args: []string{"sh"}, Env: []string{"A=b"}, Cwd: "/data", Terminal: true,
			User:         wire.User{UID: 7, GID: 8, Groups: []uint32{9}, Umask: &mask},
			Capabilities: wire.Capabilities{Bounding: wire.OrdinaryCaps, Permitted: 1 << unix.CAP_KILL},
			Rlimits:      []wire.Rlimit{{Type: "nofile", Soft: 5, Hard: 6}}}}
	b, err := Config(&s)
	if err != nil {
		t.Fatal(err)
	}
	var got specs.Spec
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	p := got.Process
	if !p.NoNewPrivileges || !p.Terminal || p.Cwd != "/data" || p.User.UID != 7 || p.User.GID != 8 || *p.User.Umask != mask ||
		!reflect.DeepEqual(p.User.AdditionalGids, []uint32{9}) || !reflect.DeepEqual(p.Args, []string{"sh"}) ||
		!reflect.DeepEqual(p.Rlimits, []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 5, Hard: 6}}) {
		t.Errorf("process: %s", b)
	}
	kill, all := []string{"CAP_KILL"}, 0
	for _, name := range p.Capabilities.Bounding {
		n, ok := capname.Number(name)
		if !ok || wire.OrdinaryCaps>>n&1 == 0 {
			t.Errorf("%s is no ordinary capability", name)
		}
		all++
	}
	if all != 10 || !reflect.DeepEqual(p.Capabilities.Permitted, kill) || !reflect.DeepEqual(p.Capabilities.Effective, kill) || p.Capabilities.Ambient != nil {
		t.Errorf("capabilities: %+v", p.Capabilities)
	}
	if got.Root.Path != "rootfs" || !got.Root.Readonly || got.Hostname != "h" || got.Linux.MaskedPaths[0] != "/proc/keys" || got.Linux.ReadonlyPaths[0] != "/proc/sys" {
		t.Errorf("root and paths: %s", b)
	}
	if got.Linux.Seccomp.DefaultAction != specs.ActErrno || len(got.Linux.Seccomp.Syscalls) < 10 {
		t.Errorf("filter: %+v", got.Linux.Seccomp)
	}
	for _, n := range got.Linux.Namespaces {
		if n.Path != "" || n.Type == specs.UserNamespace || n.Type == specs.NetworkNamespace || n.Type == specs.IPCNamespace {
			t.Errorf("the sandbox's namespace is left: %+v", n)
		}
	}
	if len(got.Mounts) != 2 || got.Mounts[0].Type != "proc" || got.Mounts[1].Source != "/bundle/rootfs/dev" {
		t.Errorf("mounts: %+v", got.Mounts)
	}
}
