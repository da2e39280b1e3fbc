package seccompspec

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Of what a listener is told and where it is; a path has to fit into struct sockaddr_un.
const (
	maxListenerPath     = 107
	maxListenerMetadata = 16 << 10
)

// Profile is linux.seccomp. New makes it.
type Profile struct {
	Default  specs.LinuxSeccompAction
	Rules    []Rule
	Listener Listener

	errno *uint // of Default
	log   bool
}

// Rule is an entry of linux.seccomp.syscalls.
type Rule struct {
	specs.LinuxSyscall
	// Idle: it does not apply here. Its calls are ones that the author knew.
	Idle bool
}

// Listener is who decides about the calls that a profile leaves to one (SCMP_ACT_NOTIFY).
type Listener struct {
	Path     string // of a unix socket of the host
	Metadata string // that it is told, and nobody else reads
}

// New takes a profile. The instruction sets that it names besides the machine's own are not filtered but refused.
func New(s *specs.LinuxSeccomp) (*Profile, error) {
	p := &Profile{Listener: Listener{s.ListenerPath, s.ListenerMetadata}, Default: s.DefaultAction, errno: s.DefaultErrnoRet}
	switch {
	case s.DefaultAction == "":
		return nil, errors.New("defaultAction is missing (to run without a profile, say seccomp=unconfined)")
	case s.ListenerMetadata != "" && s.ListenerPath == "":
		return nil, errors.New("listenerMetadata is for a listener, and listenerPath names none")
	case s.ListenerPath != "" && (!path.IsAbs(s.ListenerPath) || len(s.ListenerPath) > maxListenerPath || strings.ContainsRune(s.ListenerPath, 0)):
		return nil, fmt.Errorf("listenerPath %q: the path of a unix socket is absolute and has at most %d bytes", s.ListenerPath, maxListenerPath)
	case len(s.ListenerMetadata) > maxListenerMetadata:
		return nil, fmt.Errorf("listenerMetadata: %d bytes, at most %d", len(s.ListenerMetadata), maxListenerMetadata)
	}
	if err := CheckArchitectures(s.Architectures); err != nil {
		return nil, err
	}
	for _, f := range s.Flags {
		switch f {
		case specs.LinuxSeccompFlagLog:
			p.log = true
		case specs.LinuxSeccompFlagSpecAllow, "SECCOMP_FILTER_FLAG_TSYNC":
			// The first is always set; the second means the threads of a process that has only one.
		default:
			return nil, fmt.Errorf("flag %q is not supported", f)
		}
	}
	for i, rule := range s.Syscalls {
		if len(rule.Names) == 0 {
			return nil, fmt.Errorf("syscalls[%d] names no system call", i)
		}
		p.Rules = append(p.Rules, Rule{LinuxSyscall: rule})
	}
	return p, nil
}

// tokens are the architectures that profiles may name.
var tokens = []specs.Arch{specs.ArchX86_64, specs.ArchAARCH64, specs.ArchX86, specs.ArchX32, specs.ArchARM, specs.ArchMIPS,
	specs.ArchMIPS64, specs.ArchMIPS64N32, specs.ArchMIPSEL, specs.ArchMIPSEL64, specs.ArchMIPSEL64N32, specs.ArchPPC, specs.ArchPPC64,
	specs.ArchPPC64LE, specs.ArchS390, specs.ArchS390X, specs.ArchPARISC, specs.ArchPARISC64, specs.ArchRISCV64, specs.ArchLOONGARCH64,
	specs.ArchM68K, specs.ArchSH, specs.ArchSHEB}

// CheckArchitectures refuses what is no architecture: it would be a slip.
func CheckArchitectures(list []specs.Arch) error {
	for _, a := range list {
		if !slices.Contains(tokens, a) {
			return fmt.Errorf("%q is no architecture (SCMP_ARCH_X86_64, SCMP_ARCH_AARCH64, …)", a)
		}
	}
	return nil
}
