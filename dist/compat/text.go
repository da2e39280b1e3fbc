package main

import (
	"strings"

	"github.com/brig-engine/brig/internal/daemon/policy/compat"
)

// written is an entry under one of its options: with the option's two names, unless it has words of its own.
func written(o *option, e *compat.Entry) string {
	if e.As != "" || e.Value != "" {
		return e.Written()
	}
	return o.name
}

// writtenAll is an entry with all of its options.
func writtenAll(e *compat.Entry) string {
	if e.As == "" && e.Value == "" && len(e.Flags) > 2 {
		return strings.Join(e.Flags, ", ")
	}
	return e.Written()
}

func code(s string) string { return "`" + s + "`" }

// table writes rows; what would end a cell is escaped.
func table(b *strings.Builder, head []string, rows [][]string) {
	line := func(cells []string) { b.WriteString("| " + strings.Join(cells, " | ") + " |\n") }
	line(head)
	b.WriteString(strings.Repeat("|---", len(head)) + "|\n")
	for _, r := range rows {
		cells := make([]string, len(r))
		for i, c := range r {
			cells[i] = strings.ReplaceAll(c, "|", `\|`)
		}
		line(cells)
	}
}

// fill breaks a paragraph into lines.
func fill(text string) string {
	var b strings.Builder
	width := 0
	for word := range strings.FieldsSeq(text) {
		n := len(word)
		switch {
		case width == 0:
		case width+1+n > 120:
			b.WriteByte('\n')
			width = 0
		default:
			b.WriteByte(' ')
			width++
		}
		b.WriteString(word)
		width += n
	}
	return b.String()
}
