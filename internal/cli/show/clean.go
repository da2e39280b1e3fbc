package show

import (
	"bytes"
	"io"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// shows tells whether a terminal shows a character, and nothing but it: no control character, none that reorders what is shown
// around it or is not seen (bidirectional and other format characters), and no end of a line of another name.
func shows(r rune) bool { return !unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) }

// Clean replaces what is not shown. Line feeds and tabs stay if keepLines is set.
func Clean(s string, keepLines bool) string {
	return strings.Map(func(r rune) rune {
		if keepLines && (r == '\n' || r == '\t') || shows(r) {
			return r
		}
		return utf8.RuneError
	}, s)
}

// Plain is a writer that passes text on as Clean does, with its lines and tabs.
func Plain(w io.Writer) io.Writer { return &plain{w: w} }

type plain struct {
	w    io.Writer
	half []byte // the beginning of a character whose end has not come yet
}

func (p *plain) Write(b []byte) (int, error) {
	text := append(p.half, b...)
	whole := len(text)
	for back := 1; back < utf8.UTFMax && back <= len(text); back++ {
		if at := len(text) - back; utf8.RuneStart(text[at]) {
			if !utf8.FullRune(text[at:]) {
				whole = at
			}
			break
		}
	}
	if _, err := io.WriteString(p.w, Clean(string(text[:whole]), true)); err != nil {
		return 0, err
	}
	p.half = bytes.Clone(text[whole:])
	return len(b), nil
}

// EscapeJSON writes what is not shown in a JSON text as JSON has it: a program reads the same, and a terminal is told nothing.
func EscapeJSON(text []byte) []byte {
	var out bytes.Buffer
	for _, r := range string(text) {
		if r == '\n' || shows(r) {
			out.WriteRune(r)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			const digits = "0123456789abcdef"
			out.Write([]byte{'\\', 'u', digits[unit>>12], digits[unit>>8&15], digits[unit>>4&15], digits[unit&15]})
		}
	}
	return out.Bytes()
}
