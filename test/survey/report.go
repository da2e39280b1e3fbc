package main

import (
	"fmt"
	"io"
	"strings"
)

// The states of a row.
const (
	done    = "done"
	partly  = "partly"
	missing = "not yet"
	broken  = "FAILED"
)

// state says what the row's commands show: what is there, what is not there yet, both; or that one does not hold.
func (r *row) state() string {
	there, lacking := 0, 0
	for _, s := range r.steps {
		if s.got != nil && !s.holds() {
			return broken
		}
		if s.missing {
			lacking++
		} else {
			there++
		}
	}
	switch {
	case lacking == 0:
		return done
	case there == 0:
		return missing
	}
	return partly
}

// shows is what the row's commands showed, in words: those of its captions.
func (r *row) shows() string {
	var there, lacking []string
	for _, s := range r.steps {
		switch {
		case s.caption == "":
		case s.missing:
			lacking = append(lacking, s.caption)
		default:
			there = append(there, s.caption)
		}
	}
	switch {
	case len(there) == 0:
		return strings.Join(lacking, "; ") // the state says the rest
	case len(lacking) > 0:
		there = append(there, notYet+strings.Join(lacking, "; "))
	}
	return strings.Join(there, "; ")
}

// report prints one line for each row.
func report(w io.Writer, rows []*row) {
	for _, r := range rows {
		text := r.shows()
		switch {
		case r.state() == broken:
			text = "not what the page says: " + firstBroken(r)
		case r.skipped() > 0:
			text += fmt.Sprintf(" (%d of %d commands not typed: %s)", r.skipped(), len(r.steps), noDocker)
		}
		title := strings.ReplaceAll(r.title, "`", "")
		fmt.Fprintf(w, "%-7s %-3s %-50s %s\n", r.state(), r.id, title, text)
	}
}

func firstBroken(r *row) string {
	for _, s := range r.steps {
		if s.got != nil && !s.holds() {
			return strings.ReplaceAll(s.command, "\n", " ")
		}
	}
	return ""
}

func (r *row) skipped() (n int) {
	for _, s := range r.steps {
		if s.skipped != "" {
			n++
		}
	}
	return n
}

// explain prints what was expected and what came, for each command that did not hold, and returns their number.
func explain(w io.Writer, rows []*row) (failed int) {
	for _, r := range rows {
		for _, s := range r.steps {
			if s.got != nil && !s.holds() {
				failed++
				fmt.Fprint(w, "\n"+r.id+", "+s.difference())
			}
		}
	}
	return failed
}

func (s *step) difference() string {
	return fmt.Sprintf("line %d of the page:\n$ %s\n--- the page says\n%s--- it answered\n%s", s.from, s.command, join(s.want.text()), join(s.got.text()))
}

// tally counts rows by state.
func tally(rows []*row) string {
	count := map[string]int{}
	for _, r := range rows {
		count[r.state()]++
	}
	text := fmt.Sprintf("%d rows", len(rows))
	for _, s := range []string{done, partly, missing, broken} {
		text += fmt.Sprintf(", %d %s", count[s], s)
	}
	return text
}

// summary is the page's table of rows. States of a run that failed are not written: the page says what holds.
func (p *page) summary() []string {
	lines := []string{"", "| row | state | point | the commands show |", "|---|---|---|---|"}
	for _, r := range p.rows {
		state := r.state()
		if state == broken {
			state = "**" + broken + "**"
		}
		lines = append(lines, fmt.Sprintf("| %s | %s | %s | %s |", r.id, state, r.title, strings.ReplaceAll(r.shows(), "|", `\|`)))
	}
	return append(lines, "")
}
