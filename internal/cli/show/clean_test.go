package show

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

// hidden are characters that a terminal obeys, or that nobody sees: of each sort one, and all that reorder text.
const hidden = "\x00\x07\x1b\x7f\u0085\u009b\u00ad\u061c\u200b\u200d\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069" +
	"\ufeff\ufff9\U0001d173\U000e0041\r"

func TestCleanLeavesWhatIsSeen(t *testing.T) {
	for _, r := range hidden {
		if got := Clean("a"+string(r)+"b", true); got != "a\ufffdb" {
			t.Errorf("%U: %q", r, got)
		}
	}
	const seen = "Übergrößen, 名前, שם, اسم, e\u0301, 🚢 [~/.-_:]"
	if got := Clean(seen+"\n\t", true); got != seen+"\n\t" {
		t.Errorf("%q", got)
	}
	if got := Clean("a\n\tb\x9b\xff", false); got != "a\ufffd\ufffdb\ufffd\ufffd" {
		t.Errorf("%q", got)
	}
}

// However the parts of a text are cut, what is passed on is the same.
func FuzzPlain(f *testing.F) {
	f.Add([]byte("a🚢\u202eb\n\xf0\x9f"), 3)
	f.Add([]byte("\xf0\x9f\x9a\xe2\x80\xae"), 1)
	f.Fuzz(func(t *testing.T, text []byte, step int) {
		var b bytes.Buffer
		w := Plain(&b)
		for rest := text; len(rest) > 0; {
			n := min(max(step, 1), len(rest))
			if got, err := w.Write(rest[:n]); got != n || err != nil {
				t.Fatal(got, err)
			}
			rest = rest[n:]
		}
		got := b.String()
		if !utf8.ValidString(got) || strings.ContainsFunc(got, func(r rune) bool { return r != '\n' && r != '\t' && !shows(r) }) {
			t.Errorf("%q became %q", text, got)
		}
		if utf8.Valid(text) && got != Clean(string(text), true) {
			t.Errorf("%q became %q", text, got)
		}
	})
}

// A program reads from JSON what it is, and a terminal shows the same of it as of any other text.
func TestJSONKeepsAndHides(t *testing.T) {
	v := map[string]string{"label" + hidden: "value" + hidden + "名前 <&>"}
	for _, format := range []string{"json", "{{json .}}"} {
		var b bytes.Buffer
		if err := One(&b, format, v); err != nil {
			t.Fatal(err)
		}
		if got := b.String(); Clean(got, true) != got || strings.Count(got, "\n") != 1 || !strings.Contains(got, "名前 <&>") {
			t.Errorf("%s: %q", format, got)
		}
		var back map[string]string
		if err := json.Unmarshal(b.Bytes(), &back); err != nil || back["label"+hidden] != v["label"+hidden] {
			t.Errorf("%s: %v %q", format, err, back)
		}
	}
}
