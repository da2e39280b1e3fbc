package conformance

import (
	"strings"
	"testing"
)

// comparison holds Brig's answers to dockerd's, and the table of differences to both.
type comparison struct {
	whole bool // all scripts are run
	shown map[use]bool
}

func newComparison(whole bool) *comparison {
	return &comparison{whole: whole, shown: map[use]bool{}}
}

func (c *comparison) verb(t *testing.T, s *Script, want []Answer, r played) {
	t.Helper()
	if !complete(t, "Brig", s, r) {
		return
	}
	i := 0
	for _, l := range s.Lines {
		if l.Setup {
			continue
		}
		if i >= len(want) || want[i].Line != l.Text {
			t.Errorf("%s: the record does not have %q. Next: go test ./test/conformance -run Dockerd -update", s.Verb, l.Text)
			return
		}
		c.answer(t, s.Verb, want[i], r.Answers[i])
		i++
	}
	if i != len(want) {
		t.Errorf("%s: the record has %q, and the script has not", s.Verb, want[i].Line)
	}
}

func (c *comparison) answer(t *testing.T, verb string, want, got Answer) {
	t.Helper()
	explained, uses := applied(verb, want)
	if explained != got {
		t.Errorf("%s: Brig\n%sdockerd\n%s", verb, Record([]Answer{got}), Record([]Answer{want}))
		return
	}
	for _, u := range uses {
		c.shown[u] = true
	}
}

// end demands that each wording of each difference showed in each of its verbs.
func (c *comparison) end(t *testing.T) {
	t.Helper()
	if !c.whole || t.Failed() {
		return
	}
	for i, d := range differences {
		for j, w := range d.Wordings {
			for verb := range strings.FieldsSeq(w.Verbs) {
				if !c.shown[use{i, j, verb}] {
					t.Errorf("%s: %q in place of %q no longer shows. Next: take it out of the table", verb, w.Brig, w.Dockerd)
				}
			}
		}
	}
}
