package drill

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Style says how a table is drawn.
type Style struct {
	Color bool
	Width int // of the terminal, in columns; 0: as wide as the text
}

const (
	red    = "\x1b[1;31m"
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	bold   = "\x1b[1m"
	plain  = "\x1b[0m"
)

// Render writes seven lines, one for each attack, with a column per engine, and how long a container took to start.
//
// With one engine a line is: attack, verdict, layers that stopped it, and the most telling observation. With more, each
// column is a verdict with the layers (blocked) or the observation (everything else), and no line is wider than the
// terminal.
func Render(w io.Writer, style Style, reports ...*Report) {
	if len(reports) == 1 {
		renderOne(w, style, reports[0])
	} else {
		renderMany(w, style, reports)
	}
	fmt.Fprintln(w)
	for _, r := range reports {
		if len(r.StartMS) == 0 {
			fmt.Fprintf(w, "%s: no start could be measured\n", cut(r.Engine, maxDetail))
			continue
		}
		fmt.Fprintf(w, "%s: container start %.1f ms (median of %d, create to exit of true)\n", cut(r.Engine, maxDetail),
			r.StartMedian(), len(r.StartMS))
	}
	for _, r := range reports {
		for _, v := range r.Verdicts {
			if v.Verdict == CouldNotTry {
				fmt.Fprintf(w, "%s: %s could not be tried: %s\n", cut(r.Engine, maxDetail), v.Probe, cut(v.Detail, maxDetail))
			}
		}
	}
}

// Progress writes on one line of a terminal which probe is tried on an engine; done wipes it out.
func Progress(w io.Writer, engine string) (tell func(Probe), done func()) {
	return func(p Probe) { fmt.Fprintf(w, "\r\x1b[K%s: %s %s", engine, p.Class, p.Technique) },
		func() { fmt.Fprint(w, "\r\x1b[K") }
}

const (
	attackWidth = 23  // "A2 starving neighbours" and a space
	maxDetail   = 400 // where no terminal sets a limit
)

func renderOne(w io.Writer, style Style, r *Report) {
	lines := r.Lines()
	layers := 0
	for _, l := range lines {
		layers = max(layers, utf8.RuneCountInString(l.layerText()))
	}
	fmt.Fprintln(w, paint(style, bold, cut(r.Engine, maxDetail)))
	narrow := style.Width != 0 && style.Width < attackWidth+verdictWidth+layers+40
	for _, l := range lines {
		text := pad(string(l.Class)+" "+l.Name, attackWidth) + verdictCell(style, l.Verdict)
		if !narrow {
			text += pad(cut(l.layerText(), layers), layers+2)
		}
		text += count(l) + "  "
		room := style.Width - visible(text)
		if style.Width == 0 {
			room = maxDetail
		}
		fmt.Fprintln(w, strings.TrimRight(text+cut(l.Detail, room), " "))
	}
}

func renderMany(w io.Writer, style Style, reports []*Report) {
	width := 60
	if style.Width != 0 {
		width = max((style.Width-attackWidth)/len(reports), 30)
	}
	var b strings.Builder
	b.WriteString(pad("", attackWidth))
	for _, r := range reports {
		b.WriteString(paint(style, bold, pad(cut(r.Engine, width-2), width)))
	}
	fmt.Fprintln(w, strings.TrimRight(b.String(), " "))
	all := make([][]Line, len(reports))
	for i, r := range reports {
		all[i] = r.Lines()
	}
	for i, c := range Classes() {
		b.Reset()
		b.WriteString(pad(string(c.Class)+" "+c.Name, attackWidth))
		for _, lines := range all {
			l := lines[i]
			what := l.Detail
			if l.Verdict == Blocked {
				what = l.layerText()
			}
			b.WriteString(verdictCell(style, l.Verdict) + pad(cut(what, width-verdictWidth-2), width-verdictWidth))
		}
		fmt.Fprintln(w, strings.TrimRight(b.String(), " "))
	}
}

const verdictWidth = 15 // "not-applicable" and a space

func verdictCell(style Style, verdict string) string {
	return paintVerdict(style, verdict, pad(verdict, verdictWidth))
}

// paintVerdict gives a text the colour of a verdict.
func paintVerdict(style Style, verdict, text string) string {
	color := yellow
	switch verdict {
	case Exposed:
		color = red
	case Blocked:
		color = green
	}
	return paint(style, color, text)
}

// count is how many probes got through if any did, else how many were stopped.
func count(l Line) string {
	n := l.Tried
	if l.Verdict == Exposed {
		n = l.Exposed
	}
	return pad(fmt.Sprintf("%d of %d", n, l.Probes), 8)
}

func paint(style Style, color, s string) string {
	if !style.Color {
		return s
	}
	return color + s + plain
}

func pad(s string, width int) string {
	return s + strings.Repeat(" ", max(0, width-utf8.RuneCountInString(s)))
}

// cut shortens to a width; control characters, which an engine's text may hold, become spaces.
func cut(s string, width int) string {
	s = strings.Map(func(r rune) rune {
		if r < 0x20 || r >= 0x7f && r < 0xa0 || r == utf8.RuneError {
			return ' '
		}
		return r
	}, s)
	if r := []rune(s); len(r) > max(width, 10) {
		return string(r[:max(width, 10)-1]) + "…"
	}
	return s
}

// visible is the width of a text without its colours.
func visible(s string) int {
	for _, color := range []string{red, green, yellow, bold, plain} {
		s = strings.ReplaceAll(s, color, "")
	}
	return utf8.RuneCountInString(s)
}

// RenderJSON writes everything that the drill found out: per engine the seven lines, every verdict and the start times.
func RenderJSON(w io.Writer, reports ...*Report) error {
	type full struct {
		*Report
		Lines []Line `json:"lines"`
	}
	var all []full
	for _, r := range reports {
		all = append(all, full{r, r.Lines()})
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(all)
}
