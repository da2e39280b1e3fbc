package conformance

import (
	"fmt"
	"strings"
)

// Script is one file of testdata: the command lines of one verb. Each line is run by sh.
type Script struct {
	Verb  string
	Lines []Line
}

// Line is one command line of a script.
type Line struct {
	Text  string
	Setup bool // sets the scene: it must succeed, and its answer is not compared
}

// The first characters of lines that mean something; "#" begins a comment.
const (
	setupMark    = "> "
	comparedMark = "$ "
)

// ParseScript reads a script.
func ParseScript(verb, text string) (*Script, error) {
	s := &Script{Verb: verb}
	for i, line := range strings.Split(text, "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if rest, ok := strings.CutPrefix(line, setupMark); ok {
			s.Lines = append(s.Lines, Line{rest, true})
		} else if rest, ok := strings.CutPrefix(line, comparedMark); ok {
			s.Lines = append(s.Lines, Line{rest, false})
		} else {
			return nil, fmt.Errorf("%s, line %d: neither a setup line (%q) nor a compared one (%q)", verb, i+1, setupMark, comparedMark)
		}
	}
	return s, nil
}

// Compared counts the command lines whose answers are compared.
func (s *Script) Compared() (n int) {
	for _, l := range s.Lines {
		if !l.Setup {
			n++
		}
	}
	return n
}

// Answer is what a command line of a script did, with names in place of what is never the same twice.
type Answer struct {
	Line           string
	Code           int
	Stdout, Stderr string
}

// Record is the text of a verb's answers, as it is committed.
func Record(answers []Answer) string {
	var b strings.Builder
	for _, a := range answers {
		fmt.Fprintf(&b, "%s%s\nexit %d\n", comparedMark, a.Line, a.Code)
		writeStream(&b, 'o', a.Stdout)
		writeStream(&b, 'e', a.Stderr)
	}
	return b.String()
}

// writeStream puts a letter and a bar before each line; a last line without its newline ends in a mark of its own.
func writeStream(b *strings.Builder, letter byte, text string) {
	for line := range strings.Lines(text) {
		whole, ended := strings.CutSuffix(line, "\n")
		if !ended {
			whole += noNewline
		}
		fmt.Fprintf(b, "%c|%s\n", letter, whole)
	}
}

const noNewline = "<no newline>"

// ParseRecord reads what Record wrote.
func ParseRecord(text string) (answers []Answer, err error) {
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if rest, ok := strings.CutPrefix(line, comparedMark); ok {
			answers = append(answers, Answer{Line: rest})
			continue
		}
		if len(answers) == 0 {
			return nil, fmt.Errorf("a record begins with %q", line)
		}
		a := &answers[len(answers)-1]
		if _, err := fmt.Sscanf(line, "exit %d", &a.Code); err == nil {
			continue
		}
		kind, said, _ := strings.Cut(line, "|")
		if whole, cut := strings.CutSuffix(said, noNewline); cut {
			said = whole
		} else {
			said += "\n"
		}
		switch kind {
		case "o":
			a.Stdout += said
		case "e":
			a.Stderr += said
		default:
			return nil, fmt.Errorf("a record has the line %q", line)
		}
	}
	return answers, nil
}
