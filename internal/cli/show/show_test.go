package show

import (
	"bytes"
	"strings"
	"testing"
)

type row struct {
	Labelled
	Name, Size string
}

func TestImagesCannotMoveTheCursor(t *testing.T) {
	rows := []row{{WithLabels(map[string]string{"l": "\x1b]0;title\a"}), "evil\x1b[2J\u202egpj.exe\r\n", "1\t2"}}
	columns := []Column{{"NAME", "Name"}, {"SIZE", "Size"}}
	for _, format := range []string{"", "json", "{{.Name}} {{.Label \"l\"}}", `table {{.Name}}\t{{.Size}}`} {
		var b bytes.Buffer
		if err := List(&b, format, columns, columns, rows); err != nil {
			t.Fatal(err)
		}
		if strings.ContainsAny(b.String(), "\x1b\r\a\u202e") {
			t.Errorf("format %q printed %q", format, b.String())
		}
	}
	var b bytes.Buffer
	stream := `{"status":"\u001b[1A","id":"\u001b[2K"}{"stream":"a\u001b[31m\nb\n"}`
	if err := Progress(&b, strings.NewReader(stream), 0, nil); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), "\x1b") || !strings.Contains(b.String(), "\nb\n") {
		t.Errorf("progress printed %q", b.String())
	}
}

func TestProgressOnATerminal(t *testing.T) {
	var b bytes.Buffer
	stream := `{"status":"Pulling","id":"a"}{"status":"Pulling","id":"b"}
		{"status":"Fetching","id":"a","progressDetail":{"current":5000000,"total":10000000}}
		{"status":"Fetching","id":"b","progressDetail":{"current":5}}
		{"status":"Done"}{"status":"Pulling","id":"a"}`
	if err := Progress(&b, strings.NewReader(stream), 60, nil); err != nil {
		t.Fatal(err)
	}
	want := "a: Pulling\nb: Pulling\n" +
		"\x1b[2A\r\x1b[2Ka: Fetching [=================                  ] 5MB/10MB\x1b[2B\r" +
		"\x1b[1A\r\x1b[2Kb: Fetching 5B\x1b[1B\r" +
		"Done\na: Pulling\n"
	if b.String() != want {
		t.Errorf("got\n%q\nwant\n%q", b.String(), want)
	}
}

// FuzzProgress: whatever an engine sends, the only escape sequences are our own, and nothing panics.
func FuzzProgress(f *testing.F) {
	f.Add(`{"status":"x","id":"y","progressDetail":{"current":-1,"total":9223372036854775807}}`, 80)
	f.Add(`{"errorDetail":{"message":"x"}}`, 0)
	f.Fuzz(func(t *testing.T, stream string, width int) {
		var b bytes.Buffer
		_ = Progress(&b, strings.NewReader(stream), width%300, nil)
		if width%300 == 0 && strings.Contains(b.String(), "\x1b") {
			t.Fatalf("printed %q", b.String())
		}
	})
}

func TestTruncate(t *testing.T) {
	for _, c := range []struct {
		in   string
		n    int
		want string
	}{{"abc", 3, "abc"}, {"abcd", 3, "ab…"}, {"äöüß", 3, "äö…"}, {"x", 0, "x"}} {
		if got := Truncate(c.in, c.n); got != c.want {
			t.Errorf("Truncate(%q, %d) = %q", c.in, c.n, got)
		}
	}
}
