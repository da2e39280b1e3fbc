package filter

import (
	"fmt"
	"slices"
)

// Filter is a system call filter with names already turned into numbers. Compile makes the program of it that brigd
// hands to the warden, which stacks it on its own floor, which no Filter can weaken.
//
// The meaning does not depend on the order of rules. Of all rules that match a call the one with the most severe action
// decides (kill-process, kill-thread, trap, errno, notify, trace, log, allow: the order in which the kernel ranks the
// verdicts of stacked filters); of several that are equally severe, the first. If none matches, Default decides.
type Filter struct {
	Arch    Arch
	Default Action
	// Errno is for Default: see Rule.
	Errno uint16
	// Newest, if it is not 0, is the highest call number that the author of the filter knew. Calls above it fail with
	// ENOSYS unless a rule names them, so that C libraries use the older call instead of giving up on EPERM.
	Newest uint32
	// Log asks the kernel to log every verdict other than allow.
	Log   bool
	Rules []Rule
	// Compat is what holds for calls of a second instruction set that the machine runs (I386 on AMD64), which have numbers
	// and arguments of their own. nil: such a call kills the process.
	Compat *Filter
}

// Rule matches a call whose number is one of Calls and whose arguments satisfy all of Args.
type Rule struct {
	Calls  []uint32
	Action Action
	// Errno is the error number of the action Errno (0 pretends success), or what a tracer reads with Trace.
	Errno uint16
	Args  []Arg
}

// Arg compares argument Index (0–5) as an unsigned 64-bit number, first masked with Mask where Op says so.
// In listings it is JSON.
type Arg struct {
	Index uint8  `json:"index"`
	Op    Op     `json:"op"`
	Value uint64 `json:"value"`
	Mask  uint64 `json:"mask,omitempty"`
}

// Arch names an instruction set as Go does.
type Arch string

// The architectures. Calls of any other instruction set kill the process. I386 is for Compat alone.
const (
	AMD64 Arch = "amd64"
	ARM64 Arch = "arm64"
	I386  Arch = "i386"
)

// Action is a verdict. Notify leaves it to a listener, which has to be there when the filter is loaded.
type Action string

// The verdicts, most severe first.
const (
	KillProcess Action = "kill-process"
	KillThread  Action = "kill-thread"
	Trap        Action = "trap"
	Errno       Action = "errno"
	Notify      Action = "notify"
	Trace       Action = "trace"
	Log         Action = "log"
	Allow       Action = "allow"
)

// Op is a comparison.
type Op string

// The comparisons: argument OP Value, or for the masked ones (argument & Mask) OP Value.
const (
	EQ       Op = "eq"
	NE       Op = "ne"
	LT       Op = "lt"
	LE       Op = "le"
	GT       Op = "gt"
	GE       Op = "ge"
	MaskedEQ Op = "masked-eq"
	MaskedNE Op = "masked-ne"
)

// Limits of one filter. The compiled program has a limit of its own: 4,096 instructions.
const (
	MaxRules = 2048
	MaxCalls = 16384 // numbers in all rules together
	MaxArgs  = 12    // conditions of one rule
	MaxCall  = 4095  // highest call number: far above every real one, far below the bit that marks x32
	MaxErrno = 4095  // the kernel's own bound
)

var bySeverity = []Action{Allow, Log, Trace, Notify, Errno, Trap, KillThread, KillProcess}

// Severity ranks actions as the kernel does, higher is more severe; -1 is not an action.
func (a Action) Severity() int { return slices.Index(bySeverity, a) }

// Notifies tells whether there is a call that is left to a listener.
func (f *Filter) Notifies() bool {
	return f.Default == Notify || slices.ContainsFunc(f.Rules, func(r Rule) bool { return r.Action == Notify })
}

// Record leaves to a listener what would be allowed.
func (f *Filter) Record() {
	leave := func(a *Action) {
		if *a == Allow || *a == Log {
			*a = Notify
		}
	}
	leave(&f.Default)
	for i := range f.Rules {
		leave(&f.Rules[i].Action)
	}
}

// Holds is what a comparison means, of the argument's value.
func (a Arg) Holds(v uint64) bool {
	switch a.Op {
	case EQ:
		return v == a.Value
	case NE:
		return v != a.Value
	case LT:
		return v < a.Value
	case LE:
		return v <= a.Value
	case GT:
		return v > a.Value
	case GE:
		return v >= a.Value
	case MaskedEQ:
		return v&a.Mask == a.Value
	case MaskedNE:
		return v&a.Mask != a.Value
	}
	return false
}

// Masked tells whether Mask belongs to the comparison.
func (o Op) Masked() bool { return o == MaskedEQ || o == MaskedNE }

// Validate refuses what is not in the closed set or beyond a limit.
func (f *Filter) Validate() error {
	if f.Arch != AMD64 && f.Arch != ARM64 {
		return fmt.Errorf("filter: unknown architecture %q", f.Arch)
	}
	if c := f.Compat; c != nil {
		if f.Arch != AMD64 || c.Arch != I386 || c.Compat != nil {
			return fmt.Errorf("filter: %s has no second architecture %q", f.Arch, c.Arch)
		}
		if err := c.validate(); err != nil {
			return fmt.Errorf("%s: %w", c.Arch, err)
		}
	}
	return f.validate()
}

// validate is about one architecture.
func (f *Filter) validate() error {
	if err := validAction(f.Default, f.Errno); err != nil {
		return fmt.Errorf("filter: default: %w", err)
	}
	if f.Newest > MaxCall {
		return fmt.Errorf("filter: newest call %d is above %d", f.Newest, MaxCall)
	}
	if len(f.Rules) > MaxRules {
		return fmt.Errorf("filter: %d rules, at most %d", len(f.Rules), MaxRules)
	}
	calls := 0
	for i := range f.Rules {
		if err := f.Rules[i].validate(); err != nil {
			return fmt.Errorf("filter: rule %d: %w", i, err)
		}
		if calls += len(f.Rules[i].Calls); calls > MaxCalls {
			return fmt.Errorf("filter: more than %d call numbers", MaxCalls)
		}
	}
	return nil
}

func (r *Rule) validate() error {
	if len(r.Calls) == 0 {
		return fmt.Errorf("names no call")
	}
	for _, nr := range r.Calls {
		if nr > MaxCall {
			return fmt.Errorf("call %d is above %d", nr, MaxCall)
		}
	}
	if err := validAction(r.Action, r.Errno); err != nil {
		return err
	}
	if len(r.Args) > MaxArgs {
		return fmt.Errorf("%d conditions, at most %d", len(r.Args), MaxArgs)
	}
	for _, a := range r.Args {
		switch a.Op {
		case EQ, NE, LT, LE, GT, GE, MaskedEQ, MaskedNE:
		default:
			return fmt.Errorf("unknown comparison %q", a.Op)
		}
		if a.Index > 5 {
			return fmt.Errorf("argument %d: a call has arguments 0 to 5", a.Index)
		}
		if a.Mask != 0 && !a.Op.Masked() {
			return fmt.Errorf("comparison %q takes no mask", a.Op)
		}
	}
	return nil
}

func validAction(a Action, errno uint16) error {
	switch {
	case a.Severity() < 0:
		return fmt.Errorf("unknown action %q", a)
	case errno > MaxErrno:
		return fmt.Errorf("error number %d is above %d", errno, MaxErrno)
	case errno != 0 && a != Errno && a != Trace:
		return fmt.Errorf("action %q takes no error number", a)
	}
	return nil
}
