package main

import (
	"regexp"
	"strings"
)

// gap stands in an expected answer for what is different each time: in a line for any part of it, alone for any number of
// lines.
const gap = "…"

// holds tells whether the command answered what the page says: every line, in order, and the exit status.
func (s *step) holds() bool {
	return s.got != nil && s.got.status == s.want.status && pattern(s.want.lines).MatchString(join(s.got.lines))
}

// pattern is a regular expression for the lines.
func pattern(lines []string) *regexp.Regexp {
	var b strings.Builder
	b.WriteString(`\A`)
	for _, line := range lines {
		if line == gap {
			b.WriteString(`(?:.*\n)*?`)
			continue
		}
		for i, part := range strings.Split(line, gap) {
			if i > 0 {
				b.WriteString(`.*`)
			}
			b.WriteString(regexp.QuoteMeta(part))
		}
		b.WriteString(`\n`)
	}
	b.WriteString(`\z`)
	return regexp.MustCompile(b.String())
}

func join(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return strings.Join(lines, "\n") + "\n"
}

// vague tells whether an expected answer would hold for a command that does something else: nothing of it is said.
func (s *step) vague() bool {
	if s.want.status != 0 || len(s.want.lines) == 0 {
		return false // a failure, or silence, is something to hold a command to
	}
	return strings.Trim(join(s.want.lines), gap+" \n") == ""
}

// clean makes of what a command printed the lines that the page can hold: no carriage returns of terminals, no blanks at
// ends of lines, no empty lines at the end.
func clean(out string) []string {
	lines := strings.Split(strings.ReplaceAll(out, "\r", ""), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " \t")
	}
	for len(lines) > 0 && lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	return lines
}
