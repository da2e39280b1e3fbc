package toc

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/containerd/errdefs"
	"github.com/klauspost/compress/zstd"
)

// Piece is one record that stands for bytes of the tar: Raw, or Length bytes of the data file from Offset, or Length
// zeros. Raw is valid until the next call.
type Piece struct {
	Raw            []byte
	Data           bool
	Offset, Length int64
}

// End is the last record.
type End struct {
	TarSize  int64
	DiffID   [sha256.Size]byte
	Entries  int64
	DataSize int64
}

// Reader reads a table of contents that nobody vouches for.
type Reader struct {
	r        *bufio.Reader
	z        *zstd.Decoder
	dataSize int64
	buf      []byte
	tarSize  int64
	entries  int64
	end      *End
}

// Whole reads a file from its start, whatever offset its description is at: descriptions are shared between
// processes. A file without a size (a pipe) is read as it comes.
func Whole(f *os.File) (io.Reader, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("size of %s: %w", f.Name(), err)
	}
	if !st.Mode().IsRegular() {
		return f, nil
	}
	return io.NewSectionReader(f, 0, st.Size()), nil
}

// NewReader reads a table of contents whose data file has dataSize bytes. Close frees it.
func NewReader(r io.Reader, dataSize int64) (*Reader, error) {
	head := make([]byte, len(magic))
	if _, err := io.ReadFull(r, head); err != nil || string(head) != magic {
		return nil, Invalid("not a table of contents of version 1")
	}
	z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(2<<20),
		zstd.WithDecoderLowmem(true))
	if err != nil {
		return nil, fmt.Errorf("read toc: %w", err)
	}
	return &Reader{r: bufio.NewReaderSize(z, 64<<10), z: z, dataSize: dataSize}, nil
}

// Close frees the decoder.
func (t *Reader) Close() { t.z.Close() }

// End gives the last record once Next has returned io.EOF.
func (t *Reader) End() *End { return t.end }

// Next gives the next record: an entry or a piece. io.EOF comes after the end record only, whose sums were compared.
func (t *Reader) Next() (*Entry, *Piece, error) {
	if t.end != nil {
		return nil, nil, io.EOF
	}
	e, p, err := t.next()
	var failed *fs.PathError // of the file, not of what is in it
	switch {
	case err == io.EOF || err == io.ErrUnexpectedEOF:
		err = Invalid("the table of contents is cut off")
	case err != nil && !errors.As(err, &failed) && !errdefs.IsResourceExhausted(err):
		err = Invalid("%w", err)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read toc: %w", err)
	}
	if e == nil && p == nil {
		return nil, nil, io.EOF
	}
	if t.tarSize > 1<<60 {
		return nil, nil, fmt.Errorf("read toc: %w", Exceeded("bytes in a tar", 1<<60))
	}
	return e, p, nil
}

func (t *Reader) next() (*Entry, *Piece, error) {
	kind, err := t.r.ReadByte()
	if err != nil {
		return nil, nil, err
	}
	switch kind {
	case recRaw:
		b, err := t.bytes(maxRaw)
		return nil, t.count(&Piece{Raw: b, Length: int64(len(b))}), err
	case recZeros:
		n, err := t.number()
		return nil, t.count(&Piece{Length: n}), err
	case recData:
		p, err := t.piece()
		return nil, p, err
	case recEntry:
		b, err := t.bytes(maxEntry)
		if err != nil {
			return nil, nil, err
		}
		t.entries++
		e, err := DecodeEntry(b, t.dataSize)
		return e, nil, err
	case recEnd:
		return nil, nil, t.last()
	}
	return nil, nil, Invalid("unknown record %d", kind)
}

func (t *Reader) count(p *Piece) *Piece {
	t.tarSize += p.Length
	return p
}

func (t *Reader) piece() (*Piece, error) {
	off, err1 := t.number()
	n, err2 := t.number()
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	if off > t.dataSize || n > t.dataSize-off {
		return nil, Invalid("a record points outside the data file")
	}
	return t.count(&Piece{Data: true, Offset: off, Length: n}), nil
}

