package drill

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A reader who has never seen the project looks up a line of the drill, and finds the code that the text speaks of.
func TestEveryProbeIsExplained(t *testing.T) {
	known := map[string]bool{}
	for _, p := range Catalogue() {
		known[p.ID+".txt"] = true
		if len(p.Technique) >= techniqueWidth {
			t.Errorf("%s: %q is too long for a line of the table", p.ID, p.Technique)
		}
		e, err := Explain(p.ID)
		if err != nil {
			t.Error(err)
			continue
		}
		for section, text := range map[string]string{"TRIED": e.Tried, "OTHERWISE": e.Otherwise, "STOPS": e.Stops} {
			if len(text) < 40 || len(text) > 700 || !strings.HasSuffix(text, ".") {
				t.Errorf("%s: %s is not what a person wants to read: %q", p.ID, section, text)
			}
		}
		if len(e.Where) == 0 {
			t.Errorf("%s: no place in the code", p.ID)
		}
		for _, place := range e.Where {
			code, err := os.ReadFile(filepath.Join("../..", place.File))
			if err != nil || place.Name == "" || !strings.Contains(string(code), place.Name) {
				t.Errorf("%s: %q is not in %s (%v)", p.ID, place.Name, place.File, err)
			}
		}
	}
	entries, err := explanations.ReadDir("explain")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !known[e.Name()] {
			t.Errorf("%s explains no probe", e.Name())
		}
	}
}

func TestExplanationFitsTheTerminal(t *testing.T) {
	e, err := Explain("open-by-handle")
	if err != nil {
		t.Fatal(err)
	}
	var wide, narrow bytes.Buffer
	e.Render(&wide, Style{})
	golden(t, "explain.txt", wide.Bytes())
	e.Render(&narrow, Style{Width: 60, Color: true})
	golden(t, "explain-narrow.txt", narrow.Bytes())
	for _, p := range Catalogue() {
		e, err := Explain(p.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, width := range []int{100, 80} {
			var text bytes.Buffer
			e.Render(&text, Style{Width: width})
			for line := range strings.Lines(text.String()) {
				if visible(strings.TrimSuffix(line, "\n")) > width {
					t.Errorf("%s, width %d: %q", p.ID, width, line)
				}
			}
		}
	}
	if _, err := Explain("nope"); err == nil || !strings.Contains(err.Error(), "brig drill --list") {
		t.Errorf("%v", err)
	}
}
