package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"time"
)

// mostUnsteady is how many tests may fail beside others and succeed alone. The machine has other guests, and some tests
// hold latencies to bounds; what fails more often than this has a cause in the code.
const mostUnsteady = 3

// mostLines of what a failed test printed are repeated at the end.
const mostLines = 40

// failure is a test that failed.
type failure struct {
	pkg, test string
	output    []string
	unsteady  bool // it succeeded alone
}

// again runs tests that failed once more, one at a time. A subtest is tried with its test, which has failed too.
func again(failures []failure, slow bool, timeout time.Duration) {
	tests := 0
	for i := range failures {
		if !strings.Contains(failures[i].test, "/") {
			tests++
		}
	}
	if tests == 0 || tests > mostUnsteady {
		return
	}
	for i := range failures {
		f := &failures[i]
		if strings.Contains(f.test, "/") {
			continue
		}
		cmd := goCommand([]string{"test", "-count=1", "-timeout", timeout.String(), "-run", "^" + regexp.QuoteMeta(f.test) + "$", f.pkg}, slow)
		out, err := cmd.CombinedOutput()
		for j := range failures {
			if failures[j].pkg == f.pkg && (failures[j].test == f.test || strings.HasPrefix(failures[j].test, f.test+"/")) {
				failures[j].unsteady = err == nil
			}
		}
		if err != nil {
			f.output = append(f.output, "and alone:\n", string(out))
		}
	}
}

// goCommand is the go program in the lane's environment.
func goCommand(args []string, slow bool) *exec.Cmd {
	cmd := exec.Command("go", args...)
	cmd.Env = os.Environ()
	if slow {
		cmd.Env = append(cmd.Env, "BRIG_SLOW=1")
	}
	return cmd
}

// printFailures repeats what the failed tests printed and returns how many did not succeed alone either.
func printFailures(w io.Writer, failures []failure) (failed int) {
	for _, f := range failures {
		lines := strings.Split(strings.TrimSpace(strings.Join(f.output, "")), "\n")
		for _, line := range lines[max(0, len(lines)-mostLines):] {
			fmt.Fprintln(w, line)
		}
		if f.unsteady {
			fmt.Fprintf(w, "UNSTEADY  %s %s: failed beside others, passed alone\n", short(f.pkg), f.test)
			continue
		}
		failed++
		fmt.Fprintf(w, "FAILED  %s %s\n", short(f.pkg), f.test)
	}
	return failed
}
