package seccompjson

import (
	"fmt"

	moby "github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/seccomp"
	"github.com/brig-engine/brig/internal/seccomp/filter"
)

// Filter resolves conditions and names for one host and container.
//
// It follows Docker and runc where they are observable: rules that say what the default says add nothing; conditions of
// one rule on the same argument are alternatives; calls newer than any that the profile names fail with ENOSYS instead
// of the default's error. It differs where they are lax: a name that no architecture has is an error if the rule would
// have forbidden what the default permits. Sub-architectures are refused whatever archMap says: x32 always, 32-bit x86 unless
// the host is asked for it.
func (p *Profile) Filter(h Host) (filter.Filter, error) {
	f, err := p.part(h, h.Arch)
	if err == nil && h.Compat {
		var second filter.Filter
		second, err = p.part(h, filter.I386)
		f.Compat = &second
	}
	if err == nil {
		err = f.Validate()
	}
	if err == nil && f.Notifies() && p.listener.Path == "" {
		err = fmt.Errorf("%s needs a listener, and listenerPath names none", specs.ActNotify)
	}
	if err != nil {
		return f, invalid(err)
	}
	return f, nil
}

// part resolves names for one instruction set. Conditions are about the machine, as in Docker.
func (p *Profile) part(h Host, arch filter.Arch) (filter.Filter, error) {
	f := filter.Filter{Arch: arch, Log: p.log}
	var err error
	if f.Default, f.Errno, err = action(p.action, p.errno); err != nil {
		return f, fmt.Errorf("defaultAction: %w", err)
	}
	permits := f.Default.Severity() < filter.Errno.Severity()
	if arch == filter.I386 && len(p.compat) > 0 {
		err = add(&f, &moby.Syscall{LinuxSyscall: specs.LinuxSyscall{Names: p.compat, Action: specs.ActAllow}}, true, permits)
	}
	for i, s := range p.syscalls {
		ok, err := applies(s, h)
		if err == nil {
			err = add(&f, s, ok, permits)
		}
		if err != nil {
			return f, fmt.Errorf("syscalls[%d]: %w", i, err)
		}
	}
	if permits {
		f.Newest = 0
	}
	if p.recorded {
		f.Record()
	}
	return f, err
}

// Program is a profile as the kernel takes it.
type Program struct {
	Code     []byte
	Log      bool     // the kernel is to log its verdicts
	Listener Listener // none, if no call is left to one here
}

// Compile is Filter as a program.
func (p *Profile) Compile(h Host) (out Program, err error) {
	f, err := p.Filter(h)
	if err != nil {
		return out, err
	}
	prog, err := filter.Compile(&f)
	if err != nil {
		return out, invalid(err)
	}
	if f.Notifies() {
		out.Listener = p.listener
	}
	out.Code, out.Log = filter.Encode(prog), f.Log
	return out, nil
}

// add turns one entry into rules, if it applies here; in any case its calls are ones that the author knew.
func add(f *filter.Filter, s *moby.Syscall, applies, permits bool) error {
	act, errno, err := action(s.Action, s.ErrnoRet)
	if err != nil {
		return err
	}
	names := s.Names
	if s.Name != "" {
		names = []string{s.Name}
	}
	forbids := permits && act.Severity() >= filter.Errno.Severity()
	var calls []uint32
	for _, n := range names {
		nr, ok := seccomp.Number(string(f.Arch), n)
		switch {
		case ok:
			calls = append(calls, nr)
			f.Newest = max(f.Newest, nr)
		case forbids && !seccomp.Exists(n):
			return fmt.Errorf("%q is no system call, so it cannot be forbidden; correct or remove the name", n)
		}
	}
	args, err := arguments(s.Args)
	if err != nil {
		return err
	}
	if !applies || len(calls) == 0 || act == f.Default && errno == f.Errno {
		return nil
	}
	rule := filter.Rule{Calls: calls, Action: act, Errno: errno}
	for _, a := range alternatives(args) {
		rule.Args = a
		f.Rules = append(f.Rules, rule)
	}
	return nil
}

// alternatives gives the conjunctions that a list of conditions stands for: one, or one per condition if two of them
// look at the same argument.
func alternatives(args []filter.Arg) [][]filter.Arg {
	var seen [6]bool
	for _, a := range args {
		if !seen[a.Index] {
			seen[a.Index] = true
			continue
		}
		var each [][]filter.Arg
		for i := range args {
			each = append(each, args[i:i+1])
		}
		return each
	}
	return [][]filter.Arg{args}
}

func arguments(in []specs.LinuxSeccompArg) ([]filter.Arg, error) {
	var out []filter.Arg
	for _, a := range in {
		if a.Index > 5 {
			return nil, fmt.Errorf("argument %d: a system call has arguments 0 to 5", a.Index)
		}
		arg := filter.Arg{Index: uint8(a.Index), Value: a.Value}
		switch a.Op {
		case specs.OpEqualTo:
			arg.Op = filter.EQ
		case specs.OpNotEqual:
			arg.Op = filter.NE
		case specs.OpLessThan:
			arg.Op = filter.LT
		case specs.OpLessEqual:
			arg.Op = filter.LE
		case specs.OpGreaterThan:
			arg.Op = filter.GT
		case specs.OpGreaterEqual:
			arg.Op = filter.GE
		case specs.OpMaskedEqual:
			// The format puts the mask first and what is compared second.
			arg.Op, arg.Mask, arg.Value = filter.MaskedEQ, a.Value, a.ValueTwo
		default:
			return nil, fmt.Errorf("unknown comparison %q", a.Op)
		}
		if a.ValueTwo != 0 && a.Op != specs.OpMaskedEqual {
			return nil, fmt.Errorf("comparison %s takes no valueTwo", a.Op)
		}
		out = append(out, arg)
	}
	return out, nil
}

func action(a specs.LinuxSeccompAction, errno *uint) (filter.Action, uint16, error) {
	var act filter.Action
	switch a {
	case specs.ActKill, specs.ActKillThread:
		act = filter.KillThread
	case specs.ActKillProcess:
		act = filter.KillProcess
	case specs.ActTrap:
		act = filter.Trap
	case specs.ActErrno:
		act = filter.Errno
	case specs.ActTrace:
		act = filter.Trace
	case specs.ActLog:
		act = filter.Log
	case specs.ActAllow:
		act = filter.Allow
	case specs.ActNotify:
		act = filter.Notify
	default:
		return "", 0, fmt.Errorf("unknown action %q", a)
	}
	takes := act == filter.Errno || act == filter.Trace
	switch {
	case errno == nil && takes:
		return act, uint16(unix.EPERM), nil
	case errno == nil:
		return act, 0, nil
	case !takes:
		return "", 0, fmt.Errorf("%s takes no errnoRet", a)
	case *errno > filter.MaxErrno:
		return "", 0, fmt.Errorf("errnoRet %d is above %d", *errno, filter.MaxErrno)
	}
	return act, uint16(*errno), nil
}
