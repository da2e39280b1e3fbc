package drill

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Choose gives the probes that only names, attacks (A3) or ids separated by commas; all if it is empty. With quick they
// are one of each attack, the headlines.
func Choose(only string, quick bool) ([]Probe, error) {
	all := Catalogue()
	if quick {
		all = slices.DeleteFunc(all, func(p Probe) bool { return !p.Headline })
	}
	if only == "" {
		return all, nil
	}
	names := strings.Split(only, ",")
	for i, name := range names {
		names[i] = strings.TrimSpace(name)
		if !slices.ContainsFunc(Catalogue(), func(p Probe) bool { return p.named(names[i]) }) {
			return nil, fmt.Errorf("--only %.64q: neither an attack nor a probe. Next: brig drill --list", name)
		}
	}
	return slices.DeleteFunc(all, func(p Probe) bool { return !slices.ContainsFunc(names, p.named) }), nil
}

func (p Probe) named(name string) bool {
	return name == p.ID || strings.EqualFold(name, string(p.Class))
}

// List writes a line for each probe: its attack, its id, what it does, and the best known case.
func List(w io.Writer, probes []Probe) {
	for _, p := range byClass(probes) {
		fmt.Fprintln(w, strings.TrimRight(fmt.Sprintf("%s  %-20s %-48s %s", p.Class, p.ID, p.Technique, p.CVE), " "))
	}
}

// ListJSON is List for programs.
func ListJSON(w io.Writer, probes []Probe) error {
	type entry struct {
		ID        string `json:"id"`
		Attack    Class  `json:"attack"`
		Technique string `json:"technique"`
		CVE       string `json:"cve,omitempty"`
	}
	list := []entry{}
	for _, p := range byClass(probes) {
		list = append(list, entry{p.ID, p.Class, p.Technique, p.CVE})
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(list)
}

// byClass orders for people; the catalogue's own order is that of running.
func byClass(probes []Probe) []Probe {
	sorted := slices.Clone(probes)
	slices.SortStableFunc(sorted, func(a, b Probe) int { return strings.Compare(string(a.Class), string(b.Class)) })
	return sorted
}

// Widths of what stands in a probe's line: the attack with the longest id, the longest technique, the longest layer.
const (
	probeWidth     = 24
	techniqueWidth = 48
	longLayer      = 36
)

// worst is the order of the table: what got through comes first, what was stopped last.
var worst = []string{Exposed, CouldNotTry, NotApplicable, Blocked}

// RenderProbes writes a line for each probe, worst first: the verdict, the attack, what was tried, and what stopped it
// if there is room. What was not stopped has a second line, which says what was seen.
func RenderProbes(w io.Writer, style Style, r *Report) {
	technique, verdict := map[string]string{}, 0
	for _, p := range Catalogue() {
		technique[p.ID] = p.Technique
	}
	sorted := slices.Clone(r.Verdicts)
	slices.SortStableFunc(sorted, func(a, b Verdict) int {
		if d := slices.Index(worst, a.Verdict) - slices.Index(worst, b.Verdict); d != 0 {
			return d
		}
		return strings.Compare(string(a.Attack), string(b.Attack))
	})
	for _, v := range sorted {
		verdict = max(verdict, len(v.Verdict)+2)
	}
	for _, v := range sorted {
		text := paintVerdict(style, v.Verdict, pad(v.Verdict, verdict)) + pad(string(v.Attack)+" "+v.Probe, probeWidth)
		room := style.Width - verdict - probeWidth
		switch {
		case style.Width != 0 && room < techniqueWidth+longLayer:
			text += cut(technique[v.Probe], room)
		case v.Verdict == Blocked:
			text += pad(technique[v.Probe], techniqueWidth) + "← " + cut(v.Layer, longLayer)
		default:
			text += technique[v.Probe]
		}
		fmt.Fprintln(w, strings.TrimRight(text, " "))
		if v.Verdict != Blocked {
			room = style.Width - verdict - len("→ ")
			if style.Width == 0 {
				room = maxDetail
			}
			fmt.Fprintln(w, pad("", verdict)+"→ "+cut(v.Detail, room))
		}
	}
	fmt.Fprintln(w, "\nWhat a line means: brig drill --explain ID")
	fmt.Fprintln(w)
}
