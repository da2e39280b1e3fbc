package seccompspec

import (
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/brig-engine/brig/internal/seccomp/filter"
)

// A rule that is idle makes its calls known, and nothing else. (What profiles say is tested where callers' are read: seccompjson.)
func TestIdleRules(t *testing.T) {
	p, err := New(&specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Syscalls: []specs.LinuxSyscall{
		{Names: []string{"read"}, Action: specs.ActAllow}, {Names: []string{"clone3"}, Action: specs.ActAllow}}})
	if err != nil {
		t.Fatal(err)
	}
	p.Rules[1].Idle = true
	f, err := p.Filter(filter.AMD64)
	if err != nil || len(f.Rules) != 1 || f.Newest != 435 {
		t.Errorf("%v: %+v", err, f)
	}
}

func TestRefused(t *testing.T) {
	for want, s := range map[string]specs.LinuxSeccomp{
		"defaultAction is missing":         {},
		"listenerPath names none":          {DefaultAction: specs.ActNotify},
		"is absolute":                      {DefaultAction: specs.ActNotify, ListenerPath: "here"},
		`"x" is no architecture`:           {DefaultAction: specs.ActAllow, Architectures: []specs.Arch{"x"}},
		"flag":                             {DefaultAction: specs.ActAllow, Flags: []specs.LinuxSeccompFlag{"x"}},
		"syscalls[0] names no system call": {DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{{Action: specs.ActErrno}}},
		"unknown action":                   {DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{{Names: []string{"read"}, Action: "x"}}},
	} {
		p, err := New(&s)
		var f filter.Filter
		if err == nil {
			f, err = p.Filter(filter.AMD64)
		}
		if err == nil {
			_, err = p.Compile(&f)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
