package wire

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// Filter is a system call filter with names already turned into numbers. It is what OpFilterPut carries: the warden
// compiles it, and stacks it on its own floor filter, which no Filter can weaken.
//
// The meaning does not depend on the order of rules. Of all rules that match a call the one with the most severe action
// decides (kill-process, kill-thread, trap, errno, trace, log, allow: the order in which the kernel ranks the verdicts
// of stacked filters); of several that are equally severe, the first. If none matches, Default decides.
type Filter struct {
	Arch    FilterArch   `json:"arch"`
	Default FilterAction `json:"default"`
	// Errno is for Default: see FilterRule.
	Errno uint16 `json:"errno,omitempty"`
	// Newest, if it is not 0, is the highest call number that the author of the filter knew. Calls above it fail with
	// ENOSYS unless a rule names them, so that C libraries use the older call instead of giving up on EPERM.
	Newest uint32 `json:"newest,omitempty"`
	// Log asks the kernel to log every verdict other than allow.
	Log   bool         `json:"log,omitempty"`
	Rules []FilterRule `json:"rules,omitempty"`
}

// FilterRule matches a call whose number is one of Calls and whose arguments satisfy all of Args.
type FilterRule struct {
	Calls  []uint32     `json:"calls"`
	Action FilterAction `json:"action"`
	// Errno is the error number of FilterErrno (0 pretends success), or what a tracer reads with FilterTrace.
	Errno uint16      `json:"errno,omitempty"`
	Args  []FilterArg `json:"args,omitempty"`
}

// FilterArg compares argument Index (0–5) as an unsigned 64-bit number, first masked with Mask where Op says so.
type FilterArg struct {
	Index uint8    `json:"index"`
	Op    FilterOp `json:"op"`
	Value uint64   `json:"value"`
	Mask  uint64   `json:"mask,omitempty"`
}

// FilterArch names an instruction set as Go does.
type FilterArch string

// The architectures. Calls of any other instruction set (i386 on amd64) kill the process.
const (
	FilterAMD64 FilterArch = "amd64"
	FilterARM64 FilterArch = "arm64"
)

// FilterAction is a verdict. Notification of a listener is not among them: there is nobody to listen.
type FilterAction string

// The verdicts, most severe first.
const (
	FilterKillProcess FilterAction = "kill-process"
	FilterKillThread  FilterAction = "kill-thread"
	FilterTrap        FilterAction = "trap"
	FilterErrno       FilterAction = "errno"
	FilterTrace       FilterAction = "trace"
	FilterLog         FilterAction = "log"
	FilterAllow       FilterAction = "allow"
)

// FilterOp is a comparison.
type FilterOp string

// The comparisons: argument OP Value, or for the masked ones (argument & Mask) OP Value.
const (
	FilterEQ       FilterOp = "eq"
	FilterNE       FilterOp = "ne"
	FilterLT       FilterOp = "lt"
	FilterLE       FilterOp = "le"
	FilterGT       FilterOp = "gt"
	FilterGE       FilterOp = "ge"
	FilterMaskedEQ FilterOp = "masked-eq"
	FilterMaskedNE FilterOp = "masked-ne"
)

// Limits of one filter. The compiled program has a limit of its own: 4,096 instructions.
const (
	FilterMaxRules = 2048
	FilterMaxCalls = 16384 // numbers in all rules together
	FilterMaxArgs  = 12    // conditions of one rule
	FilterMaxCall  = 4095  // highest call number: far above every real one, far below the bit that marks x32
	FilterMaxErrno = 4095  // the kernel's own bound
)

// Severity ranks actions as the kernel does, higher is more severe; -1 is not an action.
func (a FilterAction) Severity() int {
	switch a {
	case FilterKillProcess:
		return 6
	case FilterKillThread:
		return 5
	case FilterTrap:
		return 4
	case FilterErrno:
		return 3
	case FilterTrace:
		return 2
	case FilterLog:
		return 1
	case FilterAllow:
		return 0
	}
	return -1
}

// Masked tells whether Mask belongs to the comparison.
func (o FilterOp) Masked() bool { return o == FilterMaskedEQ || o == FilterMaskedNE }

// Validate refuses what is not in the closed set or beyond a limit.
func (f *Filter) Validate() error {
	if f.Arch != FilterAMD64 && f.Arch != FilterARM64 {
		return fmt.Errorf("filter: unknown architecture %q", f.Arch)
	}
	if err := validAction(f.Default, f.Errno); err != nil {
		return fmt.Errorf("filter: default: %w", err)
	}
	if f.Newest > FilterMaxCall {
		return fmt.Errorf("filter: newest call %d is above %d", f.Newest, FilterMaxCall)
	}
	if len(f.Rules) > FilterMaxRules {
		return fmt.Errorf("filter: %d rules, at most %d", len(f.Rules), FilterMaxRules)
	}
	calls := 0
	for i := range f.Rules {
		if err := f.Rules[i].validate(); err != nil {
			return fmt.Errorf("filter: rule %d: %w", i, err)
		}
		if calls += len(f.Rules[i].Calls); calls > FilterMaxCalls {
			return fmt.Errorf("filter: more than %d call numbers", FilterMaxCalls)
		}
	}
	return nil
}

func (r *FilterRule) validate() error {
	if len(r.Calls) == 0 {
		return fmt.Errorf("names no call")
	}
	for _, nr := range r.Calls {
		if nr > FilterMaxCall {
			return fmt.Errorf("call %d is above %d", nr, FilterMaxCall)
		}
	}
	if err := validAction(r.Action, r.Errno); err != nil {
		return err
	}
	if len(r.Args) > FilterMaxArgs {
		return fmt.Errorf("%d conditions, at most %d", len(r.Args), FilterMaxArgs)
	}
	for _, a := range r.Args {
		switch a.Op {
		case FilterEQ, FilterNE, FilterLT, FilterLE, FilterGT, FilterGE, FilterMaskedEQ, FilterMaskedNE:
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

func validAction(a FilterAction, errno uint16) error {
	switch {
	case a.Severity() < 0:
		return fmt.Errorf("unknown action %q", a)
	case errno > FilterMaxErrno:
		return fmt.Errorf("error number %d is above %d", errno, FilterMaxErrno)
	case errno != 0 && a != FilterErrno && a != FilterTrace:
		return fmt.Errorf("action %q takes no error number", a)
	}
	return nil
}

// Digest names the filter: sha256:hex of its JSON, which encoding/json writes in one way only.
func (f *Filter) Digest() string {
	b, err := json.Marshal(f)
	if err != nil {
		panic("wire: a Filter holds nothing but numbers and strings: " + err.Error())
	}
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}
