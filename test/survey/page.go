package main

import (
	"fmt"
	"regexp"
	"strings"
)

// page is docs/survey.md: prose that is kept as it is, rows with commands and answers, and one table that the run writes.
type page struct {
	lines []string
	rows  []*row
	table [2]int // the lines of the table, from and to
}

// row is one point of the survey, or one of its own commands.
type row struct {
	id, title string
	prose     string
	steps     []*step
}

// step is a command and its answer. Without a command it is a remark: something that nothing can be typed for.
type step struct {
	line    int    // of its caption in the page
	caption string // what the answer shows; "": as the step before
	missing bool   // it shows what is not there yet
	command string
	want    answer
	from    int // the lines of the answer in the page
	to      int

	got      *answer // nil: was not executed
	accepted bool    // got is to be the page's answer from now on
	skipped  string  // why
}

// answer is what a command prints, and its exit status.
type answer struct {
	lines  []string
	status int
}

const (
	tableHeading = "## What the run showed"
	notYet       = "not yet: "
)

var (
	rowHeading = regexp.MustCompile(`^### ([A-Z]\d+) (.+)$`)
	statusLine = regexp.MustCompile(`^\(exit status (\d+)\)$`)
)

// parse reads the page. What looks like a command and would not be executed is an error: nothing stands there untried.
func parse(text string) (*page, error) {
	p := &page{lines: strings.Split(text, "\n")}
	var r *row
	for i := 0; i < len(p.lines); i++ {
		line := p.lines[i]
		switch {
		case strings.HasPrefix(line, "#"):
			r = nil
			if m := rowHeading.FindStringSubmatch(line); m != nil {
				r = &row{id: m[1], title: m[2]}
				p.rows = append(p.rows, r)
			} else if line == tableHeading {
				p.table[0] = i + 1
				for i+1 < len(p.lines) && !strings.HasPrefix(p.lines[i+1], "#") {
					i++
				}
				p.table[1] = i + 1
			}
		case line == "```console" && r != nil:
			end, err := r.console(p.lines, i+1)
			if err != nil {
				return nil, err
			}
			i = end
		case r != nil && (strings.HasPrefix(line, "```") || strings.HasPrefix(line, "    ")):
			return nil, fmt.Errorf("line %d: a row's commands stand in a block that begins with ```console", i+1)
		case r != nil:
			r.prose += line + " "
		}
	}
	if p.table[0] == 0 {
		return nil, fmt.Errorf("there is no %q", tableHeading)
	}
	return p, nil
}

// says tells whether a sentence of the row's prose begins with one of the words Default, On request, Not yet.
func (r *row) says(word string) bool {
	return regexp.MustCompile(`(^|[.)] )` + word).MatchString(strings.TrimLeft(r.prose, " "))
}

// console reads a block: a caption ("# …"), a command ("$ …", continued by "> …"), its answer, and again.
func (r *row) console(lines []string, i int) (end int, err error) {
	var s *step
	for ; i < len(lines); i++ {
		line := lines[i]
		fresh := s != nil && s.command == "" // has its caption only
		switch {
		case line == "```":
			return i, nil
		case strings.HasPrefix(line, "# "):
			s = &step{line: i + 1, caption: line[2:]}
			s.caption, s.missing = strings.CutPrefix(s.caption, notYet)
			r.steps = append(r.steps, s)
		case s == nil:
			return 0, fmt.Errorf("line %d: a block begins with a caption, # and what the command shows", i+1)
		case strings.HasPrefix(line, "$ ") && fresh:
			s.command = line[2:]
			s.from, s.to = i+1, i+1
		case strings.HasPrefix(line, "$ "): // another command for the same caption
			s = &step{line: s.line, missing: s.missing, command: line[2:], from: i + 1, to: i + 1}
			r.steps = append(r.steps, s)
		case fresh:
			return 0, fmt.Errorf("line %d: a caption is followed by a command", i+1)
		case strings.HasPrefix(line, "> ") && s.to == i && len(s.want.lines) == 0:
			s.command += "\n" + line[2:]
			s.from, s.to = i+1, i+1
		default:
			s.to = i + 1
			if m := statusLine.FindStringSubmatch(line); m != nil {
				fmt.Sscan(m[1], &s.want.status) // digits
				continue
			}
			s.want.lines = append(s.want.lines, line)
		}
	}
	return 0, fmt.Errorf("the block of %s does not end", r.id)
}

// accept takes what the commands answered for what they are to answer.
func (p *page) accept() {
	for _, r := range p.rows {
		for _, s := range r.steps {
			if s.got != nil && !s.holds() {
				s.want, s.accepted = answer{escape(s.got.lines), s.got.status}, true
			}
		}
	}
}

// escape keeps answers from being read as something else in the page.
func escape(lines []string) []string {
	out := make([]string, len(lines))
	for i, line := range lines {
		if strings.HasPrefix(line, "# ") || strings.HasPrefix(line, "$ ") || strings.HasPrefix(line, "```") || statusLine.MatchString(line) {
			line = gap + line[1:]
		}
		out[i] = line
	}
	return out
}

// render writes the page, with the table of this run and the answers that were accepted.
func (p *page) render() string {
	var out []string
	at := 0
	replace := func(from, to int, with []string) {
		out = append(append(out, p.lines[at:from]...), with...)
		at = to
	}
	replace(p.table[0], p.table[1], p.summary())
	for _, r := range p.rows {
		for _, s := range r.steps {
			if s.accepted {
				replace(s.from, s.to, s.want.text())
			}
		}
	}
	return strings.Join(append(out, p.lines[at:]...), "\n")
}

// text is the answer as it stands in the page.
func (a *answer) text() []string {
	lines := a.lines
	if a.status != 0 {
		lines = append(lines[:len(lines):len(lines)], fmt.Sprintf("(exit status %d)", a.status))
	}
	return lines
}
