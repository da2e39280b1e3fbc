package layer

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"strings"

	"github.com/brig-engine/brig/internal/wire/jobs"
	"github.com/brig-engine/brig/internal/worker/toc"
)

// maxExtended bounds one extended header or long name in bytes, as other readers do.
const maxExtended = 1 << 20

// Build reads the blob, writes the data file and the table of contents, and describes them. progress may be nil; it
// gets the bytes of the blob that were read. Errors name the entry; their class is ErrInvalidArgument for what is
// malformed and ErrResourceExhausted for what is over a limit.
func Build(blob io.Reader, data DataFile, table io.Writer, p jobs.LayerParams, limits jobs.Limits,
	progress func(done, total int64)) (*jobs.LayerResult, error) {
	compressed := &counter{r: blob}
	plain, name, end, err := Sniff(compressed)
	if err != nil {
		return nil, err
	}
	defer end()
	out := &counterW{w: table}
	tw, err := toc.NewWriter(out)
	if err != nil {
		return nil, err
	}
	src := newSource(plain, compressed, limits)
	ps := &parser{src: src, toc: tw, data: newDataWriter(data, limits.MaxBytes), limits: limits}
	if progress != nil {
		ps.tick = func() { progress(compressed.n.Load(), p.BlobSize) }
	}
	err = ps.run()
	sum := src.finish()
	if err != nil {
		return nil, err
	}
	size, err := ps.data.close()
	if err != nil {
		return nil, err
	}
	if err := tw.Close(sum, size); err != nil {
		return nil, err
	}
	if tw.Size() != src.total {
		return nil, fmt.Errorf("the table of contents stands for %d bytes of %d", tw.Size(), src.total)
	}
	return &jobs.LayerResult{DiffID: "sha256:" + hex.EncodeToString(sum[:]), Compression: name, Size: src.total,
		DataSize: size, TOCSize: out.n, Entries: ps.entries, Devices: ps.devices}, nil
}

type counterW struct {
	w io.Writer
	n int64
}

func (c *counterW) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}

// parser walks the tar.
type parser struct {
	src     *source
	toc     *toc.Writer
	data    *dataWriter
	limits  jobs.Limits
	tick    func()
	kept    int64 // bytes that are not content
	entries int64
	devices int64
}

// raw keeps bytes in the table of contents.
func (p *parser) raw(b []byte) error {
	if p.kept += int64(len(b)); p.kept > p.limits.MaxHeaderBytes {
		return toc.Exceeded("bytes of headers", p.limits.MaxHeaderBytes)
	}
	p.toc.Raw(b)
	return nil
}

// block reads one block and keeps it.
func (p *parser) block() (*block, error) {
	var b block
	if err := p.src.read(b[:]); err != nil {
		return nil, err
	}
	return &b, p.raw(b[:])
}

func (p *parser) run() error {
	for {
		h, err := p.next()
		if err == io.EOF {
			return p.rest()
		}
		if err == nil {
			if p.entries++; p.entries > p.limits.MaxEntries {
				err = toc.Exceeded("entries", p.limits.MaxEntries)
			} else {
				err = p.entry(h)
			}
			if err == io.EOF {
				return p.rest()
			}
		}
		if err == io.ErrUnexpectedEOF {
			err = toc.Invalid("the archive is cut off")
		}
		if err != nil && h != nil {
			return fmt.Errorf("entry %d (%.200q): %w", p.entries, h.name, err)
		}
		if err != nil {
			return fmt.Errorf("after entry %d: %w", p.entries, err)
		}
		if p.tick != nil {
			p.tick()
		}
	}
}

// next reads one header with its extensions. io.EOF is the end of the archive, with its marker or without.
func (p *parser) next() (*header, error) {
	var rec map[string]string
	var longName, longLink string
	for first := true; ; first = false {
		b, err := p.header()
		if err == io.EOF && !first {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, err
		}
		h, ok := b.parse()
		if !ok {
			return nil, toc.Invalid("a header has a malformed number")
		}
		var body string
		switch h.typ {
		case 'x', 'g', 'L', 'K':
			if body, err = p.extended(h.size); err != nil {
				return nil, err
			}
		default:
			if err := p.extend(h, b, rec, longName, longLink); err != nil {
				return h, err
			}
			return h, nil
		}
		switch h.typ {
		case 'x':
			rec, err = records(body)
		case 'g': // defaults for later entries: like other engines, without effect
			_, err = records(body)
			rec, longName, longLink = nil, "", ""
		case 'L':
			longName = text([]byte(body))
		case 'K':
			longLink = text([]byte(body))
		}
		if err != nil {
			return nil, err
		}
	}
}

// header reads the next header block; two zero blocks, or nothing, are the end.
func (p *parser) header() (*block, error) {
	b, err := p.block()
	if err != nil {
		return nil, err
	}
	if !b.isZero() {
		if !b.sumsMatch() {
			return nil, toc.Invalid("this is not a tar, or a header is damaged (checksum)")
		}
		return b, nil
	}
	if b, err = p.block(); err != nil {
		return nil, err
	}
	if !b.isZero() {
		return nil, toc.Invalid("a single zero block between entries")
	}
	return nil, io.EOF
}

// extended reads the body of an extended header and its padding.
func (p *parser) extended(size int64) (string, error) {
	if size > maxExtended {
		return "", toc.Exceeded("bytes in an extended header", maxExtended)
	}
	body := make([]byte, padded(size))
	if err := p.src.read(body); err != nil && len(body) > 0 {
		return "", cutOff(err)
	}
	return string(body[:size]), p.raw(body)
}

func cutOff(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

func padded(n int64) int64 { return (n + blockSize - 1) / blockSize * blockSize }

// extend merges what stood before a header into it.
func (p *parser) extend(h *header, b *block, rec map[string]string, longName, longLink string) error {
	if err := h.merge(rec); err != nil {
		return err
	}
	if longName != "" {
		h.name = longName
	}
	if longLink != "" {
		h.link = longLink
	}
	switch {
	case h.typ == 0 && strings.HasSuffix(h.name, "/"):
		h.typ = '5'
	case h.typ == 0 || h.typ == '7':
		h.typ = '0'
	}
	switch h.typ {
	case '1', '2', '3', '4', '5', '6':
		h.size = 0 // what such a header says of its size is without meaning
		return nil
	case 'S':
		if h.format != formatGNU {
			return toc.Invalid("a sparse file of the old format in an archive that is not GNU's")
		}
		if err := p.sparseGNU(h, b); err != nil {
			return cutOff(err)
		}
		h.typ = '0'
		return h.checkSparse()
	}
	inBody, err := h.sparseRecords(rec)
	if err != nil || !h.isSparse {
		return err
	}
	if inBody {
		if err := p.sparseBody(h); err != nil {
			return cutOff(err)
		}
	}
	return h.checkSparse()
}

// rest keeps what follows the end marker: mostly zeros up to the size of a tape record.
func (p *parser) rest() error {
	for {
		switch err := p.src.fill(); {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
		n := int64(len(p.src.cur))
		if err := p.src.each(n, p.trailer); err != nil {
			return fmt.Errorf("after the end of the archive: %w", err)
		}
	}
}

func (p *parser) trailer(b []byte) error {
	for len(b) > 0 {
		n := min(len(b), toc.Block)
		if len(bytes.Trim(b[:n], "\x00")) == 0 {
			p.toc.Raw(b[:n])
		} else {
			off := p.data.offset()
			if err := p.data.write(b[:n]); err != nil {
				return err
			}
			p.toc.Data(off, int64(n))
		}
		b = b[n:]
	}
	return nil
}
