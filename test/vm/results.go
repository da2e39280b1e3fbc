package vm

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
)

// Result is a test that ran in a machine, with its subtests in the order of their ends.
type Result struct {
	Name     string // without that of the test above
	Action   string // pass, fail, skip; "" if it never ended
	Output   string
	Subtests []*Result
}

// Results reads what the test program said. There must be one for every test that it has.
func Results(said []byte, want []string) (*Result, error) {
	cmd := exec.Command("go", "tool", "test2json")
	cmd.Stdin = bytes.NewReader(said)
	events, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go tool test2json: %w", err)
	}
	top := &Result{}
	for line := range bytes.Lines(events) {
		var e struct{ Action, Test, Output string }
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, fmt.Errorf("%q: %w", line, err)
		}
		r := top
		if e.Test != "" {
			for name := range strings.SplitSeq(e.Test, "/") {
				r = r.sub(name)
			}
		}
		switch e.Action {
		case "output":
			r.Output += e.Output
		case "pass", "fail", "skip":
			r.Action = e.Action
		}
	}
	for _, name := range want {
		top.sub(name) // one that never began has no end
	}
	return top, nil
}

func (r *Result) sub(name string) *Result {
	for _, s := range r.Subtests {
		if s.Name == name {
			return s
		}
	}
	s := &Result{Name: name}
	r.Subtests = append(r.Subtests, s)
	return s
}
