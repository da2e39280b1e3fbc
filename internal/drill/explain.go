package drill

import (
	"embed"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
)

// An explanation is a file of four sections, each a heading alone on its line and text below it:
//
//	TRIED      what the attacker does, in words of a person who runs containers
//	OTHERWISE  what would have happened without a defence, with the case that made it known
//	STOPS      what stops it in Brig, outermost first
//	WHERE      a line for each place in the code: its path, and a name that stands in that file
//
//go:embed explain/*.txt
var explanations embed.FS

// Place is where in the code a defence is.
type Place struct {
	File string `json:"file"` // path in the repository
	Name string `json:"name"` // what to look for in it
}

// Explanation says of a probe what a person needs to know to judge its verdict.
type Explanation struct {
	ID        string  `json:"id"`
	Attack    Class   `json:"attack"`
	Technique string  `json:"technique"`
	CVE       string  `json:"cve,omitempty"`
	Tried     string  `json:"tried"`
	Otherwise string  `json:"otherwise"`
	Stops     string  `json:"stops"`
	Where     []Place `json:"where"`

	outside bool // only tried with --outside
}

// Explain tells what a probe does, and what it would do without defences.
func Explain(id string) (Explanation, error) {
	i := slices.IndexFunc(Catalogue(), func(p Probe) bool { return p.ID == id })
	if i < 0 {
		return Explanation{}, fmt.Errorf("--explain %.64q: no probe has this id. Next: brig drill --list", id)
	}
	p := Catalogue()[i]
	text, err := explanations.ReadFile("explain/" + id + ".txt")
	if err != nil {
		return Explanation{}, fmt.Errorf("explain %s: %w", id, err)
	}
	e := Explanation{ID: p.ID, Attack: p.Class, Technique: p.Technique, CVE: p.CVE,
		outside: p.Needs&NeedOutside != 0}
	section := ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		switch line {
		case "TRIED", "OTHERWISE", "STOPS", "WHERE":
			section = line
			continue
		case "":
			continue
		}
		switch section {
		case "TRIED":
			e.Tried = strings.TrimSpace(e.Tried + " " + line)
		case "OTHERWISE":
			e.Otherwise = strings.TrimSpace(e.Otherwise + " " + line)
		case "STOPS":
			e.Stops = strings.TrimSpace(e.Stops + " " + line)
		case "WHERE":
			file, name, _ := strings.Cut(line, " ")
			e.Where = append(e.Where, Place{file, strings.TrimSpace(name)})
		default:
			return Explanation{}, fmt.Errorf("explain %s: %q stands before the first heading", id, line)
		}
	}
	return e, nil
}

// Render writes an explanation for people, in lines of at most width columns (0: 100).
func (e Explanation) Render(w io.Writer, style Style) {
	width := min(style.Width, 100)
	if width <= 0 {
		width = 100
	}
	room := max(width-explainIndent, 20)
	head := string(e.Attack)
	for _, c := range Classes() {
		if c.Class == e.Attack {
			head += " " + c.Name
		}
	}
	fmt.Fprintln(w, paint(style, bold, head+": "+e.ID))
	again := "sudo brig drill --only " + e.ID
	if e.outside {
		again += " --outside"
	}
	for _, s := range []struct {
		name  string
		lines []string
	}{
		{"Technique", wrap(e.Technique, room)}, {"Known case", wrap(e.CVE, room)}, {"Tried", wrap(e.Tried, room)},
		{"Otherwise", wrap(e.Otherwise, room)}, {"Stopped by", wrap(e.Stops, room)}, {"In the code", e.places(room)},
		{"Try it", []string{again}},
	} {
		hang(w, style, s.name, s.lines)
	}
}

// places are the lines of the places in the code: the names in a column of their own, or below the files if room is
// too narrow for both.
func (e Explanation) places(room int) (lines []string) {
	files, names := 0, 0
	for _, p := range e.Where {
		files, names = max(files, visible(p.File)), max(names, visible(p.Name))
	}
	for _, p := range e.Where {
		if files+2+names <= room {
			lines = append(lines, pad(p.File, files+2)+p.Name)
		} else {
			lines = append(lines, p.File, "  "+p.Name)
		}
	}
	return lines
}

// RenderJSON is Render for programs.
func (e Explanation) RenderJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(e)
}

const explainIndent = 13 // "In the code" and two spaces

// hang writes lines beside a name, which stands in front of the first.
func hang(w io.Writer, style Style, name string, lines []string) {
	for i, line := range lines {
		margin := pad("", explainIndent)
		if i == 0 {
			margin = paint(style, bold, name) + pad("", explainIndent-visible(name))
		}
		fmt.Fprintln(w, margin+line)
	}
}

// wrap breaks a text into lines of at most width characters; a longer word has a line of its own.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && visible(line)+1+visible(word) > width {
			lines, line = append(lines, line), ""
		}
		line = strings.TrimSpace(line + " " + word)
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}
