package conformance

import (
	"regexp"
	"slices"
)

// Difference is one way in which Brig answers otherwise than dockerd, on purpose. Where an answer of dockerd's, after
// Pattern in it was replaced by Brig, is Brig's answer, the two agree.
type Difference struct {
	Verbs   []string       // scripts in which it shows
	Stream  string         // Stdout or Stderr
	Pattern *regexp.Regexp // what dockerd says
	Brig    string         // what Brig says instead
	Reason  string
}

// The streams.
const (
	Stdout = "stdout"
	Stderr = "stderr"
)

// Exact are the verbs whose standard output has no difference.
var Exact = []string{"run", "exec", "logs", "ps", "cp", "inspect"}

// Differences returns all of them.
func Differences() []Difference { return differences }

var differences = []Difference{}

// applied is dockerd's answer as Brig would give it, with the numbers of the differences that changed it.
func applied(verb string, a Answer) (Answer, []int) {
	var used []int
	for i, d := range differences {
		if !slices.Contains(d.Verbs, verb) {
			continue
		}
		text := &a.Stderr
		if d.Stream == Stdout {
			text = &a.Stdout
		}
		if changed := d.Pattern.ReplaceAllString(*text, d.Brig); changed != *text {
			*text = changed
			used = append(used, i)
		}
	}
	return a, used
}
