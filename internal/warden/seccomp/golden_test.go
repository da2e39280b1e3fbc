package seccomp

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	kernel "github.com/brig-engine/brig/internal/kernel/seccomp"
	"github.com/brig-engine/brig/internal/wire"
)

var update = flag.Bool("update", false, "write the golden files")

// listing writes a program for people: line numbers, jumps to line numbers, names of calls and verdicts.
func listing(prog []unix.SockFilter, arch string) string {
	var b strings.Builder
	number := false // the accumulator holds the call number
	for i, p := range prog {
		fmt.Fprintf(&b, "%4d  ", i)
		switch p.Code {
		case opLoad:
			number = p.K == kernel.OffNumber
			fmt.Fprintf(&b, "load %s\n", field(p.K))
			continue
		case opAnd:
			fmt.Fprintf(&b, "and  %#x\n", p.K)
			continue
		case opJA:
			fmt.Fprintf(&b, "goto %d\n", i+1+int(p.K))
			continue
		case opRet:
			fmt.Fprintf(&b, "ret  %s\n", verdictName(p.K))
			continue
		}
		op := map[uint16]string{opJEQ: "==", opJGT: ">", opJGE: ">="}[p.Code]
		k := fmt.Sprintf("%#x", p.K)
		if number && p.K < x32Bit {
			k = fmt.Sprintf("%d (%s)", p.K, kernel.Name(arch, p.K))
		}
		fmt.Fprintf(&b, "if %s %s goto %d else %d\n", op, k, i+1+int(p.Jt), i+1+int(p.Jf))
	}
	return b.String()
}

func field(off uint32) string {
	switch {
	case off == kernel.OffNumber:
		return "number"
	case off == kernel.OffArch:
		return "architecture"
	case off >= kernel.OffArgs && off%8 == 0:
		return fmt.Sprintf("argument %d low", (off-kernel.OffArgs)/8)
	}
	return fmt.Sprintf("argument %d high", (off-kernel.OffArgs)/8)
}

func verdictName(v uint32) string {
	switch v & unix.SECCOMP_RET_ACTION_FULL {
	case unix.SECCOMP_RET_ALLOW:
		return "allow"
	case unix.SECCOMP_RET_ERRNO:
		return "errno " + unix.ErrnoName(unix.Errno(v&unix.SECCOMP_RET_DATA))
	case unix.SECCOMP_RET_KILL_PROCESS:
		return "kill-process"
	}
	return fmt.Sprintf("%#x", v)
}

func TestProgramsAreTheReviewedOnes(t *testing.T) {
	for _, arch := range architectures {
		for name, f := range fixed(arch) {
			prog := mustCompile(t, f)
			path := filepath.Join("testdata", fmt.Sprintf("%s-%s.txt", name, arch))
			got := fmt.Sprintf("%d instructions\n%s", len(prog), listing(prog, string(arch)))
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("%s differs; review the change, then run with -update", path)
			}
		}
	}
}

// TestDefaultIsDockersProfile compares with the golden listing of what brigd's decoder makes of Docker's own profile.
func TestDefaultIsDockersProfile(t *testing.T) {
	for _, arch := range architectures {
		want, err := os.ReadFile(fmt.Sprintf("../../daemon/policy/seccompjson/testdata/default-%s.txt", arch))
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
	f := Default(wire.FilterAMD64)
	if n := len(mustCompile(t, f)); n > 130 {
		t.Errorf("%d instructions; 130 load in about 40 µs", n)
	}
}

func BenchmarkCompileDefault(b *testing.B) {
	f := Default(wire.FilterAMD64)
	for b.Loop() {
		if _, err := Compile(&f); err != nil {
			b.Fatal(err)
		}
	}
}
