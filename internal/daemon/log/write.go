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

// fileName is the newest file of the driver json-file.
const fileName = "log.json"

// store is the files of one log. No file is open while nobody writes or reads.
type store struct {
	dir      string
	size     int64
	files    int
	json     bool // the format
	compress bool
	zip      sync.WaitGroup // the compression of the file before the newest

	mu     sync.Mutex
	format format
	begun  bool // this run has its head
	mended bool // what an earlier brigd may have left torn was looked at
	// rest is what a write did not get rid of: the disk was full. It comes first once there is place, so that no record is
	// torn; what comes after it meanwhile is lost.
	rest []byte
	// gen counts rotations in this process: the newest file has number gen.
	gen  int
	wake chan struct{} // closed when something was appended, or the log ended; nil while nobody follows
	live bool          // more may come
}

func newStore(dir string, o *Options) *store {
	s := &store{dir: dir, size: o.MaxSize, files: o.MaxFiles, compress: o.Compress, json: o.Driver == DriverJSON}
	s.format = s.writing(nil)
	return s
}

func (s *store) writing(attrs []Attr) format {
	if s.json {
		return newJSON(attrs)
	}
	return newBinary(attrs)
}

// reading gives a format that nobody else reads with: it may remember what it has read.
func (s *store) reading() format {
	if s.json {
		return &jsonFormat{}
	}
	return &binaryFormat{}
}

// begin says that more may come: those who follow wait. These are the attributes of what comes.
func (s *store) begin(attrs []Attr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live, s.begun = true, false
	s.format = s.writing(attrs)
}

// end says that no more will come until begin.
func (s *store) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live = false
	s.notify()
}

func (s *store) remove() error {
	s.zip.Wait()
	return os.RemoveAll(s.dir)
}

// append writes one record per line of p. The last line may be incomplete: it is recorded without a line end.
func (s *store) append(stream byte, at time.Time, p []byte) error {
	if len(p) == 0 {
		return nil
	}
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.notify()
	for len(p) > 0 {
		b := (*buf)[:0]
		if !s.begun {
			b = s.format.head(b)
		}
		for len(p) > 0 && len(b) < batch {
			n := lineLen(p)
			b = s.format.record(b, stream, at, p[:n])
			p = p[n:]
		}
		*buf = b
		if err := s.write(b); err != nil {
			return fmt.Errorf("log: %w", err)
		}
		s.begun = true
	}
	return nil
}

var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 8<<10); return &b }}

// maxRest bounds what waits for place.
const maxRest = 2 * batch

func (s *store) write(b []byte) error {
	left, err := s.put(b)
	if err != nil && (len(left) < len(b) || len(s.rest)+len(left) <= maxRest) { // a record that was begun is ended
		s.rest = append(s.rest, left...)
	}
	return err
}

// put writes, and gives back what it did not get rid of.
func (s *store) put(b []byte) (left []byte, err error) {
	path := s.numbered(0)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.MkdirAll(s.dir, 0o700); err == nil {
			f, err = os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
		}
	}
	if err != nil {
		return b, err
	}
	defer func() { f.Close() }()
	if err := s.mend(f); err != nil {
		return b, err
	}
	if len(s.rest) > 0 {
		n, err := f.Write(s.rest)
		if s.rest = s.rest[n:]; err != nil {
			return b, err
		}
	}
	st, err := f.Stat()
	if err != nil {
		return b, err
	}
	if st.Size() > 0 && st.Size()+int64(len(b)) > s.size {
		f.Close()
		if f, err = s.rotate(path); err != nil {
			return b, err
		}
		if s.begun { // what follows needs the head again
			b = append(s.format.head(nil), b...)
		}
	}
	n, err := f.Write(b)
	return b[n:], err
}

// mend cuts off what a crash tore, once, before anybody reads or writes.
func (s *store) mend(f *os.File) error {
	if s.mended {
		return nil
	}
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if st.Size() > 0 {
		whole, err := s.reading().whole(f, st.Size())
		if err == nil && whole < st.Size() {
			err = f.Truncate(whole)
		}
		if err != nil {
			return err
		}
	}
	s.mended = true
	return nil
}

// numbered is the path of a file: 0 is the newest.
func (s *store) numbered(i int) string {
	p := filepath.Join(s.dir, s.format.name())
	if i == 0 {
		return p
	}
	return fmt.Sprintf("%s.%d", p, i)
}

func (s *store) notify() {
	if s.wake != nil {
		close(s.wake)
		s.wake = nil
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
