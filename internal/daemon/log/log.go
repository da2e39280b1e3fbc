package log

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Source is what a log asks of its container, and tells it.
type Source struct {
	Info      func() Info
	Warn      func(error)
	Receivers Receivers
	Meter     *Meter // nil: nobody counts
}

// Meter counts for all logs of an engine.
type Meter struct {
	Bytes atomic.Uint64 // that containers printed
	Lost  atomic.Uint64 // lines that were not taken in time
}

// Log is the log of one container.
type Log struct {
	dir   string
	opt   Options
	src   Source
	files *store // nil: nothing is kept

	mu       sync.Mutex
	q        *queue       // between Begin and End, if there is one
	waiting  sink         // connected, for the next Begin
	parts    [2]partState // of standard output and standard error
	flushing sync.WaitGroup
}

// New returns the log in dir, which is made by the first Append.
func New(dir string, opt Options, src Source) *Log {
	l := &Log{dir: dir, opt: opt, src: src}
	if opt.Readable() {
		l.files = newStore(dir, &opt)
	}
	if l.src.Info == nil {
		l.src.Info = func() Info { return Info{} }
	}
	if l.src.Meter == nil {
		l.src.Meter = &Meter{}
	}
	if l.src.Warn == nil {
		l.src.Warn = func(error) {}
	}
	return l
}

// Readable tells whether Read gives anything.
func (l *Log) Readable() bool { return l.files != nil }

func (l *Log) meta() Meta {
	m, err := l.opt.Meta(l.src.Info())
	if err != nil {
		l.src.Warn(err) // it was none when the container was created
	}
	return m
}

// connectTime bounds how long a start waits for a receiver.
const connectTime = 5 * time.Second

// Connect makes sure, before a start, that there is a receiver, as Docker does: later it may go away, and come back.
func (l *Log) Connect(ctx context.Context) error {
	if !l.opt.remote() {
		return nil
	}
	s := l.remote(l.meta())
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	if err := s.connect(ctx); err != nil {
		return fmt.Errorf("failed to initialize logging driver: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waiting != nil {
		l.waiting.close()
	}
	l.waiting = s
	return nil
}

// Begin says that more may come: those who follow wait.
func (l *Log) Begin() {
	var m Meta
	if l.opt.Driver != DriverNone {
		m = l.meta()
	}
	if l.files != nil {
		l.files.begin(m.Attrs)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.parts = [2]partState{}
	if l.q != nil {
		return
	}
	to := l.waiting
	l.waiting = nil
	switch {
	case l.opt.remote() && to == nil: // taken over from an earlier brigd: the receiver may be there later
		to = l.remote(m)
	case l.files != nil && !l.opt.remote() && l.opt.Mode == ModeNonBlocking:
		to = &fileSink{s: l.files, warn: l.src.Warn}
	}
	if to != nil {
		l.q = newQueue(&l.opt, to, l.src.Warn, &l.src.Meter.Lost)
	}
}

// Ending says that the process has ended: nothing may hold up what it left in its pipes.
func (l *Log) Ending() {
	if q := l.queue(); q != nil {
		q.end()
	}
}

func (l *Log) queue() *queue {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.q
}

// End says that no more will come until Begin. A receiver gets the rest in the background.
func (l *Log) End() {
	l.mu.Lock()
	q, to := l.q, l.waiting
	l.q, l.waiting = nil, nil
	l.mu.Unlock()
	if to != nil {
		to.close()
	}
	if q != nil {
		q.close()
		if l.opt.remote() {
			l.flushing.Go(func() { <-q.done })
		} else {
			<-q.done // who reads after the end finds all of it
		}
	}
	if l.files != nil {
		l.files.end()
	}
}

// Flush waits until the receiver got what it gets.
func (l *Log) Flush() { l.flushing.Wait() }

// Remove deletes all files.
func (l *Log) Remove() error {
	if l.opt.Driver == DriverNone {
		return nil
	}
	if l.files == nil {
		return os.RemoveAll(l.dir)
	}
	return l.files.remove()
}

// Append writes one record per line of p. The last line may be incomplete: it is recorded without a line end.
func (l *Log) Append(stream byte, at time.Time, p []byte) error {
	if l.opt.Driver == DriverNone || len(p) == 0 {
		return nil
	}
	l.src.Meter.Bytes.Add(uint64(len(p)))
	q := l.queue()
	if q == nil || l.opt.remote() {
		var err error
		if l.files != nil {
			err = l.files.append(stream, at, p)
		}
		if q != nil {
			q.put(l.messages(stream, at, p))
		}
		return err
	}
	q.put([]message{{stream: stream, at: at, text: bytes.Clone(p), lines: max(1, bytes.Count(p, []byte("\n")))}})
	return nil
}

// fileSink is the files, for a container that does not wait for the disk. What the disk has no place for is lost, as without
// a queue.
type fileSink struct {
	s      *store
	warn   func(error)
	warned time.Time
}

func (f *fileSink) send(m message, _ time.Time) error {
	if m.note {
		m.text = append(m.text, '\n')
	}
	if err := f.s.append(m.stream, m.at, m.text); err != nil && time.Since(f.warned) > time.Minute {
		f.warned = time.Now()
		f.warn(err)
	}
	return nil
}

func (f *fileSink) close() {}
