package log

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func newLog(t testing.TB, size int64, files int) *Log { return newLogOf(t, DriverJSON, size, files) }

func newLogOf(t testing.TB, driver string, size int64, files int) *Log {
	return New(filepath.Join(t.TempDir(), "log"), Options{Driver: driver, MaxSize: size, MaxFiles: files}, Source{})
}

// inBothFormats runs a test with logs of both drivers that keep files.
func inBothFormats(t *testing.T, f func(t *testing.T, newLog func(t testing.TB, size int64, files int) *Log)) {
	for _, driver := range []string{DriverJSON, DriverLocal} {
		t.Run(driver, func(t *testing.T) {
			f(t, func(t testing.TB, size int64, files int) *Log { return newLogOf(t, driver, size, files) })
		})
	}
}

func text(t testing.TB, l *Log, q Query) string {
	t.Helper()
	var b strings.Builder
	if err := l.Read(context.Background(), q, func(r Record) error { b.Write(r.Text); return nil }); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func both(tail int) Query { return Query{Stdout: true, Stderr: true, Tail: tail} }

func TestWhatWasWrittenIsReadBack(t *testing.T) {
	l := newLog(t, 1<<20, 3)
	at := time.Unix(100, 5)
	for i, p := range []string{"one\ntwo\n", "\x00\x1f\"\\\t\u2028é\n", "bad \xff byte\n", "end"} {
		if err := l.Append(byte(1+i%2), at.Add(time.Duration(i)*time.Second), []byte(p)); err != nil {
			t.Fatal(err)
		}
	}
	want := "one\ntwo\n\x00\x1f\"\\\t\u2028é\nbad \ufffd byte\nend"
	if got := text(t, l, both(-1)); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	for tail, want := range map[int]string{0: "", 1: "end", 2: "bad \ufffd byte\nend", 99: want} {
		if got := text(t, l, both(tail)); got != want {
			t.Errorf("tail %d: %q", tail, got)
		}
	}
	if got := text(t, l, Query{Stdout: true, Tail: -1}); got != "one\ntwo\nbad \ufffd byte\n" {
		t.Errorf("stdout: %q", got)
	}
	q := both(-1)
	q.Since, q.Until = at.Add(time.Second), at.Add(2*time.Second)
	if got := text(t, l, q); got != "\x00\x1f\"\\\t\u2028é\nbad \ufffd byte\n" {
		t.Errorf("since and until: %q", got)
	}
}

// TestTheLastLinesAreTheEndOfAllLines with and without a condition, which are counted in two ways, over several files and
// a record that a crash tore.
func TestTheLastLinesAreTheEndOfAllLines(t *testing.T) {
	inBothFormats(t, theLastLinesAreTheEndOfAllLines)
}

func theLastLinesAreTheEndOfAllLines(t *testing.T, newLog func(t testing.TB, size int64, files int) *Log) {
	l := newLog(t, 2<<10, 3)
	for i := range 60 {
		if i == 57 {
			f, err := os.OpenFile(l.files.numbered(0), os.O_WRONLY|os.O_APPEND, 0)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.WriteString(`{"log":"torn` + "\n"); err != nil {
				t.Fatal(err)
			}
			f.Close()
		}
		if err := l.Append(byte(1+i%2), time.Unix(int64(i), 0), fmt.Appendf(nil, "line %d\n", i)); err != nil {
			t.Fatal(err)
		}
	}
	since := both(0)
	since.Since = time.Unix(1, 0)
	for _, q := range []Query{both(0), since, {Stdout: true}} {
		q.Tail = -1
		all := strings.SplitAfter(strings.TrimSuffix(text(t, l, q), "\n"), "\n")
		if len(all) < 10 {
			t.Fatalf("%+v: %d lines", q, len(all))
		}
		for _, tail := range []int{0, 1, 4, len(all) - 1, len(all), len(all) + 9} {
			q.Tail = tail
			want := strings.Join(all[max(0, len(all)-tail):], "")
			if got := strings.TrimSuffix(text(t, l, q), "\n"); got != want {
				t.Errorf("%+v: %q, want %q", q, got, want)
			}
		}
	}
}

func TestTheDiskSpaceOfALogIsBounded(t *testing.T) { inBothFormats(t, theDiskSpaceOfALogIsBounded) }

func theDiskSpaceOfALogIsBounded(t *testing.T, newLog func(t testing.TB, size int64, files int) *Log) {
	l := newLog(t, 64<<10, 3)
	line := []byte(strings.Repeat("x", 1000) + "\n")
	for range 1000 {
		if err := l.Append(Stdout, time.Now(), line); err != nil {
			t.Fatal(err)
		}
	}
	total, names := int64(0), 0
	entries, err := os.ReadDir(l.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		st, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		total, names = total+st.Size(), names+1
	}
	if names != 3 || total > 3*64<<10 {
		t.Errorf("%d files of %d bytes together", names, total)
	}
	if err := l.Remove(); err != nil {
		t.Fatal(err)
	}
	if got := text(t, l, both(-1)); got != "" {
		t.Errorf("after Remove: %q", got)
	}
}

func TestFollowersSeeEachLineOnceOverRotations(t *testing.T) {
	inBothFormats(t, followersSeeEachLineOnceOverRotations)
}

func followersSeeEachLineOnceOverRotations(t *testing.T, newLog func(t testing.TB, size int64, files int) *Log) {
	l := newLog(t, 64<<10, 10)
	l.Begin()
	got := make(chan string, 2)
	for range 2 {
		go func() {
			q := both(-1)
			q.Follow = true
			got <- text(t, l, q)
		}()
	}
	var want strings.Builder
	for i := range 3000 {
		line := fmt.Sprintf("line %d %s\n", i, strings.Repeat("y", 50))
		want.WriteString(line)
		if err := l.Append(Stdout, time.Now(), []byte(line)); err != nil {
			t.Fatal(err)
		}
	}
	l.End()
	for range 2 {
		if g := <-got; g != want.String() {
			t.Errorf("a follower read %d bytes, want %d", len(g), want.Len())
		}
	}
}

func TestAFollowerEndsWithItsContext(t *testing.T) { inBothFormats(t, aFollowerEndsWithItsContext) }

func aFollowerEndsWithItsContext(t *testing.T, newLog func(t testing.TB, size int64, files int) *Log) {
	l := newLog(t, 64<<10, 1)
	l.Begin()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		q := both(-1)
		q.Follow = true
		done <- l.Read(ctx, q, func(Record) error { return nil })
	}()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestLongLinesAreCutBetweenCharactersOnly(t *testing.T) {
	for _, line := range []string{strings.Repeat("é", 30000), "x" + strings.Repeat("€", 30000),
		strings.Repeat("\x00", 81920),
		strings.Repeat("\x80", 20000), strings.Repeat("😀", 9999) + "\n"} {
		l := newLog(t, 64<<10, 50)
		if err := l.Append(Stdout, time.Now(), []byte(line)); err != nil {
			t.Fatal(err)
		}
		want := line
		if line[0] == 0x80 {
			want = strings.Repeat("\ufffd", len(line))
		}
		if got := text(t, l, both(-1)); got != want {
			t.Errorf("%d bytes of %q became %d", len(line), line[:4], len(got))
		}
	}
}

func TestATornRecordIsSkipped(t *testing.T) {
	l := newLog(t, 1<<20, 1)
	if err := l.Append(Stdout, time.Now(), []byte("a\n")); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(filepath.Join(l.dir, fileName), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("{\"log\":\"torn\n"); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if err := l.Append(Stdout, time.Now(), []byte("b\n")); err != nil {
		t.Fatal(err)
	}
	if got := text(t, l, both(-1)); got != "a\nb\n" {
		t.Errorf("got %q", got)
	}
}

func FuzzRecord(f *testing.F) {
	for _, s := range []string{"", "a\n", "\xff\xfe", "\"\\\x00\x7f", "\u2028"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		var j struct{ Log, Stream, Time string }
		b := newJSON(nil).record(nil, Stderr, time.Unix(1, 0), line)
		if bytes.IndexByte(b, '\n') != len(b)-1 {
			t.Fatalf("a record of more than one line: %q", b)
		}
		if err := json.Unmarshal(b, &j); err != nil {
			t.Fatalf("%q: %v", b, err)
		}
		if want := strings.ToValidUTF8(string(line), "\ufffd"); utf8.Valid(line) && j.Log != want {
			t.Fatalf("%q became %q", line, j.Log)
		}
	})
}

func FuzzReadFile(f *testing.F) {
	f.Add([]byte("{\"log\":\"a\\n\",\"stream\":\"stdout\",\"time\":\"2026-01-01T00:00:00Z\"}\n{}\n[]\nx"))
	f.Fuzz(func(t *testing.T, b []byte) {
		l := newLog(t, 1<<20, 2)
		if err := os.Mkdir(l.dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(l.dir, fileName), b, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, tail := range []int{-1, 1} {
			n := 0
			err := l.Read(context.Background(), both(tail), func(Record) error { n++; return nil })
			if err == nil && tail == 1 && n > 1 {
				t.Fatalf("%d records for a tail of 1", n)
			}
		}
	})
}
