package filters

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	kernel "github.com/brig-engine/brig/internal/kernel/seccomp"
	"github.com/brig-engine/brig/internal/seccomp/filter"
)

// table collects the rules of a filter that is written in this package.
type table struct {
	arch  filter.Arch
	rules []filter.Rule
}

func (t *table) refuse(errno unix.Errno, names string, args ...filter.Arg) {
	t.add(filter.Errno, uint16(errno), names, args)
}

func (t *table) allow(names string, args ...filter.Arg) {
	t.add(filter.Allow, 0, names, args)
}

func (t *table) kill(names string) {
	t.add(filter.KillProcess, 0, names, nil)
}

// allowList is a filter of the rules that refuses everything else.
func (t *table) allowList() filter.Filter {
	return filter.Filter{Arch: t.arch, Default: filter.Errno, Errno: uint16(unix.EPERM), Rules: t.rules}
}

// add resolves names, separated by spaces. One that only other architectures have (iopl, epoll_wait) is left out; one
// that none has is a mistake in this package.
func (t *table) add(action filter.Action, errno uint16, names string, args []filter.Arg) {
	r := filter.Rule{Action: action, Errno: errno, Args: args}
	for name := range strings.FieldsSeq(names) {
		switch nr, ok := kernel.Number(string(t.arch), name); {
		case ok:
			r.Calls = append(r.Calls, nr)
		case !kernel.Exists(name):
			panic(fmt.Sprintf("seccomp: no system call is named %q", name))
		}
	}
	if len(r.Calls) > 0 {
		t.rules = append(t.rules, r)
	}
}
