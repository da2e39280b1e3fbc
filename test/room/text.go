package room

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// Table is one table of Markdown; a row is its cells.
type Table struct {
	Head  []string
	Rows  [][]string
	Words int // columns at the left that hold words; the others hold figures
}

// Add adds a row.
func (t *Table) Add(cells ...string) { t.Rows = append(t.Rows, cells) }

// String pads the columns, so that the text can be read as it is.
func (t *Table) String() string {
	width := make([]int, len(t.Head))
	for _, row := range append([][]string{t.Head}, t.Rows...) {
		for i, cell := range row {
			width[i] = max(width[i], len([]rune(cell)), 3)
		}
	}
	var b strings.Builder
	line := func(row []string) {
		for i, cell := range row {
			pad := strings.Repeat(" ", width[i]-len([]rune(cell)))
			if i < t.Words {
				fmt.Fprintf(&b, "| %s%s ", cell, pad)
			} else {
				fmt.Fprintf(&b, "| %s%s ", pad, cell)
			}
		}
		b.WriteString("|\n")
	}
	line(t.Head)
	for i, w := range width {
		rule := strings.Repeat("-", w+1)
		if i < t.Words {
			b.WriteString("|" + rule + "-")
		} else {
			b.WriteString("|" + rule + ":")
		}
	}
	b.WriteString("|\n")
	for _, row := range t.Rows {
		line(row)
	}
	return b.String()
}

// Cell makes a text of any origin fit for a table.
func Cell(s string) string {
	const most = 160
	s = strings.ReplaceAll(FirstLine(s), "|", "/")
	if runes := []rune(s); len(runes) > most {
		s = string(runes[:most]) + "…"
	}
	return s
}

// FirstLine is a text up to its first newline.
func FirstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// Note tells the person who waits what is being done.
func Note(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%s "+format+"\n", append([]any{time.Now().Format("15:04:05")}, args...)...)
}
