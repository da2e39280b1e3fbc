package log

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
	"unicode/utf8"
)

// The two streams, by the numbers that the API's framing uses too.
const (
	Stdout byte = 1
	Stderr byte = 2
)

const (
	// MaxLine is how many bytes of output one record holds; a longer line becomes several records.
	MaxLine = 16 << 10
	// batch is about how many bytes are written at once.
	batch = 32 << 10
)

// fileName is the newest file; older ones have .1, .2 … behind it.
const fileName = "log.json"

// Log is the log of one container. No file is open while nobody writes or reads.
type Log struct {
	dir string
	opt Options

	mu sync.Mutex
	// gen counts rotations in this process: the file that is log.json now has number gen.
	gen  int
	wake chan struct{} // closed when something was appended, or the log ended; nil while nobody follows
	live bool          // more may come
}

// New returns the log in dir, which is made by the first Append.
func New(dir string, opt Options) *Log { return &Log{dir: dir, opt: opt} }

// Driver tells which driver it is.
func (l *Log) Driver() string { return l.opt.Driver }

// Begin says that more may come: those who follow wait.
func (l *Log) Begin() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.live = true
}

// End says that no more will come until Begin.
func (l *Log) End() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.live = false
	l.notify()
}

// Remove deletes all files.
func (l *Log) Remove() error {
	if l.opt.Driver == DriverNone {
		return nil
	}
	return os.RemoveAll(l.dir)
}

// Append writes one record per line of p. The last line may be incomplete: it is recorded without a line end.
func (l *Log) Append(stream byte, at time.Time, p []byte) error {
	if l.opt.Driver == DriverNone || len(p) == 0 {
		return nil
	}
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.notify()
	for len(p) > 0 {
		b := (*buf)[:0]
		for len(p) > 0 && len(b) < batch {
			n := lineLen(p)
			b = appendRecord(b, stream, at, p[:n])
			p = p[n:]
		}
		*buf = b
		if err := l.write(b); err != nil {
			return err
		}
	}
	return nil
}

var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 8<<10); return &b }}

func (l *Log) write(b []byte) error {
	path := filepath.Join(l.dir, fileName)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.MkdirAll(l.dir, 0o700); err == nil {
			f, err = os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
		}
	}
	if err != nil {
		return fmt.Errorf("log: %w", err)
	}
	defer func() { f.Close() }()
	st, err := f.Stat()
	if err != nil {
		return fmt.Errorf("log: %w", err)
	}
	if st.Size() > 0 && st.Size()+int64(len(b)) > l.opt.MaxSize {
		f.Close()
		if f, err = l.rotate(path); err != nil {
			return fmt.Errorf("log: %w", err)
		}
	}
	if _, err := f.Write(b); err != nil {
		return fmt.Errorf("log: %w", err)
	}
	return nil
}

// rotate moves every file one number up, drops the oldest and opens a new one.
func (l *Log) rotate(path string) (*os.File, error) {
	for i := l.opt.MaxFiles - 1; i > 0; i-- {
		err := os.Rename(l.numbered(i-1), l.numbered(i))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	l.gen++
	return os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|os.O_TRUNC, 0o600)
}

func (l *Log) numbered(i int) string {
	p := filepath.Join(l.dir, fileName)
	if i == 0 {
		return p
	}
	return fmt.Sprintf("%s.%d", p, i)
}

func (l *Log) notify() {
	if l.wake != nil {
		close(l.wake)
		l.wake = nil
	}
}

func lineLen(p []byte) int {
	short := p[:min(len(p), MaxLine)]
	if i := bytes.IndexByte(short, '\n'); i >= 0 {
		return i + 1
	}
	if len(short) == len(p) {
		return len(p)
	}
	return Whole(short)
}

// Whole is how much of p does not cut a character in two: all of it, or up to three bytes less.
func Whole(p []byte) int {
	for i := len(p) - 1; i > 0 && i >= len(p)-3; i-- {
		if utf8.RuneStart(p[i]) {
			if utf8.FullRune(p[i:]) {
				break
			}
			return i
		}
	}
	return len(p)
}

func appendRecord(b []byte, stream byte, at time.Time, line []byte) []byte {
	b = append(b, `{"log":"`...)
	b = appendText(b, line)
	if stream == Stderr {
		b = append(b, `","stream":"stderr","time":"`...)
	} else {
		b = append(b, `","stream":"stdout","time":"`...)
	}
	b = at.UTC().AppendFormat(b, time.RFC3339Nano)
	return append(b, "\"}\n"...)
}

const hex = "0123456789abcdef"

// appendText escapes what JSON cannot hold as it is. Bytes that are no UTF-8 become U+FFFD, as in Docker's files.
func appendText(b, s []byte) []byte {
	for len(s) > 0 {
		switch c := s[0]; {
		case c >= 0x20 && c < utf8.RuneSelf && c != '"' && c != '\\':
			b = append(b, c)
			s = s[1:]
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
			s = s[1:]
		case c == '\n':
			b = append(b, '\\', 'n')
			s = s[1:]
		case c < 0x20:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			s = s[1:]
		default:
			r, n := utf8.DecodeRune(s)
			b = utf8.AppendRune(b, r)
			s = s[n:]
		}
	}
	return b
}
