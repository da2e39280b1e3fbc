package log

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestAnyTornEndIsSurvived cuts a file anywhere, as a kill in the middle of a write does: what was whole is read, and so is
// what comes next.
func TestAnyTornEndIsSurvived(t *testing.T) {
	inBothFormats(t, func(t *testing.T, newLog func(t testing.TB, size int64, files int) *Log) {
		l := newLog(t, 1<<20, 2)
		var ends []int64
		for _, s := range []string{"one\n", "tw\xb5o\n", "three\n"} {
			if err := l.Append(Stderr, time.Unix(7, 8), []byte(s)); err != nil {
				t.Fatal(err)
			}
			st, err := os.Stat(l.files.numbered(0))
			if err != nil {
				t.Fatal(err)
			}
			ends = append(ends, st.Size())
		}
		whole, err := os.ReadFile(l.files.numbered(0))
		if err != nil {
			t.Fatal(err)
		}
		all := strings.SplitAfter(strings.TrimSuffix(text(t, l, both(-1)), "\n"), "\n")
		for cut := range len(whole) + 1 {
			want := ""
			for i, end := range ends {
				if int64(cut) >= end {
					want += strings.TrimSuffix(all[i], "\n") + "\n"
				}
			}
			for _, readFirst := range []bool{true, false} {
				if err := os.WriteFile(l.files.numbered(0), whole[:cut], 0o600); err != nil {
					t.Fatal(err)
				}
				next := New(l.dir, l.opt, Source{}) // of the next brigd
				if readFirst {
					if got := text(t, next, both(-1)); got != want {
						t.Fatalf("cut at %d: %q, want %q", cut, got, want)
					}
				}
				if err := next.Append(Stdout, time.Now(), []byte("next\n")); err != nil {
					t.Fatal(err)
				}
				if got := text(t, next, both(-1)); got != want+"next\n" {
					t.Fatalf("cut at %d, and next: %q, want %q", cut, got, want+"next\n")
				}
			}
		}
	})
}

// TestADamagedByteCostsOneRecord, wherever it is: it is read on behind it.
func TestADamagedByteCostsOneRecord(t *testing.T) {
	l := newLogOf(t, DriverLocal, 1<<20, 2)
	for i := range 5 {
		if err := l.Append(Stdout, time.Unix(1, 0), fmt.Appendf(nil, "line %d\xb5\n", i)); err != nil {
			t.Fatal(err)
		}
	}
	whole, err := os.ReadFile(l.files.numbered(0))
	if err != nil {
		t.Fatal(err)
	}
	all := text(t, l, both(-1))
	for at := range whole {
		b := bytes.Clone(whole)
		b[at] ^= 0x55
		if err := os.WriteFile(l.files.numbered(0), b, 0o600); err != nil {
			t.Fatal(err)
		}
		hit := at * 5 / len(whole)
		want := strings.Replace(all, fmt.Sprintf("line %d\xb5\n", hit), "", 1)
		if got := text(t, New(l.dir, l.opt, Source{}), both(-1)); got != want && got != all { // the second length only says where the end is
			t.Errorf("byte %d: %q, want %q", at, got, want)
		}
	}
}

// TestNothingIsTornByAFullDisk: what a write did not get rid of comes first in the next one.
func TestNothingIsTornByAFullDisk(t *testing.T) {
	inBothFormats(t, func(t *testing.T, newLog func(t testing.TB, size int64, files int) *Log) {
		l := newLog(t, 1<<20, 2)
		if err := l.Append(Stdout, time.Now(), []byte("one\ntwo\n")); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(l.files.numbered(0))
		if err != nil {
			t.Fatal(err)
		}
		n := len(b) - 10
		if err := os.Truncate(l.files.numbered(0), int64(n)); err != nil {
			t.Fatal(err)
		}
		l.files.rest = b[n:]
		if err := l.Append(Stdout, time.Now(), []byte("three\n")); err != nil {
			t.Fatal(err)
		}
		if got := text(t, l, both(-1)); got != "one\ntwo\nthree\n" {
			t.Errorf("%q", got)
		}
	})
}