func (t *Reader) last() error {
	end := &End{}
	var err error
	if end.TarSize, err = t.number(); err != nil {
		return err
	}
	if _, err = io.ReadFull(t.r, end.DiffID[:]); err != nil {
		return err
	}
	if end.Entries, err = t.number(); err != nil {
		return err
	}
	if end.DataSize, err = t.number(); err != nil {
		return err
	}
	if end.TarSize != t.tarSize || end.Entries != t.entries || end.DataSize != t.dataSize {
		return Invalid("the sums of the table of contents do not match its records or its data file")
	}
	if _, err := t.r.ReadByte(); err != io.EOF {
		return Invalid("something follows the end of the table of contents")
	}
	t.end = end
	return nil
}

// number reads a varint that fits an int64, and leaves room for additions.
func (t *Reader) number() (int64, error) {
	v, err := binary.ReadUvarint(t.r)
	if err != nil {
		return 0, err
	}
	if v > 1<<60 {
		return 0, Invalid("the number %d is too large", v)
	}
	return int64(v), nil
}

func (t *Reader) bytes(limit int) ([]byte, error) {
	n, err := t.number()
	if err != nil {
		return nil, err
	}
	if n > int64(limit) {
		return nil, Exceeded("bytes in one record", int64(limit))
	}
	if cap(t.buf) < int(n) {
		t.buf = make([]byte, n)
	}
	b := t.buf[:n]
	_, err = io.ReadFull(t.r, b)
	return b, err
}

// cursor takes fields from an encoded entry; after the first that is not there it gives zeros and bad is set.
type cursor struct {
	b   []byte
	bad bool
}

func (c *cursor) num(limit uint64) uint64 {
	v, n := binary.Uvarint(c.b)
	if n <= 0 || v > limit {
		c.bad, c.b = true, nil
		return 0
	}
	c.b = c.b[n:]
	return v
}

func (c *cursor) signed() int64 {
	v, n := binary.Varint(c.b)
	if n <= 0 {
		c.bad, c.b = true, nil
		return 0
	}
	c.b = c.b[n:]
	return v
}

func (c *cursor) str() string {
	n := c.num(uint64(len(c.b)))
	if n > uint64(len(c.b)) {
		c.bad, c.b = true, nil
		return ""
	}
	s := string(c.b[:n])
	c.b = c.b[n:]
	return s
}

// DecodeEntry decodes one entry and checks it.
func DecodeEntry(b []byte, dataSize int64) (*Entry, error) {
	c := &cursor{b: b}
	e := &Entry{
		Kind:    Kind(c.num(255)),
		Mode:    uint16(c.num(0o7777)),
		UID:     uint32(c.num(1<<32 - 2)),
		GID:     uint32(c.num(1<<32 - 2)),
		MTime:   c.signed(),
		MTimeNs: uint32(c.num(999_999_999)),
		Size:    int64(c.num(MaxFileSize)),
		Name:    c.str(),
		Link:    c.str(),
	}
	for n := c.num(MaxXattrs); n > 0 && !c.bad; n-- {
		e.Xattrs = append(e.Xattrs, Xattr{Name: c.str(), Value: c.str()})
	}
	if e.Kind == Regular {
		e.ChunkBits = uint8(c.num(maxChunkBit))
		for n := c.num(MaxChunks); n > 0 && !c.bad; n-- {
			e.Extents = append(e.Extents, Extent{Logical: int64(c.num(1 << 60)), Data: int64(c.num(1 << 60)),
				Length: int64(c.num(1 << 60))})
		}
	}
	if c.bad || len(c.b) != 0 {
		return nil, Invalid("an entry of the table of contents is malformed")
	}
	if err := e.Check(dataSize); err != nil {
		return nil, fmt.Errorf("%s: %w", e.Name, err)
	}
	return e, nil
}
