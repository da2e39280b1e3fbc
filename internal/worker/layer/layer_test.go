package layer_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/brig-engine/brig/internal/wire/jobs"
	"github.com/brig-engine/brig/internal/worker/archive"
	"github.com/brig-engine/brig/internal/worker/layer"
	"github.com/brig-engine/brig/internal/worker/toc"
	"github.com/containerd/errdefs"
	"github.com/klauspost/compress/zstd"
)

// memory is a data file without a file.
type memory struct{ b []byte }

func (m *memory) WriteAt(p []byte, off int64) (int, error) {
	if end := off + int64(len(p)); end > int64(len(m.b)) {
		m.b = append(m.b, make([]byte, end-int64(len(m.b)))...)
	}
	return copy(m.b[off:], p), nil
}

func (m *memory) Truncate(n int64) error {
	if n > int64(len(m.b)) {
		m.b = append(m.b, make([]byte, n-int64(len(m.b)))...)
	}
	m.b = m.b[:n]
	return nil
}

// made is what a layer became.
type made struct {
	*jobs.LayerResult
	data    []byte
	toc     []byte
	entries []*toc.Entry
}

var limits = jobs.Limits{MaxBytes: 64 << 20}.WithDefaults()

// convert runs the job "layer" and reads its table of contents.
func convert(blob []byte, limits jobs.Limits) (*made, error) {
	var data memory
	var table bytes.Buffer
	r, err := layer.Build(bytes.NewReader(blob), &data, &table, jobs.LayerParams{BlobSize: int64(len(blob))}, limits,
		nil)
	if err != nil {
		return nil, err
	}
	m := &made{LayerResult: r, data: data.b, toc: table.Bytes()}
	tr, err := toc.NewReader(bytes.NewReader(m.toc), int64(len(m.data)))
	if err != nil {
		return nil, err
	}
	defer tr.Close()
	for {
		e, _, err := tr.Next()
		if err == io.EOF {
			return m, nil
		}
		if err != nil {
			return nil, fmt.Errorf("our own table of contents: %w", err)
		}
		if e != nil {
			m.entries = append(m.entries, e)
		}
	}
}

// content gives the bytes of a file as a mount shows them.
func (m *made) content(e *toc.Entry) []byte {
	b := make([]byte, e.Size)
	for _, x := range e.Extents {
		copy(b[x.Logical:min(x.Logical+x.Length, e.Size)], m.data[x.Data:x.Data+x.Length])
	}
	return b
}

// export makes the tar again.
func (m *made) export() ([]byte, error) {
	var out bytes.Buffer
	_, err := archive.Export(&out, bytes.NewReader(m.toc), bytes.NewReader(m.data),
		jobs.ExportParams{DataSize: int64(len(m.data))}, limits, nil)
	return out.Bytes(), err
}

