package log

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

// maxRecord bounds a line of a log file in bytes: each byte of output may be escaped to six.
const maxRecord = 6*MaxLine + 256

// Query says what to read. Zero times are no bound; Tail < 0 is everything.
type Query struct {
	Stdout, Stderr bool
	Follow         bool
	Tail           int
	Since, Until   time.Time
}

// Record is one record of a log.
type Record struct {
	Stream byte
	Time   time.Time
	Text   []byte
}

// ErrNoLog is returned for containers whose log driver is none.
var ErrNoLog = errors.New("the container has the log driver none: there is nothing to read")

// Read gives the records to each, oldest first, until the end, an error, or with Follow until the log ends or ctx does.
func (l *Log) Read(ctx context.Context, q Query, each func(Record) error) error {
	if l.opt.Driver == DriverNone {
		return ErrNoLog
	}
	files, gen, err := l.open()
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	if err != nil {
		return err
	}
	skip := 0
	if q.Tail >= 0 {
		if skip, err = l.countToSkip(files, q); err != nil {
			return err
		}
	}
	r := &reader{q: q, skip: skip, each: each}
	for i, f := range files {
		if err := r.file(f, i < len(files)-1); err != nil {
			return r.result(err)
		}
	}
	if !q.Follow {
		return nil
	}
	var last *os.File
	if n := len(files); n > 0 {
		last, files = files[n-1], files[:n-1]
	}
	return r.result(l.follow(ctx, r, last, gen))
}

// open opens all files, oldest first, and tells the number of the newest.
func (l *Log) open() ([]*os.File, int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var files []*os.File
	for i := l.opt.MaxFiles - 1; i >= 0; i-- {
		f, err := os.Open(l.numbered(i))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return files, 0, fmt.Errorf("log: %w", err)
		}
		files = append(files, f)
	}
	return files, l.gen, nil
}

// countToSkip counts the records that match and returns how many come before the last Tail.
func (l *Log) countToSkip(files []*os.File, q Query) (int, error) {
	count := &reader{q: q}
	for i, f := range files {
		if err := count.file(f, i < len(files)-1); err != nil && !errors.Is(err, errPastEnd) {
			return 0, err
		}
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return 0, fmt.Errorf("log: %w", err)
		}
	}
	return max(0, count.counted-q.Tail), nil
}

// follow waits for more in the newest file and goes on to the next one when that was rotated away.
func (l *Log) follow(ctx context.Context, r *reader, f *os.File, gen int) error {
	defer func() {
		if f != nil {
			f.Close()
		}
	}()
	for {
		wake, live, now := l.state()
		if f != nil {
			if err := r.file(f, now != gen); err != nil {
				return err
			}
		}
		switch {
		case f == nil || now != gen:
			next, err := l.openNumber(gen, f == nil)
			if err != nil {
				return err
			}
			if next.f != nil {
				if f != nil {
					f.Close()
				}
				f, gen = next.f, next.gen
				continue
			}
		}
		if !live {
			return nil
		}
		if err := r.wait(ctx, wake); err != nil {
			return err
		}
	}
}

func (l *Log) state() (wake chan struct{}, live bool, gen int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.wake == nil {
		l.wake = make(chan struct{})
	}
	return l.wake, l.live, l.gen
}

type numberedFile struct {
	f   *os.File
	gen int
}

// openNumber opens the file after number gen, or the oldest one that is still there; with first set, number gen itself.
func (l *Log) openNumber(gen int, first bool) (numberedFile, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	want := gen + 1
	if first {
		want = gen
	}
	want = max(want, l.gen-l.opt.MaxFiles+1)
	f, err := os.Open(l.numbered(l.gen - want))
	if errors.Is(err, fs.ErrNotExist) {
		return numberedFile{}, nil
	}
	if err != nil {
		return numberedFile{}, fmt.Errorf("log: %w", err)
	}
	return numberedFile{f, want}, nil
}

// errPastEnd ends a read at a record after Until.
var errPastEnd = errors.New("past the end")

type reader struct {
	q    Query
	skip int
	each func(Record) error // nil: they are counted only
	// counted is how many records matched, while each is nil.
	counted int
	// part is the beginning of a record whose rest was not written yet.
	part []byte
}

func (r *reader) result(err error) error {
	if errors.Is(err, errPastEnd) || errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func (r *reader) wait(ctx context.Context, wake chan struct{}) error {
	var end <-chan time.Time
	if !r.q.Until.IsZero() {
		t := time.NewTimer(time.Until(r.q.Until))
		defer t.Stop()
		end = t.C
	}
	select {
	case <-wake:
		return nil
	case <-ctx.Done():
		return context.Canceled
	case <-end:
		return errPastEnd
	}
}

// file reads f to its end. A last line without an end is kept for the next call, or with whole set, dropped: a crash
// tore it.
func (r *reader) file(f *os.File, whole bool) error {
	in := bufio.NewReaderSize(f, 32<<10)
	for {
		b, err := in.ReadSlice('\n')
		if err == nil && len(r.part) == 0 {
			if err := r.line(b); err != nil {
				return err
			}
			continue
		}
		if len(r.part)+len(b) > maxRecord {
			return fmt.Errorf("log: a record of more than %d bytes", maxRecord)
		}
		r.part = append(r.part, b...)
		switch {
		case err == nil:
			b := r.part
			r.part = nil
			if err := r.line(b); err != nil {
				return err
			}
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF):
			if whole {
				r.part = nil
			}
			return nil
		default:
			return fmt.Errorf("log: %w", err)
		}
	}
}

// line decodes one record; what is no record (a crash tore it) is skipped.
func (r *reader) line(b []byte) error {
	if r.q.everything() && (r.each == nil || r.skip > 0) {
		// Nothing in it matters but that it is one. This is what --tail has most of.
		if b = bytes.TrimSpace(b); bytes.HasPrefix(b, []byte("{")) && bytes.HasSuffix(b, []byte("}")) {
			r.pass()
		}
		return nil
	}
	var j struct {
		Log    string    `json:"log"`
		Stream string    `json:"stream"`
		Time   time.Time `json:"time"`
	}
	if json.Unmarshal(bytes.TrimSpace(b), &j) != nil {
		return nil
	}
	rec := Record{Stream: Stdout, Time: j.Time, Text: []byte(j.Log)}
	if j.Stream == "stderr" {
		rec.Stream = Stderr
	}
	switch {
	case !r.q.Until.IsZero() && rec.Time.After(r.q.Until):
		return errPastEnd
	case !r.q.Since.IsZero() && rec.Time.Before(r.q.Since):
		return nil
	case rec.Stream == Stdout && !r.q.Stdout, rec.Stream == Stderr && !r.q.Stderr:
		return nil
	case r.each == nil || r.skip > 0:
		r.pass()
		return nil
	}
	return r.each(rec)
}

// pass takes a record that is not given to each.
func (r *reader) pass() {
	if r.each == nil {
		r.counted++
	} else {
		r.skip--
	}
}

// everything tells that every record matches.
func (q Query) everything() bool {
	return q.Stdout && q.Stderr && q.Since.IsZero() && q.Until.IsZero()
}
