package conformance

import (
	"regexp"
	"slices"
	"strings"
)

// Difference is one way in which Brig answers otherwise than dockerd, on purpose.
type Difference struct {
	Stream   string // Stdout or Stderr: no difference is in an exit code
	What     string // what Brig does
	Reason   string
	Wordings []Wording
}

// Wording is a text of dockerd's and what Brig says in its place. Where an answer of dockerd's, with all wordings applied,
// is Brig's answer, the two agree.
type Wording struct {
	Verbs   string         // the scripts in which it shows
	Dockerd *regexp.Regexp // as Normal leaves it
	Brig    string         // with ${1} for what the pattern has in parentheses
}

func (w *Wording) in(verb string) bool { return slices.Contains(strings.Fields(w.Verbs), verb) }

// The streams.
const (
	Stdout = "stdout"
	Stderr = "stderr"
)

// Exact are the verbs whose standard output has no difference.
var Exact = []string{"run", "exec", "logs", "ps", "cp", "inspect"}

// Most is how many differences there may be.
const Most = 10

// Differences returns all of them.
func Differences() []Difference { return differences }

// use is a wording of a difference that changed an answer of a verb.
type use struct {
	difference, wording int
	verb                string
}

// applied is dockerd's answer as Brig would give it, with the wordings that changed it.
func applied(verb string, a Answer) (Answer, []use) {
	var uses []use
	for i, d := range differences {
		for j, w := range d.Wordings {
			if !w.in(verb) {
				continue
			}
			text := &a.Stderr
			if d.Stream == Stdout {
				text = &a.Stdout
			}
			if changed := w.Dockerd.ReplaceAllString(*text, w.Brig); changed != *text {
				*text = changed
				uses = append(uses, use{i, j, verb})
			}
		}
	}
	return a, uses
}
