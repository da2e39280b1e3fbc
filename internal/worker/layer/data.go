package layer

import (
	"fmt"
	"io"

	"github.com/brig-engine/brig/internal/worker/toc"
)

// DataFile is where content goes: an empty file, in practice without a name.
type DataFile interface {
	io.WriterAt
	Truncate(size int64) error
}

// dataWriter appends to a data file. What it skips stays a hole, which reads as zeros.
type dataWriter struct {
	f     DataFile
	buf   []byte
	start int64 // offset of buf in the file
	limit int64
}

func newDataWriter(f DataFile, limit int64) *dataWriter {
	return &dataWriter{f: f, buf: make([]byte, 0, 1<<20), limit: limit}
}

// offset is where the next byte goes.
func (d *dataWriter) offset() int64 { return d.start + int64(len(d.buf)) }

func (d *dataWriter) write(b []byte) error {
	if d.offset()+int64(len(b)) > d.limit {
		return toc.Exceeded("bytes in the data of a layer", d.limit)
	}
	if len(d.buf)+len(b) <= cap(d.buf) {
		d.buf = append(d.buf, b...)
		return nil
	}
	if err := d.flush(); err != nil {
		return err
	}
	if len(b) < cap(d.buf)/4 {
		d.buf = append(d.buf, b...)
		return nil
	}
	if _, err := d.f.WriteAt(b, d.start); err != nil {
		return fmt.Errorf("write data: %w", err)
	}
	d.start += int64(len(b))
	return nil
}

func (d *dataWriter) flush() error {
	if len(d.buf) > 0 {
		if _, err := d.f.WriteAt(d.buf, d.start); err != nil {
			return fmt.Errorf("write data: %w", err)
		}
	}
	d.start += int64(len(d.buf))
	d.buf = d.buf[:0]
	return nil
}

var zeros [toc.Block]byte

// skipTo moves to a later offset.
func (d *dataWriter) skipTo(off int64) error {
	n := off - d.offset()
	if n <= int64(len(zeros)) {
		return d.write(zeros[:n])
	}
	if off > d.limit {
		return toc.Exceeded("bytes in the data of a layer", d.limit)
	}
	if err := d.flush(); err != nil {
		return err
	}
	d.start = off
	return nil
}

// align moves to the next boundary of a block.
func (d *dataWriter) align() error {
	return d.skipTo((d.offset() + toc.Block - 1) / toc.Block * toc.Block)
}

// close writes out the rest. A data file is never empty, because an empty file cannot be every kind of device.
func (d *dataWriter) close() (int64, error) {
	if err := d.align(); err != nil {
		return 0, err
	}
	if d.offset() == 0 {
		if err := d.write(zeros[:]); err != nil {
			return 0, err
		}
	}
	if err := d.flush(); err != nil {
		return 0, err
	}
	if err := d.f.Truncate(d.start); err != nil {
		return 0, fmt.Errorf("size the data file: %w", err)
	}
	return d.start, nil
}
