package filters

import (
	"encoding/json"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	kernel "github.com/brig-engine/brig/internal/kernel/seccomp"
	"github.com/brig-engine/brig/internal/seccomp/filter"
)

// The profile for other runtimes allows and refuses the calls of Default, and nothing that makes a namespace or a mount.
func TestRuntimeProfileIsTheDefault(t *testing.T) {
	for _, arch := range Architectures {
		text, err := RuntimeProfile(arch)
		if err != nil {
			t.Fatal(err)
		}
		var p specs.LinuxSeccomp
		if err := json.Unmarshal([]byte(text), &p); err != nil {
			t.Fatal(err)
		}
		allowed := map[string]bool{}
		for i, r := range Default(arch).Rules {
			s := p.Syscalls[i]
			if len(s.Names) != len(r.Calls) || len(s.Args) != len(r.Args) || (s.Action == specs.ActAllow) != (r.Action == filter.Allow) {
				t.Errorf("%s: rule %d is %+v", arch, i, s)
			}
			for n, name := range s.Names {
				if nr, ok := kernel.Number(string(arch), name); !ok || nr != r.Calls[n] {
					t.Errorf("%s: %s", arch, name)
				}
				allowed[name] = allowed[name] || s.Action == specs.ActAllow && len(s.Args) == 0
			}
		}
		if len(p.Syscalls) != len(Default(arch).Rules) || p.DefaultAction != specs.ActErrno {
			t.Errorf("%s: %d rules, default %s", arch, len(p.Syscalls), p.DefaultAction)
		}
		for _, name := range []string{"mount", "unshare", "clone", "clone3", "setns", "pivot_root", "move_mount", "fsopen", "keyctl", "bpf"} {
			if allowed[name] {
				t.Errorf("%s: %s is allowed", arch, name)
			}
		}
	}
}

// Of all that the floor refuses whatever the arguments, the one for runtimes lets through what makes containers.
func TestFloorOfRuntimesKeepsTheRest(t *testing.T) {
	for _, arch := range Architectures {
		refused := func(f filter.Filter) map[string]bool {
			names := map[string]bool{}
			for _, r := range f.Rules {
				for _, nr := range r.Calls {
					if len(r.Args) == 0 {
						names[kernel.Name(string(arch), nr)] = true
					}
				}
			}
			return names
		}
		given := map[string]bool{"mount": true, "umount2": true, "fsopen": true, "fsconfig": true, "fsmount": true, "fspick": true, "open_tree": true,
			"open_tree_attr": true, "move_mount": true, "mount_setattr": true, "setns": true, "pivot_root": true}
		less, more := refused(Floor(arch, Relax{})), refused(Floor(arch, Relax{Runtime: true}))
		for name := range less {
			if more[name] == given[name] {
				t.Errorf("%s: %s is refused: %v", arch, name, more[name])
			}
		}
		for name := range more {
			if !less[name] {
				t.Errorf("%s: %s is refused to runtimes alone", arch, name)
			}
		}
	}
}
