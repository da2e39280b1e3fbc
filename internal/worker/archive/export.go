package archive

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/brig-engine/brig/internal/wire/jobs"
	"github.com/brig-engine/brig/internal/worker/toc"
)

// Export writes the exact tar of a layer to w, made of its table of contents and its data file. What was written is
// compared with the digest that the table holds; a difference is an error, after the fact.
func Export(w io.Writer, table io.Reader, data io.ReaderAt, p jobs.ExportParams, limits jobs.Limits,
	progress func(done, total int64)) (*jobs.ExportResult, error) {
	r, err := toc.NewReader(bufio.NewReaderSize(table, 1<<20), p.DataSize)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	sum := sha256.New()
	out := &exporter{w: io.MultiWriter(w, sum), data: data, buf: make([]byte, 1<<20), limit: limits.MaxBytes}
	for {
		_, piece, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		if piece == nil {
			continue
		}
		if err := out.piece(piece); err != nil {
			return nil, err
		}
		if progress != nil {
			progress(out.n, 0)
		}
	}
	end := r.End()
	if [sha256.Size]byte(sum.Sum(nil)) != end.DiffID {
		return nil, toc.Invalid("the layer is not what its table of contents says: the digest differs")
	}
	return &jobs.ExportResult{DiffID: "sha256:" + hex.EncodeToString(end.DiffID[:]), Size: out.n}, nil
}

type exporter struct {
	w     io.Writer
	data  io.ReaderAt
	buf   []byte
	n     int64
	limit int64
}

// piece writes what one record stands for.
func (e *exporter) piece(p *toc.Piece) error {
	if p.Length > e.limit-e.n {
		return toc.Exceeded("bytes in the tar of a layer", e.limit)
	}
	e.n += p.Length
	if p.Raw != nil {
		_, err := e.w.Write(p.Raw)
		return outError(err)
	}
	if !p.Data {
		clear(e.buf)
	}
	for off, left := p.Offset, p.Length; left > 0; {
		b := e.buf[:min(left, int64(len(e.buf)))]
		if p.Data {
			if _, err := e.data.ReadAt(b, off); errors.Is(err, io.EOF) {
				return toc.Invalid("the data file is shorter than it was")
			} else if err != nil {
				return fmt.Errorf("read data: %w", err)
			}
		}
		if _, err := e.w.Write(b); err != nil {
			return outError(err)
		}
		off += int64(len(b))
		left -= int64(len(b))
	}
	return nil
}

func outError(err error) error {
	if err != nil {
		return fmt.Errorf("write the archive: %w", err)
	}
	return nil
}