func TestLocalKeepsBytesAsTheyAre(t *testing.T) {
	l := newLogOf(t, DriverLocal, 1<<20, 2)
	want := "bad \xff\xfe byte\x00\xb5\x01\n" + strings.Repeat("\x80", 3*MaxLine) + "\nend"
	at := time.Unix(1700000000, 123456789)
	if err := l.Append(Stderr, at, []byte(want)); err != nil {
		t.Fatal(err)
	}
	if got := text(t, l, both(-1)); got != want {
		t.Errorf("%d bytes of %d", len(got), len(want))
	}
	err := l.Read(context.Background(), both(-1), func(r Record) error {
		if !r.Time.Equal(at) || r.Stream != Stderr {
			t.Errorf("record of stream %d at %v", r.Stream, r.Time)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestDetailsAreKeptOverRotationsAndRuns: what is noted stands beside each line, in whatever file it is.
func TestDetailsAreKeptOverRotationsAndRuns(t *testing.T) {
	for _, driver := range []string{DriverJSON, DriverLocal} {
		name := "first"
		o := Options{Driver: driver, MaxSize: 64 << 10, MaxFiles: 10, Choice: Choice{Labels: "l", Tag: "{{.Name}}"}}
		l := New(filepath.Join(t.TempDir(), "log"), o, Source{Info: func() Info {
			return Info{ID: "x", Name: name, Labels: map[string]string{"l": "a, b=c"}}
		}})
		for range 2 {
			l.Begin()
			for range 100 {
				if err := l.Append(Stdout, time.Now(), []byte(strings.Repeat("x", 1000)+"\n")); err != nil {
					t.Fatal(err)
				}
			}
			l.End()
			name = "renamed"
		}
		n := 0
		q := both(-1)
		q.Details = true
		err := l.Read(context.Background(), q, func(r Record) error {
			tag := "first"
			if n++; n > 100 {
				tag = "renamed"
			}
			if got, want := fmt.Sprint(r.Attrs), "[{l a, b=c} {tag "+tag+"}]"; got != want {
				t.Fatalf("%s: record %d has %s, want %s", driver, n, got, want)
			}
			return nil
		})
		if err != nil || n != 200 {
			t.Errorf("%s: %d records, %v", driver, n, err)
		}
		if got := strings.Count(text(t, l, both(7)), "\n"); got != 7 {
			t.Errorf("%s: the last 7 are %d", driver, got)
		}
	}
}

func TestCompressedFilesAreReadAsPlainOnes(t *testing.T) {
	inBothFormats(t, func(t *testing.T, newLog func(t testing.TB, size int64, files int) *Log) {
		l := newLog(t, 64<<10, 4)
		l.files.compress = true
		l.Begin()
		followed := make(chan string)
		go func() {
			q := both(-1)
			q.Follow = true
			followed <- text(t, l, q)
		}()
		want := ""
		for i := range 3000 {
			line := fmt.Sprintf("line %d %s\n", i, strings.Repeat("y", 50))
			want += line
			if err := l.Append(Stdout, time.Now(), []byte(line)); err != nil {
				t.Fatal(err)
			}
		}
		l.files.zip.Wait()
		got := text(t, l, both(-1))
		if !strings.HasSuffix(want, got) || len(got) < 100<<10 {
			t.Errorf("%d bytes", len(got))
		}
		if tail := text(t, l, both(1000)); !strings.HasSuffix(want, tail) || strings.Count(tail, "\n") != 1000 {
			t.Errorf("the last lines: %d bytes", len(tail))
		}
		entries, _ := filepath.Glob(l.dir + "/*.gz")
		if len(entries) != 3 {
			t.Errorf("compressed files: %v", entries)
		}
		l.End()
		if f := <-followed; !strings.HasSuffix(want, f) {
			t.Errorf("followed: %d bytes", len(f))
		}
		// A kill left both forms of a file: it counts once, and the next rotations leave none behind.
		plain, err := os.ReadFile(l.files.numbered(0))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(l.files.numbered(1), plain, 0o600); err != nil {
			t.Fatal(err)
		}
		for range 4 {
			if f, err := l.files.rotate(l.files.numbered(0)); err != nil {
				t.Fatal(err)
			} else {
				f.Close()
			}
		}
		l.files.zip.Wait()
		if got := text(t, l, both(-1)); got != "" {
			t.Errorf("after as many rotations as there are files: %d bytes", len(got))
		}
	})
}

// FuzzLocal reads anything as a file of the driver local, and goes on writing behind it.
func FuzzLocal(f *testing.F) {
	x := newBinary([]Attr{{"k", "v"}})
	good := x.record(x.record(x.head(nil), Stdout, time.Unix(1, 2), []byte("one\n")), Stderr, time.Unix(3, 4), []byte("\xb5"))
	f.Add(good, 0)
	f.Add(append([]byte("\xb5\x01\xff\xff\xff\x00"), good...), 3)
	f.Add(good[:len(good)-3], 1)
	f.Fuzz(func(t *testing.T, b []byte, tail int) {
		l := newLogOf(t, DriverLocal, 1<<30, 2)
		if err := os.Mkdir(l.dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(l.files.numbered(0), b, 0o600); err != nil {
			t.Fatal(err)
		}
		count := func(l *Log, q Query) (n int, last string) {
			err := l.Read(context.Background(), q, func(r Record) error {
				n++
				last = string(r.Text)
				if len(r.Text) > maxText || r.Stream < Stdout || r.Stream > Stderr {
					t.Fatalf("a record of %d bytes of stream %d", len(r.Text), r.Stream)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			return n, last
		}
		q := both(-1)
		q.Details = true
		n, _ := count(l, q)
		next := New(l.dir, l.opt, Source{})
		if err := next.Append(Stdout, time.Now(), []byte("next\n")); err != nil {
			t.Fatal(err)
		}
		if after, last := count(next, q); after != n+1 || last != "next\n" {
			t.Fatalf("%d records became %d, the last one is %q", n, after, last)
		}
		if after, _ := count(next, both(tail&3)); after != min(n+1, tail&3) {
			t.Fatalf("a tail of %d has %d", tail&3, after)
		}
	})
}
