package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// target is one fuzz function.
type target struct{ pkg, name string }

// fuzz runs every fuzz target of the packages for a while each, and reports how many found something.
func fuzz(patterns []string, each time.Duration) (failed int, err error) {
	targets, err := fuzzTargets(patterns)
	if err != nil {
		return 0, err
	}
	for _, t := range targets {
		out, err := t.run(each)
		word := "pass"
		if err != nil {
			word = "FAIL"
			failed++
			os.Stdout.Write(out)
		}
		fmt.Printf("%-5s %6s  %s %s\n", word, each, short(t.pkg), t.name)
	}
	fmt.Printf("%d fuzz targets, %d failed\n", len(targets), failed)
	return failed, nil
}

// run fuzzes one target. At the end of its time the fuzzing engine may take its own deadline for a failure when the
// machine is busy; it says so and has no input to show. Only that is tried again.
func (t target) run(each time.Duration) (out []byte, err error) {
	for range 3 {
		out, err = exec.Command("go", "test", "-run", "^$", "-fuzz", "^"+t.name+"$", "-fuzztime", each.String(), t.pkg).CombinedOutput()
		late := strings.Contains(string(out), "context deadline exceeded") && !strings.Contains(string(out), "Failing input written")
		if err == nil || !late {
			break
		}
	}
	return out, err
}

// fuzzTargets lists them: go test -list prints the names and then the package.
func fuzzTargets(patterns []string) ([]target, error) {
	out, err := exec.Command("go", append([]string{"test", "-list", "^Fuzz"}, patterns...)...).Output()
	if err != nil {
		return nil, fmt.Errorf("list the fuzz targets: %w", err)
	}
	var targets []target
	var names []string
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		switch {
		case len(fields) == 1 && strings.HasPrefix(fields[0], "Fuzz"):
			names = append(names, fields[0])
		case len(fields) >= 2 && fields[0] == "ok":
			for _, n := range names {
				targets = append(targets, target{fields[1], n})
			}
			names = nil
		}
	}
	if len(targets) == 0 {
		return nil, fmt.Errorf("there is no fuzz target in %s", strings.Join(patterns, " "))
	}
	return targets, nil
}
