package toc

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

const (
	magic = "BRIGTOC\x01"

	recRaw   = 1
	recData  = 2
	recZeros = 3
	recEntry = 4
	recEnd   = 5

	// maxRaw is the longest raw record; longer stretches are split.
	maxRaw = 1 << 20
	// maxEntry bounds an encoded entry: xattrs, names, and three numbers for each extent.
	maxEntry = MaxXattrSum + 4*MaxPath + 30*MaxChunks + 8*MaxXattrs + 128
	// minZeros is the shortest run that is worth a record of its own.
	minZeros = 512
)

// Writer writes a table of contents. Its methods are called in the order of the tar's bytes.
type Writer struct {
	z       *zstd.Encoder
	buf     []byte // raw bytes not yet written
	scratch []byte
	zeros   int64
	tarSize int64
	entries int64
	data    [2]int64 // pending data record: offset, length
	err     error
}

// NewWriter starts a table of contents on w.
func NewWriter(w io.Writer) (*Writer, error) {
	if _, err := io.WriteString(w, magic); err != nil {
		return nil, fmt.Errorf("write toc: %w", err)
	}
	z, err := zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(1<<20), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, err
	}
	return &Writer{z: z}, nil
}

// Raw adds bytes of the tar.
func (w *Writer) Raw(b []byte) {
	w.tarSize += int64(len(b))
	if len(b) >= minZeros && allZero(b) {
		w.flushRaw()
		w.flushData()
		w.zeros += int64(len(b))
		return
	}
	w.flushZeros()
	w.flushData()
	w.buf = append(w.buf, b...)
	if len(w.buf) >= maxRaw/2 {
		w.flushRaw()
	}
}

// Data adds bytes of the tar that were put into the data file at off.
func (w *Writer) Data(off, n int64) {
	w.tarSize += n
	if w.data[1] > 0 && w.data[0]+w.data[1] == off && len(w.buf) == 0 && w.zeros == 0 {
		w.data[1] += n
		return
	}
	w.flush()
	w.data = [2]int64{off, n}
}

// Entry adds a parsed entry; dataSize is the size of the data file so far.
func (w *Writer) Entry(e *Entry, dataSize int64) error {
	if err := e.Check(dataSize); err != nil {
		return err
	}
	w.flush()
	w.entries++
	w.scratch = e.encode(w.scratch[:0])
	w.put(recEntry, uint64(len(w.scratch)))
	w.write(w.scratch)
	return w.err
}

// Close ends the table. It does not close the file below.
func (w *Writer) Close(diffID [sha256.Size]byte, dataSize int64) error {
	w.flush()
	w.put(recEnd, uint64(w.tarSize))
	w.write(diffID[:])
	w.write(binary.AppendUvarint(binary.AppendUvarint(nil, uint64(w.entries)), uint64(dataSize)))
	if w.err == nil {
		w.err = w.z.Close()
	}
	if w.err != nil {
		return fmt.Errorf("write toc: %w", w.err)
	}
	return nil
}

// Size is the number of bytes of the tar so far.
func (w *Writer) Size() int64 { return w.tarSize }

func (w *Writer) flush() {
	w.flushRaw()
	w.flushZeros()
	w.flushData()
}

func (w *Writer) flushRaw() {
	for b := w.buf; len(b) > 0; {
		n := min(len(b), maxRaw)
		w.put(recRaw, uint64(n))
		w.write(b[:n])
		b = b[n:]
	}
	w.buf = w.buf[:0]
}

func (w *Writer) flushZeros() {
	if w.zeros > 0 {
		w.put(recZeros, uint64(w.zeros))
		w.zeros = 0
	}
}

func (w *Writer) flushData() {
	if w.data[1] > 0 {
		w.put(recData, uint64(w.data[0]), uint64(w.data[1]))
		w.data = [2]int64{}
	}
}

func (w *Writer) put(kind byte, nums ...uint64) {
	b := append(make([]byte, 0, 32), kind)
	for _, n := range nums {
		b = binary.AppendUvarint(b, n)
	}
	w.write(b)
}

func (w *Writer) write(b []byte) {
	if w.err == nil {
		_, w.err = w.z.Write(b)
	}
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
