package tighten_test

import (
	"encoding/json"
	"runtime"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/dist/embed/filters"
	"github.com/brig-engine/brig/internal/cli/tighten"
	"github.com/brig-engine/brig/internal/kernel/seccomp"
	"github.com/brig-engine/brig/internal/seccomp/filter"
	"github.com/brig-engine/brig/internal/seccomp/seccompjson"
)

// What the floor and the default answer with ENOSYS a profile that was learned does, too; and all that it allows is what it says.
func TestLearnedProfileIsReadAndSaysENOSYSWhereTheOthersDo(t *testing.T) {
	arch := filter.Arch(runtime.GOARCH)
	text, err := tighten.Profile(runtime.GOARCH, []string{"read", "openat"})
	if err != nil {
		t.Fatal(err)
	}
	p, err := seccompjson.Decode(text)
	if err != nil {
		t.Fatal(err)
	}
	f, err := p.Filter(seccompjson.Host{Arch: arch, Kernel: [2]uint64{6, 1}})
	if err != nil {
		t.Fatal(err)
	}
	absent := func(f *filter.Filter) (names []string) {
		for _, r := range f.Rules {
			if r.Action == filter.Errno && r.Errno == uint16(unix.ENOSYS) && len(r.Args) == 0 {
				for _, nr := range r.Calls {
					names = append(names, seccomp.Name(runtime.GOARCH, nr))
				}
			}
		}
		return names
	}
	learned := absent(&f)
	for _, other := range []filter.Filter{filters.Default(arch), filters.Floor(arch, filters.Relax{})} {
		for _, name := range absent(&other) {
			if !slices.Contains(learned, name) {
				t.Errorf("%s is refused with another error than without the profile", name)
			}
		}
	}
	if f.Default != filter.Errno || f.Errno != uint16(unix.EPERM) {
		t.Errorf("the rest is %s %d", f.Default, f.Errno)
	}
	if !json.Valid(text) {
		t.Errorf("%s", text)
	}
}
