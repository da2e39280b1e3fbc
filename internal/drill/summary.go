package drill

import (
	"fmt"
	"slices"
	"strings"
)

// Line is what a report says about one of the seven attacks.
type Line struct {
	Class   Class    `json:"class"`
	Name    string   `json:"name"`
	Verdict string   `json:"verdict"`
	Layers  []string `json:"layers,omitempty"` // of the probes that were blocked, the most frequent first
	Detail  string   `json:"detail"`
	Tried   int      `json:"tried"` // probes that were blocked or exposed
	Exposed int      `json:"exposed"`
	Probes  int      `json:"probes"`
}

// Lines sums a report up. A class is exposed if one of its probes is. It is blocked if none was exposed, at least one
// was blocked, and its headline, if it is among the probes, could be tried; what could not be tried is never counted
// as blocked.
func (r *Report) Lines() []Line {
	headline := map[string]bool{}
	for _, p := range Catalogue() {
		headline[p.ID] = p.Headline
	}
	var lines []Line
	for _, c := range Classes() {
		l := Line{Class: c.Class, Name: c.Name, Verdict: NotApplicable, Detail: "no probe ran"}
		layers := map[string]int{}
		best := 0 // how well a verdict speaks for the class; the detail is of the first that speaks best
		for _, v := range r.Verdicts {
			if v.Attack != c.Class {
				continue
			}
			l.Probes++
			rank := 0
			untried := headline[v.Probe] && v.Verdict == CouldNotTry
			switch v.Verdict {
			case Exposed:
				rank = 5
				l.Tried++
				l.Exposed++
			case Blocked:
				rank = 3
				l.Tried++
				layers[v.Layer]++
			case CouldNotTry:
				rank = 2
			case NotApplicable:
				rank = 1
			}
			if headline[v.Probe] && v.Verdict == Blocked {
				rank++
			}
			if untried {
				rank = 4
			}
			if rank > best {
				best, l.Verdict, l.Detail = rank, v.Verdict, v.Probe+": "+v.Detail
				if headline[v.Probe] && v.Verdict == Blocked {
					l.Detail = v.Detail // the headline speaks for itself
				}
			}
		}
		l.Layers = frequent(layers)
		lines = append(lines, l)
	}
	return lines
}

// frequent orders names by how often they occur, then by name; guesses between two layers come last.
func frequent(count map[string]int) []string {
	var names []string
	for n := range count {
		if n != "" {
			names = append(names, n)
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		if ga, gb := strings.Contains(a, " or "), strings.Contains(b, " or "); ga != gb {
			if ga {
				return 1
			}
			return -1
		}
		if d := count[b] - count[a]; d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	return names
}

// Exposed counts the classes that are exposed.
func (r *Report) Exposed() int {
	n := 0
	for _, l := range r.Lines() {
		if l.Verdict == Exposed {
			n++
		}
	}
	return n
}

// layerText names the layers as the table shows them: two, and how many more. Where something got through, what
// stopped the rest is no comfort.
func (l Line) layerText() string {
	if l.Verdict != Blocked {
		return ""
	}
	if len(l.Layers) <= 2 {
		return strings.Join(l.Layers, " + ")
	}
	return strings.Join(l.Layers[:2], " + ") + fmt.Sprintf(" + %d more", len(l.Layers)-2)
}
