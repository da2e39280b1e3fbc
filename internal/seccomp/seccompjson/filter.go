package seccompjson

import (
	"fmt"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/brig-engine/brig/internal/seccomp/filter"
	"github.com/brig-engine/brig/internal/seccomp/seccompspec"
)

// Filter resolves conditions and names for one host and container. Sub-architectures are refused whatever archMap says: x32
// always, 32-bit x86 unless the host is asked for it.
func (p *Profile) Filter(h Host) (filter.Filter, error) {
	resolved, err := p.resolve(h)
	if err != nil {
		return filter.Filter{}, invalid(err)
	}
	f, err := resolved.Filter(h.Arch)
	if err == nil && h.Compat {
		// Conditions are about the machine, as in Docker.
		if len(p.compat) > 0 {
			resolved.Rules = append(resolved.Rules, seccompspec.Rule{LinuxSyscall: specs.LinuxSyscall{Names: p.compat, Action: specs.ActAllow}})
		}
		var second filter.Filter
		second, err = resolved.Filter(filter.I386)
		f.Compat = &second
	}
	if p.recorded {
		f.Record()
		if f.Compat != nil {
			f.Compat.Record()
		}
	}
	if err == nil {
		err = f.Validate()
	}
	if err == nil {
		err = resolved.CheckListener(&f)
	}
	if err != nil {
		return f, invalid(err)
	}
	return f, nil
}

// resolve makes rules of the entries, those idle that do not apply.
func (p *Profile) resolve(h Host) (*seccompspec.Profile, error) {
	out := p.base
	out.Rules = slices.Clone(out.Rules)
	for i, s := range p.syscalls {
		ok, err := applies(s, h)
		if err != nil {
			return nil, fmt.Errorf("syscalls[%d]: %w", i, err)
		}
		r := seccompspec.Rule{LinuxSyscall: s.LinuxSyscall, Idle: !ok}
		if s.Name != "" {
			r.Names = []string{s.Name}
		}
		out.Rules = append(out.Rules, r)
	}
	return &out, nil
}

// Compile is Filter as a program.
func (p *Profile) Compile(h Host) (out seccompspec.Program, err error) {
	f, err := p.Filter(h)
	if err != nil {
		return out, err
	}
	if out, err = p.base.Compile(&f); err != nil {
		return out, invalid(err)
	}
	return out, nil
}
