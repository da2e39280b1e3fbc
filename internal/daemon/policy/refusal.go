package policy

import (
	"fmt"
	"strings"

	"github.com/containerd/errdefs"

	"github.com/brig-engine/brig/internal/daemon/policy/compat"
)

// Refusal is one thing that was asked for and is not given.
type Refusal struct {
	Option string // as a person writes it: --privileged
	Value  string // "" where the option is a switch
	Reason string
	Allow  string // what would be allowed, or who could allow it; may be empty
	// Class is one of errdefs: ErrInvalidArgument (it makes no sense), ErrNotImplemented (not built), ErrPermissionDenied.
	Class error
}

func (r Refusal) String() string {
	s := r.Option
	if r.Value != "" {
		s += " " + r.Value
	}
	s += ": " + r.Reason
	if r.Allow != "" {
		s += "; " + r.Allow
	}
	return s
}

// Refusals are all refusals of one request.
type Refusals []Refusal

// Error lists them, one per line.
func (rs Refusals) Error() string {
	if len(rs) == 1 {
		return rs[0].String()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d options are refused:", len(rs))
	for _, r := range rs {
		b.WriteString("\n  " + r.String())
	}
	return b.String()
}

// Unwrap gives the gravest class: permission, then not built, then invalid.
func (rs Refusals) Unwrap() error {
	var class error = errdefs.ErrInvalidArgument
	for _, r := range rs {
		switch r.Class {
		case errdefs.ErrPermissionDenied:
			return r.Class
		case errdefs.ErrNotImplemented:
			class = r.Class
		}
	}
	return class
}

// collector gathers refusals and warnings while a spec is built.
type collector struct {
	refusals Refusals
	warnings []string
	level    Level
}

func (c *collector) err() error {
	if len(c.refusals) == 0 {
		return nil
	}
	return c.refusals
}

func (c *collector) warn(format string, args ...any) {
	c.warnings = append(c.warnings, fmt.Sprintf(format, args...))
}

// invalid refuses what makes no sense.
func (c *collector) invalid(option, value, format string, args ...any) {
	c.refusals = append(c.refusals, Refusal{option, clip(value), fmt.Sprintf(format, args...), "",
		errdefs.ErrInvalidArgument})
}

// forbid refuses what only the administrator's policy could allow.
func (c *collector) forbid(option, value, reason, allow string) {
	c.refusals = append(c.refusals, Refusal{option, clip(value), reason, allow, errdefs.ErrPermissionDenied})
}

// refuse refuses, when used is set, what the table of package compat says is forbidden or missing. key is a field of
// the request, or FIELD=VALUE.
func (c *collector) refuse(used bool, key, value string) {
	if used {
		c.refuseAs("", key, value)
	}
}

// refuseAs is refuse for an option that has several spellings; option is the one that was used.
func (c *collector) refuseAs(option, key, value string) {
	e, ok := compat.Lookup(key)
	if !ok || e.State == compat.Works {
		// A key that the table does not have is our mistake; the caller's request is still not carried out by half.
		e = &compat.Entry{Field: key, State: compat.Missing, Reason: "this version of Brig does not have it"}
	}
	var class error = errdefs.ErrNotImplemented
	if e.State == compat.Refused {
		class = errdefs.ErrPermissionDenied
	}
	if option == "" {
		option = e.Option()
	}
	c.refusals = append(c.refusals, Refusal{option, clip(value), e.Why(), e.Instead, class})
}

// clip keeps a stranger's value from filling a terminal.
func clip(s string) string {
	const most = 120
	if len(s) > most {
		return fmt.Sprintf("%q…", s[:most])
	}
	for _, r := range s {
		if r < ' ' || r == 0x7f {
			return fmt.Sprintf("%q", s)
		}
	}
	return s
}
