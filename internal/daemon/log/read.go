package log

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Query says what to read. Zero times are no bound; Tail < 0 is everything.
type Query struct {
	Stdout, Stderr bool
	Follow         bool
	Tail           int
	Since, Until   time.Time
	Details        bool // fill in Attrs
}

// Record is one record of a log. Text is only good until each returns.
type Record struct {
	Stream byte
	Time   time.Time
	Text   []byte
	Attrs  []Attr // what was noted beside the line, sorted by key
	notes  []byte // the same, as it stands in the file
}

// ErrNoLog is returned where nothing is kept that could be read, in Docker's words.
var ErrNoLog = errors.New("configured logging driver does not support reading")

// Read gives the records to each, oldest first, until the end, an error, or with Follow until the log ends or ctx does.
func (l *Log) Read(ctx context.Context, q Query, each func(Record) error) error {
	if l.files == nil {
		return ErrNoLog
	}
	return l.files.read(ctx, q, each)
}

func (s *store) read(ctx context.Context, q Query, each func(Record) error) error {
	files, gen, err := s.open()
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
		if skip, err = s.countToSkip(files, q); err != nil {
			return err
		}
	}
	r := &reader{format: s.reading(), q: q, skip: skip, each: each}
	for i, f := range files {
		if err := r.file(f, i < len(files)-1 || !q.Follow); err != nil {
			return r.result(err)
		}
	}
	if !q.Follow {
		return nil
	}
	var last *segment
	if n := len(files); n > 0 {
		last, files = files[n-1], files[:n-1]
	}
	return r.result(s.follow(ctx, r, last, gen))
}

// countToSkip counts the records that match and returns how many come before the last Tail.
func (s *store) countToSkip(files []*segment, q Query) (int, error) {
	count := &reader{format: s.reading(), q: q}
	for _, f := range files {
		if err := count.file(f, true); err != nil && !errors.Is(err, errPastEnd) {
			return 0, err
		}
		if err := f.rewind(); err != nil {
			return 0, fmt.Errorf("log: %w", err)
		}
	}
	return max(0, count.counted-q.Tail), nil
}

// follow waits for more in the newest file and goes on to the next one when that was rotated away.
func (s *store) follow(ctx context.Context, r *reader, f *segment, gen int) error {
	defer func() {
		if f != nil {
			f.Close()
		}
	}()
	for {
		wake, live, now := s.state()
		if f != nil {
			if err := r.file(f, now != gen || !live); err != nil {
				return err
			}
		}
		if f == nil || now != gen {
			next, number, err := s.openNumber(gen, f == nil)
			if err != nil {
				return err
			}
			if next != nil {
				if f != nil {
					f.Close()
				}
				f, gen = next, number
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

// errPastEnd ends a read at a record after Until.
var errPastEnd = errors.New("past the end")

type reader struct {
	format format
	q      Query
	skip   int
	each   func(Record) error // nil: they are counted only
	// counted is how many records matched, while each is nil.
	counted int
	// part is the beginning of a record whose rest was not written yet, at the beginning of a buffer.
	part []byte
	// done is how many bytes came before part.
	done int64
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

func (r *reader) file(f *segment, whole bool) error {
	return r.decode(f, whole, func(_ int64, rec *Record) error { return r.take(rec) })
}

// decode reads to the end. A record without an end is kept for the next call, or with whole set, given up: a crash tore it.
func (r *reader) decode(in io.Reader, whole bool, take func(after int64, rec *Record) error) error {
	for {
		if r.part == nil {
			r.part = make([]byte, 0, 32<<10)
		}
		r.part = slices.Grow(r.part, 4<<10)
		n, err := in.Read(r.part[len(r.part):cap(r.part)])
		r.part = r.part[:len(r.part)+n]
		end := errors.Is(err, io.EOF)
		if n > 0 || end {
			if err := r.records(!end || !whole, take); err != nil {
				return err
			}
		}
		if end {
			if len(r.part) == 0 {
				r.part = nil // who follows may wait for weeks
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("log: %w", err)
		}
	}
}

// records takes the records out of part; more says that the last one may still get its end.
func (r *reader) records(more bool, take func(after int64, rec *Record) error) error {
	b := r.part
	var rec Record
	for len(b) > 0 {
		skim := r.skims()
		n, kind := r.format.next(&rec, b, more, skim)
		if n == 0 {
			break
		}
		b, r.done = b[n:], r.done+int64(n)
		if kind != Stdout && kind != Stderr {
			continue
		}
		if skim {
			r.pass()
			continue
		}
		if err := take(r.done, &rec); err != nil {
			return err
		}
	}
	r.part = r.part[:copy(r.part, b)]
	return nil
}

// skims tells that a record is counted, whatever it is.
func (r *reader) skims() bool { return r.q.everything() && (r.each == nil || r.skip > 0) }

// take gives a record to each if it was asked for.
func (r *reader) take(rec *Record) error {
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
	if !r.q.Details {
		rec.Attrs = nil
	} else if rec.notes != nil {
		rec.Attrs = decodeNotes(rec.notes)
	}
	slices.SortFunc(rec.Attrs, func(a, b Attr) int { return strings.Compare(a.Key, b.Key) })
	return r.each(*rec)
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