// tarOf writes a tar with Go's writer; bodies are made of the sizes.
func tarOf(t testing.TB, headers ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		body := strings.Repeat("content ", int(h.Size)/8+1)[:h.Size]
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		err := w.WriteHeader(&h)
		if _, werr := io.WriteString(w, body); err != nil || werr != nil {
			t.Fatal(err, werr)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func simple(t testing.TB) []byte {
	return tarOf(t,
		tar.Header{Name: "./", Typeflag: tar.TypeDir, Mode: 0o755},
		tar.Header{Name: "./etc/", Typeflag: tar.TypeDir, Mode: 0o1777, Uid: 5, Gid: 6, ModTime: time.Unix(1e9, 0)},
		tar.Header{Name: "/etc/absolute", Size: 5000, Mode: 0o4755},
		tar.Header{Name: "etc/empty", Mode: 0o600},
		tar.Header{Name: "etc/hard", Typeflag: tar.TypeLink, Linkname: "./etc/absolute"},
		tar.Header{Name: "etc/sym", Typeflag: tar.TypeSymlink, Linkname: "../../../x"},
		tar.Header{Name: "etc/fifo", Typeflag: tar.TypeFifo},
		tar.Header{Name: "etc/null", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3},
		tar.Header{Name: strings.Repeat("long/", 60) + "name", Size: 4096, Format: tar.FormatGNU},
		tar.Header{Name: strings.Repeat("ünïcode/", 30), Typeflag: tar.TypeDir, ModTime: time.Unix(5, 678),
			Format:     tar.FormatPAX,
			PAXRecords: map[string]string{"SCHILY.xattr.user.x": "\x00\n=", "SCHILY.xattr.security.capability": "cap"}},
		tar.Header{Name: "big id", Uid: 1 << 31, Format: tar.FormatGNU},
		tar.Header{Name: ".wh.gone"},
	)
}

func compressed(t testing.TB, b []byte) map[string][]byte {
	t.Helper()
	var gz, zs bytes.Buffer
	g := gzip.NewWriter(&gz)
	g.Write(b[:len(b)/2])
	g.Close()
	g.Reset(&gz) // a second member: one stream
	g.Write(b[len(b)/2:])
	g.Close()
	z, err := zstd.NewWriter(&zs)
	if err != nil {
		t.Fatal(err)
	}
	z.Write(b)
	z.Close()
	skippable := append([]byte{0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 'a', 'b', 'c'}, zs.Bytes()...)
	return map[string][]byte{"none": b, "gzip": gz.Bytes(), "zstd": zs.Bytes(), "zstd skippable": skippable}
}

// TestEveryCompressionGivesTheSameLayer, and the tar comes back byte for byte.
func TestEveryCompressionGivesTheSameLayer(t *testing.T) {
	plain := simple(t)
	sum := sha256.Sum256(plain)
	want, err := convert(plain, limits)
	if err != nil {
		t.Fatal(err)
	}
	for name, blob := range compressed(t, plain) {
		m, err := convert(blob, limits)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if m.DiffID != "sha256:"+hex.EncodeToString(sum[:]) || !strings.HasPrefix(name, m.Compression) ||
			m.Size != int64(len(plain)) || m.DataSize != int64(len(m.data)) || m.Entries != 12 || m.Devices != 1 {
			t.Errorf("%s: %+v", name, m.LayerResult)
		}
		if !bytes.Equal(m.data, want.data) || !bytes.Equal(m.toc, want.toc) {
			t.Errorf("%s: the data or the table of contents differ", name)
		}
		if back, err := m.export(); err != nil || !bytes.Equal(back, plain) {
			t.Errorf("%s: the exported tar differs (%v)", name, err)
		}
	}
}

// TestRatioIsBounded: beyond a GiB a stream must not unpack to more than MaxRatio times its size.
func TestRatioIsBounded(t *testing.T) {
	var b bytes.Buffer
	z, _ := zstd.NewWriter(&b)
	z.Write(raw("f", '0', "77777777777\x00", nil))
	zeros := make([]byte, 1<<20)
	for range 1100 {
		z.Write(zeros)
	}
	z.Close()
	_, err := layer.Build(bytes.NewReader(b.Bytes()), discard{}, io.Discard, jobs.LayerParams{},
		jobs.Limits{}.WithDefaults(), nil)
	if err == nil || !strings.Contains(err.Error(), "times the size") || !errdefs.IsResourceExhausted(err) {
		t.Errorf("%v", err)
	}
}

type discard struct{}

func (discard) WriteAt(b []byte, _ int64) (int, error) { return len(b), nil }
func (discard) Truncate(int64) error                   { return nil }

// TestOddArchivesStayReproducible: what other readers accept is accepted, and comes back byte for byte.
func TestOddArchivesStayReproducible(t *testing.T) {
	file := raw("f", '0', "00000000005\x00", nil)
	body := append([]byte("hello"), make([]byte, 507)...)
	oddBody := append([]byte("hello"), bytes.Repeat([]byte("?"), 507)...)
	for name, blob := range map[string][]byte{
		"nothing":            nil,
		"only the end":       end,
		"no end":             join(file, body),
		"half an end":        join(file, body, make([]byte, 512)),
		"no padding":         join(file, []byte("hello")),
		"garbage in padding": join(file, oddBody, end),
		"record of zeros":    join(file, body, end, make([]byte, 10240)),
		"zeros, unaligned":   join(file, body, end, make([]byte, 777)),
		"garbage after the end": join(file, body, end, bytes.Repeat([]byte("garbage"), 10_000), make([]byte, 5000),
			[]byte("x")),
		"second archive": join(file, body, end, file, body, end),
		"global header":  join(raw("g", 'g', noSize, nil), file, body, end),
		"link with a size": join(raw("l", '2', "00000001000\x00", func(b []byte) { copy(b[157:], "x") }), file, body,
			end),
		"contiguous file":      join(raw("f", '7', "00000000005\x00", nil), body, end),
		"old directory":        join(raw("d/", 0, noSize, func(b []byte) { clear(b[257:512]) }), end),
		"signed checksum":      join(signed(), end),
		"space-padded numbers": join(raw("f", '0', "          5 ", nil), body, end),
		"base 256":             join(raw("f", '0', "\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x05", nil), body, end),
		"PAX in PAX order":     join(pax("path=a"), pax("path=b"), file, body, end),
		"sparse, only a hole":  join(gnuSparse(1<<20, 0), end),
	} {
		m, err := convert(blob, limits)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if back, err := m.export(); err != nil || !bytes.Equal(back, blob) {
			t.Errorf("%s: the exported tar differs (%v)", name, err)
		}
		if len(m.data) == 0 || len(m.data)%toc.Block != 0 {
			t.Errorf("%s: a data file of %d bytes", name, len(m.data))
		}
	}
}

// signed is a header whose checksum is of signed bytes.
func signed() []byte {
	b := raw("f\xff\xff", '0', noSize, nil)
	copy(b[148:], "        ")
	sum := 0
	for _, c := range b {
		sum += int(int8(c))
	}
	copy(b[148:], fmt.Sprintf("%06o\x00 ", sum))
	return b
}

// TestInterruptedOutputIsAnError: a data file that cannot be written ends the job, and leaves no goroutine behind.
func TestInterruptedOutputIsAnError(t *testing.T) {
	_, err := layer.Build(bytes.NewReader(tarOf(t, tar.Header{Name: "f", Size: 20 << 20})), full{}, io.Discard,
		jobs.LayerParams{}, limits, nil)
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

type full struct{ discard }

func (full) WriteAt([]byte, int64) (int, error) { return 0, os.ErrDeadlineExceeded }
