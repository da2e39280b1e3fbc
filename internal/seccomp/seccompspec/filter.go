package seccompspec

import (
	"fmt"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/seccomp"
	"github.com/brig-engine/brig/internal/seccomp/filter"
)

// Filter resolves names for one instruction set.
//
// It follows Docker and runc where they are observable: rules that say what the default says add nothing; conditions of
// one rule on the same argument are alternatives; calls newer than any that the profile names fail with ENOSYS instead
// of the default's error. It differs where they are lax: a name that no architecture has is an error if the rule would
// have forbidden what the default permits. Sub-architectures are refused whatever the profile says.
func (p *Profile) Filter(arch filter.Arch) (filter.Filter, error) {
	f := filter.Filter{Arch: arch, Log: p.log}
	var err error
	if f.Default, f.Errno, err = action(p.Default, p.errno); err != nil {
		return f, fmt.Errorf("defaultAction: %w", err)
	}
	permits := f.Default.Severity() < filter.Errno.Severity()
	for i := range p.Rules {
		if err := add(&f, &p.Rules[i], permits); err != nil {
			return f, fmt.Errorf("syscalls[%d]: %w", i, err)
		}
	}
	if permits {
		f.Newest = 0
	}
	return f, nil
}

// Program is a profile as the kernel takes it.
type Program struct {
	Code     []byte
	Log      bool     // the kernel is to log its verdicts
	Listener Listener // none, if no call is left to one here
}

// Compile makes the program of a filter of the profile.
func (p *Profile) Compile(f *filter.Filter) (out Program, err error) {
	if err = p.CheckListener(f); err != nil {
		return out, err
	}
	prog, err := filter.Compile(f)
	if err != nil {
		return out, err
	}
	if f.Notifies() {
		out.Listener = p.Listener
	}
	out.Code, out.Log = filter.Encode(prog), f.Log
	return out, nil
}

// CheckListener refuses to leave calls to nobody.
func (p *Profile) CheckListener(f *filter.Filter) error {
	if f.Notifies() && p.Listener.Path == "" {
		return fmt.Errorf("%s needs a listener, and listenerPath names none", specs.ActNotify)
	}
	return nil
}

// add turns one entry into rules, if it applies here; in any case its calls are ones that the author knew.
func add(f *filter.Filter, r *Rule, permits bool) error {
	act, errno, err := action(r.Action, r.ErrnoRet)
	if err != nil {
		return err
	}
	forbids := permits && act.Severity() >= filter.Errno.Severity()
	var calls []uint32
	for _, n := range r.Names {
		nr, ok := seccomp.Number(string(f.Arch), n)
		switch {
		case ok:
			calls = append(calls, nr)
			f.Newest = max(f.Newest, nr)
		case forbids && !seccomp.Exists(n):
			return fmt.Errorf("%q is no system call, so it cannot be forbidden; correct or remove the name", n)
		}
	}
	args, err := arguments(r.Args)
	if err != nil {
		return err
	}
	if r.Idle || len(calls) == 0 || act == f.Default && errno == f.Errno {
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

// comparisons by the names that profiles have for them.
var comparisons = map[specs.LinuxSeccompOperator]filter.Op{
	specs.OpEqualTo: filter.EQ, specs.OpNotEqual: filter.NE, specs.OpLessThan: filter.LT, specs.OpLessEqual: filter.LE,
	specs.OpGreaterThan: filter.GT, specs.OpGreaterEqual: filter.GE, specs.OpMaskedEqual: filter.MaskedEQ,
}

func arguments(in []specs.LinuxSeccompArg) ([]filter.Arg, error) {
	var out []filter.Arg
	for _, a := range in {
		if a.Index > 5 {
			return nil, fmt.Errorf("argument %d: a system call has arguments 0 to 5", a.Index)
		}
		arg := filter.Arg{Index: uint8(a.Index), Value: a.Value}
		known := false
		if arg.Op, known = comparisons[a.Op]; !known {
			return nil, fmt.Errorf("unknown comparison %q", a.Op)
		}
		if arg.Op.Masked() { // the format puts the mask first and what is compared second
			arg.Mask, arg.Value = a.Value, a.ValueTwo
		}
		if a.ValueTwo != 0 && a.Op != specs.OpMaskedEqual {
			return nil, fmt.Errorf("comparison %s takes no valueTwo", a.Op)
		}
		out = append(out, arg)
	}
	return out, nil
}

// actions by the names that profiles have for them.
var actions = map[specs.LinuxSeccompAction]filter.Action{
	specs.ActKill: filter.KillThread, specs.ActKillThread: filter.KillThread, specs.ActKillProcess: filter.KillProcess,
	specs.ActTrap: filter.Trap, specs.ActErrno: filter.Errno, specs.ActTrace: filter.Trace, specs.ActLog: filter.Log,
	specs.ActAllow: filter.Allow, specs.ActNotify: filter.Notify,
}

func action(a specs.LinuxSeccompAction, errno *uint) (filter.Action, uint16, error) {
	act, known := actions[a]
	if !known {
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
