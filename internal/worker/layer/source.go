package layer

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync/atomic"

	"github.com/brig-engine/brig/internal/wire/jobs"
	"github.com/brig-engine/brig/internal/worker/toc"
	"github.com/containerd/errdefs"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

const (
	chunkSize  = 512 << 10
	chunkCount = 8
	// maxWindow is zstd's recommended upper bound for what a decoder must support, times 16: what "zstd --ultra" makes.
	maxWindow = 128 << 20
	// ratioFrom is the uncompressed size in bytes from which the ratio counts.
	ratioFrom = 1 << 30
)

// Sniff looks at the first bytes of r and gives a reader of what is inside, with the name of the compression. Formats
// that would need an outside program are refused by name.
func Sniff(r io.Reader) (io.Reader, string, func(), error) {
	in := bufio.NewReaderSize(r, 256<<10)
	head, err := in.Peek(6)
	if err != nil && err != io.EOF {
		return nil, "", nil, fmt.Errorf("read the blob: %w", err)
	}
	has := func(prefix string) bool { return len(head) >= len(prefix) && string(head[:len(prefix)]) == prefix }
	switch {
	case has("\x1f\x8b"):
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, "", nil, toc.Invalid("gzip: %w", err)
		}
		return z, "gzip", func() {}, nil
	case has("\x28\xb5\x2f\xfd"), len(head) >= 4 && string(head[1:4]) == "\x2a\x4d\x18" && head[0]>>4 == 5:
		z, err := zstd.NewReader(in, zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderConcurrency(2))
		if err != nil {
			return nil, "", nil, toc.Invalid("zstd: %w", err)
		}
		return z, "zstd", z.Close, nil
	}
	for prefix, name := range map[string]string{"BZh": "bzip2", "\xfd7zXZ\x00": "xz", "\x04\x22\x4d\x18": "lz4",
		"\x5d\x00\x00": "lzma", "LZIP": "lzip"} {
		if has(prefix) {
			return nil, "", nil, toc.Invalid("the archive is compressed with %s; plain, gzip and zstd are supported", name)
		}
	}
	return in, "none", func() {}, nil
}

// chunk is a piece of the uncompressed stream that the hash and the parser both read.
type chunk struct {
	b    []byte
	refs atomic.Int32
}

// source is the uncompressed stream as the parser sees it. A goroutine decompresses into chunks and another one hashes
// them, so that on two cores the parser costs nothing beside the decompressor.
type source struct {
	chunks chan *chunk
	free   chan *chunk
	stop   chan struct{}
	err    error // of the producer, valid once chunks is closed
	now    *chunk
	cur    []byte
	total  int64
	sum    chan [sha256.Size]byte
}

// counter counts what a reader gave.
type counter struct {
	r io.Reader
	n atomic.Int64
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n.Add(int64(n))
	return n, err
}

func newSource(r io.Reader, compressed *counter, limits jobs.Limits) *source {
	s := &source{
		chunks: make(chan *chunk, chunkCount), free: make(chan *chunk, chunkCount),
		stop: make(chan struct{}), sum: make(chan [sha256.Size]byte, 1),
	}
	for range chunkCount {
		s.free <- &chunk{b: make([]byte, chunkSize)}
	}
	toHash := make(chan *chunk, chunkCount)
	go s.hash(toHash)
	go s.produce(r, compressed, limits, toHash)
	return s
}

func (s *source) produce(r io.Reader, compressed *counter, limits jobs.Limits, toHash chan<- *chunk) {
	defer close(s.chunks)
	defer close(toHash)
	var total int64
	for {
		var c *chunk
		select {
		case c = <-s.free:
		case <-s.stop:
			return
		}
		n, err := fillFrom(r, c.b[:chunkSize])
		total += int64(n)
		switch {
		case total > limits.MaxBytes:
			err = toc.Exceeded("bytes in the uncompressed archive", limits.MaxBytes)
		case total > ratioFrom && total/limits.MaxRatio > compressed.n.Load():
			err = toc.Exceeded("times the size of the compressed archive", limits.MaxRatio)
		}
		if n > 0 {
			c.b = c.b[:n]
			c.refs.Store(2)
			toHash <- c
			select {
			case s.chunks <- c:
			case <-s.stop:
				return
			}
		}
		if err == io.EOF {
			return
		}
		if err != nil {
			s.err = fmt.Errorf("after %d bytes: %w", total, Classify(err))
			return
		}
	}
}

// Classify gives an error of a decompressor its class: whatever is not a failure of the file is the fault of its bytes.
func Classify(err error) error {
	var failed *fs.PathError
	switch {
	case errors.As(err, &failed) || errdefs.IsResourceExhausted(err) || errdefs.IsInvalidArgument(err):
		return err
	case errors.Is(err, io.ErrUnexpectedEOF):
		return toc.Invalid("the compressed stream is cut off")
	}
	return toc.Invalid("decompress: %w", err)
}

// fillFrom is io.ReadFull that hands on the reader's own error: a stream that is cut off must not look like its end.
func fillFrom(r io.Reader, b []byte) (int, error) {
	for n := 0; ; {
		k, err := r.Read(b[n:])
		n += k
		if err != nil || n == len(b) {
			return n, err
		}
	}
}

// finish ends the goroutines and gives the digest of what they read.
func (s *source) finish() [sha256.Size]byte {
	close(s.stop)
	for c := range s.chunks {
		s.release(c)
	}
	return <-s.sum
}

func (s *source) hash(in <-chan *chunk) {
	h := sha256.New()
	for c := range in {
		h.Write(c.b)
		s.release(c)
	}
	s.sum <- [sha256.Size]byte(h.Sum(nil))
}

// release gives a chunk back once both readers are done. free has room for every chunk there is.
func (s *source) release(c *chunk) {
	if c.refs.Add(-1) == 0 {
		s.free <- c
	}
}

// fill makes cur non-empty, or gives io.EOF or what ended the stream.
func (s *source) fill() error {
	for len(s.cur) == 0 {
		if s.now != nil {
			s.release(s.now)
			s.now = nil
		}
		c, ok := <-s.chunks
		if !ok {
			if s.err != nil {
				return s.err
			}
			return io.EOF
		}
		s.now, s.cur = c, c.b
	}
	return nil
}

// read fills b; io.EOF if nothing was left, io.ErrUnexpectedEOF if too little was.
func (s *source) read(b []byte) error {
	for n := 0; n < len(b); {
		if err := s.fill(); err != nil {
			if err == io.EOF && n > 0 {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		k := copy(b[n:], s.cur)
		s.cur = s.cur[k:]
		s.total += int64(k)
		n += k
	}
	return nil
}

// each passes the next n bytes to f in slices that are valid during the call.
func (s *source) each(n int64, f func([]byte) error) error {
	for n > 0 {
		if err := s.fill(); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		b := s.cur[:min(n, int64(len(s.cur)))]
		if err := f(b); err != nil {
			return err
		}
		s.cur = s.cur[len(b):]
		s.total += int64(len(b))
		n -= int64(len(b))
	}
	return nil
}
