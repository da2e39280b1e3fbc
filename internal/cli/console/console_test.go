package console

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

func TestDetachKeys(t *testing.T) {
	keys, err := ParseKeys("")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		in, out  string
		detached bool
	}{
		{"plain", "plain", false},
		{"a\x10\x11b", "a", true},
		{"a\x10b\x11", "a\x10b\x11", false},
		{"\x10\x10\x11", "\x10", true},
		{"end in the middle\x10", "end in the middle\x10", false},
		{"", "", false},
	} {
		for _, one := range []bool{false, true} {
			var r io.Reader = strings.NewReader(c.in)
			if one {
				r = iotest.OneByteReader(r)
			}
			got, err := io.ReadAll(&detacher{r: r, keys: keys})
			if string(got) != c.out || errors.Is(err, ErrDetached) != c.detached {
				t.Errorf("%q (byte by byte %v): passed %q, %v", c.in, one, got, err)
			}
		}
	}
}

// TestDetacherPassesEverythingBefore: what comes out is the input up to the first whole sequence, however it is cut.
func TestDetacherPassesEverythingBefore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		keys := rapid.SliceOfN(rapid.ByteRange('a', 'c'), 1, 4).Draw(t, "keys")
		in := rapid.SliceOf(rapid.ByteRange('a', 'd')).Draw(t, "in")
		size := rapid.IntRange(1, 9).Draw(t, "size")
		d := &detacher{r: bytes.NewReader(in), keys: keys}
		var got []byte
		var err error
		for buf := make([]byte, size); err == nil; {
			var n int
			n, err = d.Read(buf)
			got = append(got, buf[:n]...)
		}
		want, detached := in, false
		if i := bytes.Index(in, keys); i >= 0 {
			want, detached = in[:i], true
		}
		if !bytes.Equal(got, want) || errors.Is(err, ErrDetached) != detached {
			t.Fatalf("keys %q, in %q: passed %q, %v; want %q", keys, in, got, err, want)
		}
	})
}

func TestParseKeys(t *testing.T) {
	for in, want := range map[string]string{"": "\x10\x11", "ctrl-a": "\x01", "a,b": "ab", "ctrl-@,x": "\x00x"} {
		if got, err := ParseKeys(in); err != nil || string(got) != want {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
	for _, in := range []string{"ctrl-ä", "abc", ","} {
		if got, err := ParseKeys(in); err == nil {
			t.Errorf("%q was taken as %q", in, got)
		}
	}
}

// pair is a stream whose two directions are pipes.
type pair struct {
	io.Reader
	io.WriteCloser
	reader *io.PipeReader
}

func (p pair) CloseWrite() error { return p.WriteCloser.Close() }
func (p pair) Close() error      { p.reader.Close(); return p.WriteCloser.Close() }

func TestOutputGoesOnAfterTheInputEnded(t *testing.T) {
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	go func() {
		in, _ := io.ReadAll(inR)
		outW.Write(bytes.ToUpper(in))
		outW.Close()
	}()
	var out bytes.Buffer
	err := Pump(pair{outR, inW, outR}, Streams{In: strings.NewReader("abc"), Out: &out})
	if err != nil || out.String() != "ABC" {
		t.Errorf("%q, %v", out.String(), err)
	}
}
