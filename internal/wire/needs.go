package wire

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/wire/rules"
)

// OrdinaryCaps are the capabilities that containers have by default, none of which reaches beyond their own ids.
const OrdinaryCaps uint64 = 1<<unix.CAP_CHOWN | 1<<unix.CAP_DAC_OVERRIDE | 1<<unix.CAP_FOWNER | 1<<unix.CAP_FSETID |
	1<<unix.CAP_KILL | 1<<unix.CAP_SETGID | 1<<unix.CAP_SETUID | 1<<unix.CAP_SETPCAP | 1<<unix.CAP_NET_BIND_SERVICE |
	1<<unix.CAP_SYS_CHROOT

// Needs are what a spec asks for beyond what every caller gets, each as KEY=VALUE: the words of policy.toml. brigd and the
// warden compute them alike. strict is the floor of the policy.
func (s *Spec) Needs(strict bool) (list []string) {
	p := &s.Process
	caps := p.Capabilities.Bounding | p.Capabilities.Permitted
	more := caps &^ OrdinaryCaps
	need := func(when bool, key string, value any) {
		if when {
			list = append(list, fmt.Sprint(key, "=", value))
		}
	}
	need(p.NoLandlock && more>>unix.CAP_SYS_PTRACE&1 == 0, "capabilities", unix.CAP_SYS_PTRACE) // which alone is a reason for it
	for i := range 64 {
		need(more>>i&1 != 0, "capabilities", i)
	}
	need(p.AllowNewPrivileges, "security-opt", "no-new-privileges=false")
	filter := p.Filter != nil && !p.Filter.Narrows
	need(filter && len(p.Filter.Program) == 0, "security-opt", "seccomp=unconfined")
	// One that comes along with capabilities or programs of 32 bits is the default's for these, as far as can be known.
	need(filter && len(p.Filter.Program) > 0 && more == 0 && !p.ABI32, "security-opt", "seccomp=profile")
	need(p.ABI32, "security-opt", "abi32=allow")
	ours := p.AppArmor == "" || p.AppArmor == AppArmorDefault || p.AppArmor == AppArmorCapable // which the warden chooses
	need(!ours, "security-opt", "apparmor="+p.AppArmor)
	need(p.Label != "", "security-opt", "label="+p.Label) // the level is free: it says whose files, not what may be done
	need(s.Runtime != "", "runtimes", s.Runtime)
	for _, d := range s.Devices {
		need(true, "devices", d.Source)
	}
	for _, n := range s.Network.Ports {
		need(n.HostPort != 0 && n.HostPort < 1024, "ports", n.HostPort)
	}
	for _, l := range p.Rlimits {
		need((l.Type == "rtprio" || l.Type == "nice") && l.Hard > 0, "ulimits", l.Type)
	}
	kept := !s.WritableRoot && p.User.UID != 0 && caps == 0 && !p.AllowNewPrivileges && !p.NoLandlock && !p.ABI32 && !filter && ours && p.Label == "" && s.Devices == nil && s.Runtime == ""
	need(strict && !kept, "levels", "standard")
	return list
}

// ReadPolicy reads what the administrator has applied to the engine of this ROOT. Nobody but root can have written it.
func ReadPolicy(root string) (*rules.Policy, error) {
	p := &rules.Policy{}
	b, err := os.ReadFile(filepath.Join(root, rules.Dir, rules.File))
	if os.IsNotExist(err) {
		return rules.Default(), nil
	}
	if err == nil {
		err = DecodeStrict(b, p)
	}
	return p, err
}
