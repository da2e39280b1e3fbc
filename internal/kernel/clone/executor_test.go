package clone

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"testing"
)

// allowedCalls are what spawn may call. The first one is the stack check on entry, before the fork.
var allowedCalls = map[string]bool{
	"runtime.morestack_noctxt":         true,
	"runtime.morestack":                true,
	"syscall.runtime_BeforeFork":       true,
	"syscall.runtime_AfterFork":        true,
	"syscall.runtime_AfterForkInChild": true,
	"syscall.RawSyscall6":              true,
}

// T20: whatever the compiler is told to add (race detection, coverage, no optimisation), the child calls nothing but
// the raw system call and the fork hooks. BRIG_SLOW=1 also recompiles the standard library without optimisation.
// What does not hold, and must not be used with this package, is -race and -cover at once: each coverage counter is then
// a call into the race detector, which takes locks.
func TestExecutorCallsOnlyRawSystemCalls(t *testing.T) {
	goTool := filepath.Join(runtime.GOROOT(), "bin", "go")
	if _, err := os.Stat(goTool); err != nil {
		t.Skip("missing: the go tool of the toolchain that built this test")
	}
	modes := map[string][]string{
		"normal":      nil,
		"cover":       {"-cover", "-covermode=atomic"},
		"unoptimised": {"-gcflags=-N -l"},
	}
	if os.Getenv("BRIG_SLOW") == "1" {
		modes["race"] = []string{"-race"}
		modes["all unoptimised"] = []string{"-gcflags=all=-N -l"}
	}
	for name, flags := range modes {
		t.Run(name, func(t *testing.T) {
			binary := filepath.Join(t.TempDir(), "clone.test")
			build := exec.Command(goTool, append(append([]string{"test", "-c", "-o", binary}, flags...), ".")...)
			build.Env = os.Environ()
			if name[:4] == "race" {
				build.Env = append(build.Env, "CGO_ENABLED=1")
			}
			if out, err := build.CombinedOutput(); err != nil {
				t.Fatalf("build: %v\n%s", err, out)
			}
			dump := exec.Command(goTool, "tool", "objdump", "-s", `/kernel/clone\.spawn$`, binary)
			code, err := dump.CombinedOutput()
			if err != nil {
				t.Fatalf("objdump: %v\n%s", err, code)
			}
			calls := regexp.MustCompile(`(?:CALL|BL)\s+(\S+)`).FindAllSubmatch(code, -1)
			raw := 0
			for _, c := range calls {
				target := regexp.MustCompile(`(\.abi0)?\(SB\)$`).ReplaceAllString(string(c[1]), "")
				if !allowedCalls[target] {
					t.Errorf("the executor calls %s", c[1])
				}
				if target == "syscall.RawSyscall6" {
					raw++
				}
			}
			if raw < 3 { // clone3, the steps, the exit: else the test has looked at the wrong thing
				t.Fatalf("found %d raw system calls in:\n%s", raw, code)
			}
		})
	}
}
