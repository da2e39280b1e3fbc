package layer

import (
	"io"

	"github.com/brig-engine/brig/internal/worker/toc"
)

// maxTime keeps times within what file systems and programs can add to; it is some 34,000 years.
const maxTime = 1 << 40

// entry turns a header into an entry of the table of contents and moves its content to the data file.
func (p *parser) entry(h *header) error {
	e := &toc.Entry{Mode: uint16(h.mode & 0o7777), MTime: min(max(h.mtime, -maxTime), maxTime), MTimeNs: h.mtimeNs,
		Xattrs: h.xattrs}
	if h.uid < 0 || h.uid >= 1<<32-1 || h.gid < 0 || h.gid >= 1<<32-1 {
		return toc.Invalid("user id %d or group id %d", h.uid, h.gid)
	}
	e.UID, e.GID = uint32(h.uid), uint32(h.gid)
	var err error
	if e.Name, err = toc.Clean(h.name); err != nil {
		return err
	}
	switch h.typ {
	case '0':
		e.Kind = toc.Regular
	case '1':
		e.Kind = toc.Hardlink
		if e.Link, err = toc.Clean(h.link); err != nil {
			return err
		}
	case '2':
		e.Kind, e.Link = toc.Symlink, h.link
	case '3', '4':
		e.Kind = toc.Device
		p.devices++
	case '5':
		e.Kind = toc.Dir
	case '6':
		e.Kind = toc.Fifo
	default:
		return toc.Invalid("its type %q has no meaning in a layer", h.typ)
	}
	if e.Kind == toc.Regular {
		if h.isSparse {
			err = p.sparseContent(e, h)
		} else {
			err = p.content(e, h.size)
		}
		if err != nil {
			return err
		}
	}
	if err := p.toc.Entry(e, p.data.offset()); err != nil {
		return err
	}
	return p.padding(h.size)
}

// padding keeps the bytes between the content and the next header. Some writers leave out the last padding of all: then
// this is the end of the archive, io.EOF.
func (p *parser) padding(size int64) error {
	err := p.src.each(padded(size)-size, p.raw)
	if err == io.ErrUnexpectedEOF {
		return io.EOF
	}
	return err
}

// content moves a plain file: one extent, one chunk.
func (p *parser) content(e *toc.Entry, size int64) error {
	e.Size = size
	if size == 0 {
		return nil
	}
	if size > p.limits.MaxBytes || size > toc.MaxFileSize {
		return toc.Exceeded("bytes in one file", min(p.limits.MaxBytes, toc.MaxFileSize))
	}
	for e.ChunkSize() < size {
		e.ChunkBits++
	}
	if err := p.data.align(); err != nil {
		return err
	}
	off := p.data.offset()
	if err := p.store(size); err != nil {
		return err
	}
	e.Extents = []toc.Extent{{Data: off, Length: roundUp(size, toc.Block)}}
	return p.data.align()
}

// store moves n bytes of the stream to the data file.
func (p *parser) store(n int64) error {
	off := p.data.offset()
	err := p.src.each(n, func(b []byte) error {
		if p.tick != nil {
			p.tick()
		}
		return p.data.write(b)
	})
	p.toc.Data(off, n)
	return err
}

// sparseContent moves a sparse file. Fragments are widened to whole chunks, and those that then touch become one run,
// which is stored in one piece; the chunk grows with the file so that the number of chunks stays small.
func (p *parser) sparseContent(e *toc.Entry, h *header) error {
	e.Size = h.logical
	for roundUp(e.Size, e.ChunkSize())/e.ChunkSize() > toc.MaxChunks/4 {
		e.ChunkBits++
	}
	unit, end := e.ChunkSize(), roundUp(e.Size, toc.Block)
	var run *toc.Extent
	for _, f := range h.sparse {
		if f.n == 0 {
			continue
		}
		from, to := f.off/unit*unit, min(roundUp(f.off+f.n, unit), end)
		if run == nil || from > run.Logical+run.Length {
			if err := p.endRun(run); err != nil {
				return err
			}
			e.Extents = append(e.Extents, toc.Extent{Logical: from, Data: p.data.offset()})
			run = &e.Extents[len(e.Extents)-1]
		}
		run.Length = to - run.Logical
		if err := p.data.skipTo(run.Data + f.off - run.Logical); err != nil {
			return err
		}
		if err := p.store(f.n); err != nil {
			return err
		}
	}
	return p.endRun(run)
}

// endRun fills a run up to its end, which is the boundary of a block; without a run it finds the next boundary.
func (p *parser) endRun(run *toc.Extent) error {
	if run == nil {
		return p.data.align()
	}
	return p.data.skipTo(run.Data + run.Length)
}

func roundUp(n, unit int64) int64 { return (n + unit - 1) / unit * unit }
