package clients

import (
	"fmt"
	"strconv"
	"strings"
)

// Report is what a scenario printed in the Test Anything Protocol, as far as scenarios use it: results in order and,
// behind them, a plan that says how many there were.
type Report struct {
	Passed []string
	Failed []string // with what was seen instead
}

// ReadReport reads the lines of one scenario. Output that does not end with a plan of what came before it is that of a
// scenario that did not come to its end.
func ReadReport(text string) (r Report, err error) {
	planned := -1
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if count, ok := strings.CutPrefix(line, "1.."); ok {
			if planned, err = strconv.Atoi(count); err != nil {
				return r, fmt.Errorf("the plan %q: %w", line, err)
			}
		} else if what, ok := strings.CutPrefix(line, "ok - "); ok {
			r.Passed = append(r.Passed, what)
		} else if what, ok := strings.CutPrefix(line, "not ok - "); ok {
			r.Failed = append(r.Failed, what)
		}
	}
	if n := len(r.Passed) + len(r.Failed); planned != n || n == 0 {
		return r, fmt.Errorf("%d results, and the plan is %d (-1: none)", n, planned)
	}
	return r, nil
}
