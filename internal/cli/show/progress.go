package show

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/docker/go-units"
	"github.com/moby/moby/api/types/jsonstream"
)

// Progress prints the messages of a transfer until the stream ends, and returns the error that a message carries. On a
// terminal of the given width every layer has a line of its own that is rewritten; otherwise (width 0) only changes of
// state are printed, one line each. aux, if not nil, gets the messages that are for programs.
func Progress(w io.Writer, r io.Reader, width int, aux func(json.RawMessage)) error {
	p := printer{w: w, width: width, rows: make(map[string]int), last: make(map[string]string)}
	d := json.NewDecoder(r)
	for {
		var m jsonstream.Message
		err := d.Decode(&m)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("progress of the engine: %w", err)
		case m.Error != nil:
			return errors.New(m.Error.Message)
		case m.Aux != nil:
			if aux != nil {
				aux(*m.Aux)
			}
		default:
			p.print(m)
		}
	}
}

type printer struct {
	w     io.Writer
	width int
	rows  map[string]int // id → line, counted from the first
	last  map[string]string
}

func (p *printer) print(m jsonstream.Message) {
	if m.Stream != "" {
		fmt.Fprint(p.w, Clean(m.Stream, true))
		return
	}
	text := Clean(m.Status, false)
	if m.ID != "" {
		text = Clean(m.ID, false) + ": " + text
	}
	if p.width == 0 {
		// A bar that moves is one state; it is said once.
		if p.last[m.ID] != text || m.ID == "" {
			p.last[m.ID] = text
			fmt.Fprintln(p.w, text)
		}
		return
	}
	p.rewrite(m.ID, text+bar(m.Progress, p.width-len(text)))
}

// rewrite puts text on the line of id. Lines without an id end the block of lines that can still be rewritten.
func (p *printer) rewrite(id, text string) {
	text = Truncate(text, p.width-1)
	if id == "" {
		fmt.Fprintln(p.w, text)
		clear(p.rows)
		return
	}
	row, known := p.rows[id]
	if !known {
		p.rows[id] = len(p.rows)
		fmt.Fprintf(p.w, "%s\n", text)
		return
	}
	up := len(p.rows) - row
	fmt.Fprintf(p.w, "\x1b[%dA\r\x1b[2K%s\x1b[%dB\r", up, text, up)
}

// bar draws how far a transfer is, in at most room columns.
func bar(pr *jsonstream.Progress, room int) string {
	if pr == nil || pr.Current < 0 || pr.Current == 0 && pr.Total <= 0 {
		return ""
	}
	count := units.HumanSizeWithPrecision(float64(pr.Current), 3)
	if pr.Total <= 0 || pr.Current > pr.Total {
		return " " + count
	}
	count += "/" + units.HumanSizeWithPrecision(float64(pr.Total), 3)
	size := min(room-len(count)-6, 50)
	if size < 5 {
		return " " + count
	}
	full := int(float64(size) * float64(pr.Current) / float64(pr.Total))
	return " [" + strings.Repeat("=", full) + strings.Repeat(" ", size-full) + "] " + count
}
