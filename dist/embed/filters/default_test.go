package filters

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	kernel "github.com/brig-engine/brig/internal/kernel/seccomp"
	"github.com/brig-engine/brig/internal/seccomp/filter"
	"github.com/brig-engine/brig/internal/seccomp/filter/trial"
)

func TestFixedFiltersMeanWhatTheyAreCompiledTo(t *testing.T) {
	for _, arch := range Architectures {
		for name, f := range All(arch) {
			t.Run(string(arch)+"/"+name, func(t *testing.T) { trial.Compare(t, f, trial.Compile(t, f)) })
		}
	}
}

// TestDefaultIsDockersProfile compares with the golden listing of what brigd's decoder makes of Docker's own profile.
func TestDefaultIsDockersProfile(t *testing.T) {
	for _, arch := range Architectures {
		want, err := os.ReadFile(fmt.Sprintf("../../../internal/seccomp/seccompjson/testdata/default-%s.txt", arch))
		if err != nil {
			t.Fatal(err)
		}
		f := Default(arch)
		head := fmt.Sprintf("default %s, newest %s", f.Default, kernel.Name(string(arch), f.Newest))
		lines := []string{head}
		for _, r := range f.Rules {
			for _, nr := range r.Calls {
				l := fmt.Sprintf("%s %s", r.Action, kernel.Name(string(arch), nr))
				if len(r.Args) > 0 {
					args, err := json.Marshal(r.Args)
					if err != nil {
						t.Fatal(err)
					}
					l += " " + string(args)
				}
				lines = append(lines, l)
			}
		}
		expect := strings.Split(strings.TrimSpace(string(want)), "\n")
		slices.Sort(lines)
		slices.Sort(expect)
		if !slices.Equal(lines, slices.Compact(expect)) {
			t.Errorf("%s: Default is not Docker's profile:\n got %q\nwant %q", arch, lines, expect)
		}
	}
}

func TestDefaultIsSmallAndQuickToCompile(t *testing.T) {
	f := Default(filter.AMD64)
	if n := len(trial.Compile(t, f)); n > 130 {
		t.Errorf("%d instructions; 130 load in about 40 µs", n)
	}
}

func BenchmarkCompileDefault(b *testing.B) {
	f := Default(filter.AMD64)
	for b.Loop() {
		if _, err := filter.Compile(&f); err != nil {
			b.Fatal(err)
		}
	}
}
