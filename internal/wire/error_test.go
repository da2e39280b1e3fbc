package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/containerd/errdefs"
)

// TestClassesSurviveTheWire with the sentence and the code, however deep the class was wrapped.
func TestClassesSurviveTheWire(t *testing.T) {
	for name, class := range classes {
		for depth, err := range []error{
			class,
			fmt.Errorf("remove x: %w", class),
			fmt.Errorf("%w: because: %w", class, errors.New("inner")),
			fmt.Errorf("remove x: %w", &Error{Class: name, Text: "no", Code: 126}),
		} {
			b, merr := json.Marshal(ToError(err))
			if merr != nil {
				t.Fatal(merr)
			}
			var got Error
			if err := DecodeStrict(b, &got); err != nil {
				t.Fatal(err)
			}
			if got.Class != name || got.Error() != err.Error() || !errors.Is(fmt.Errorf("again: %w", &got), class) {
				t.Errorf("%s, %d: %v became %+v", name, depth, err, got)
			}
			var inner *Error
			if errors.As(err, &inner) && got.Code != inner.Code {
				t.Errorf("%s: code %d became %d", name, inner.Code, got.Code)
			}
		}
	}
}

// TestErrorWithoutAClassStaysWithout, and a class that nobody knows is none.
func TestErrorWithoutAClassStaysWithout(t *testing.T) {
	e := ToError(errors.New("plain"))
	if e.Class != "unknown" || e.Text != "plain" || e.Unwrap() != nil {
		t.Errorf("%+v unwraps to %v", e, e.Unwrap())
	}
	if e := (&Error{Class: "not_found\x00"}); e.Unwrap() != nil || errdefs.IsNotFound(e) {
		t.Error("an unknown class means something")
	}
}

// TestLongSentenceFitsAPacket and is cut between two characters.
func TestLongSentenceFitsAPacket(t *testing.T) {
	for _, word := range []string{"x", "é", "€", "😀", "\x00", "\xff", "<"} {
		for pad := range 4 {
			e := ToError(errors.New(strings.Repeat("-", pad) + strings.Repeat(word, MaxBody/len(word))))
			if len(e.Text) > maxText+len("…") || !utf8.ValidString(e.Text) && word != "\xff" {
				t.Errorf("%q: %d bytes, valid %v", word, len(e.Text), utf8.ValidString(e.Text))
			}
			a, b := connPair(t)
			if err := a.Send(&Frame{ID: 1, Error: e}, nil); err != nil {
				t.Errorf("%q: %v", word, err)
			} else if _, _, err := b.Receive(); err != nil {
				t.Errorf("%q: %v", word, err)
			}
			a.Close()
			b.Close()
		}
	}
}
