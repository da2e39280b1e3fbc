package log

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"os"
	"time"
)

// The format of the driver local, and of the cache of what goes to receivers. A record is
//
//	byte 0       0xb5
//	byte 1       what it is: 1 a line of standard output, 2 of standard error, 3 what is noted beside the lines that follow
//	bytes 2–5    how long the text is (all numbers are little endian)
//	bytes 6–13   when, in nanoseconds since 1970
//	…            the text; of kind 3, for each key and value how long it is, as a varint, and it
//	4 bytes      CRC-32C of all of this
//	4 bytes      how long the text is, again: from the end of a file one finds the beginning of its last record
//
// Reading goes on behind whatever is no record: a text cannot pass for one unless the record that it is part of is damaged.
type binaryFormat struct{ notes []byte }

const (
	magic    = 0xb5
	kindNote = 3
	before   = 14 // bytes
	behind   = 8
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func newBinary(attrs []Attr) *binaryFormat {
	f := &binaryFormat{}
	for _, a := range attrs {
		for _, s := range []string{a.Key, a.Value} {
			f.notes = append(binary.AppendUvarint(f.notes, uint64(len(s))), s...)
		}
	}
	return f
}

func (*binaryFormat) name() string { return "log.bin" }

func (f *binaryFormat) head(b []byte) []byte {
	if len(f.notes) == 0 {
		return b
	}
	return f.record(b, kindNote, time.Unix(0, 0), f.notes)
}

func (*binaryFormat) record(b []byte, kind byte, at time.Time, text []byte) []byte {
	start := len(b)
	b = append(b, magic, kind)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(text)))
	b = binary.LittleEndian.AppendUint64(b, uint64(at.UnixNano()))
	b = append(b, text...)
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
	return binary.LittleEndian.AppendUint32(b, uint32(len(text)))
}

func (f *binaryFormat) next(rec *Record, b []byte, more, _ bool) (n int, kind byte) {
	i := bytes.IndexByte(b, magic)
	switch {
	case i < 0:
		return len(b), 0
	case i > 0:
		return i, 0
	}
	size, valid := recordSize(b)
	switch {
	case !valid:
		return 1, 0
	case len(b) < size && more:
		return 0, 0
	case len(b) < size || !sound(b[:size]):
		return 1, 0
	}
	text := b[before : size-behind]
	if b[1] == kindNote {
		f.notes = append(f.notes[:0], text...)
		return size, kindNote
	}
	at := time.Unix(0, int64(binary.LittleEndian.Uint64(b[6:])))
	*rec = Record{Stream: b[1], Time: at, Text: text, notes: f.notes}
	return size, b[1]
}

// recordSize tells how long the record is that b begins with, as far as b says it already.
func recordSize(b []byte) (int, bool) {
	if len(b) > 1 && (b[1] < Stdout || b[1] > kindNote) {
		return 0, false
	}
	if len(b) < before {
		return before + behind, true
	}
	n := binary.LittleEndian.Uint32(b[2:])
	return before + int(n) + behind, n <= maxText
}

// maxText bounds a text: a line, or what is noted with the lengths of it.
const maxText = max(MaxLine, 3*maxAttrs)

// sound checks a whole record.
func sound(b []byte) bool {
	sum, n := binary.LittleEndian.Uint32(b[len(b)-behind:]), binary.LittleEndian.Uint32(b[len(b)-4:])
	return n == binary.LittleEndian.Uint32(b[2:]) && sum == crc32.Checksum(b[:len(b)-behind], castagnoli)
}

// decodeNotes reads what is noted.
func decodeNotes(b []byte) (attrs []Attr) {
	text := func() (string, bool) {
		n, used := binary.Uvarint(b)
		if used <= 0 || n > uint64(len(b)-used) {
			return "", false
		}
		s := string(b[used : used+int(n)])
		b = b[used+int(n):]
		return s, true
	}
	for len(b) > 0 {
		k, ok := text()
		v, also := text()
		if !ok || !also {
			return attrs
		}
		attrs = append(attrs, Attr{k, v})
	}
	return attrs
}

// whole looks at the last record first, and through the whole file only if there is none.
func (f *binaryFormat) whole(file *os.File, size int64) (int64, error) {
	var tail [4]byte
	if size >= before+behind {
		if _, err := file.ReadAt(tail[:], size-4); err != nil {
			return 0, err
		}
		n := int64(binary.LittleEndian.Uint32(tail[:])) + before + behind
		if n <= min(size, maxText+before+behind) {
			b := make([]byte, n)
			if _, err := file.ReadAt(b, size-n); err != nil {
				return 0, err
			}
			if is, valid := recordSize(b); valid && b[0] == magic && int64(is) == n && sound(b) {
				return size, nil
			}
		}
	}
	end := int64(0)
	r := &reader{format: &binaryFormat{}}
	err := r.decode(io.NewSectionReader(file, 0, size), true, func(after int64, _ *Record) error {
		end = after
		return nil
	})
	return end, err
}
