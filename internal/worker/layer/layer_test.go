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

	"github.com/brig-engine/brig/internal/wire"
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
	*wire.JobLayerResult
	data    []byte
	toc     []byte
	entries []*toc.Entry
}

var limits = wire.JobLimits{MaxBytes: 64 << 20}.WithDefaults()

func make_(blob []byte, limits wire.JobLimits) (*made, error) {
	var data memory
	var table bytes.Buffer
	r, err := layer.Build(bytes.NewReader(blob), &data, &table, wire.JobLayerParams{BlobSize: int64(len(blob))}, limits,
		nil)
	if err != nil {
		return nil, err
	}
	m := &made{JobLayerResult: r, data: data.b, toc: table.Bytes()}
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
		wire.JobExportParams{DataSize: int64(len(m.data))}, limits, nil)
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
	want, err := make_(plain, limits)
	if err != nil {
		t.Fatal(err)
	}
	for name, blob := range compressed(t, plain) {
		m, err := make_(blob, limits)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if m.DiffID != "sha256:"+hex.EncodeToString(sum[:]) || !strings.HasPrefix(name, m.Compression) ||
			m.Size != int64(len(plain)) || m.DataSize != int64(len(m.data)) || m.Entries != 12 || m.Devices != 1 {
			t.Errorf("%s: %+v", name, m.JobLayerResult)
		}
		if !bytes.Equal(m.data, want.data) || !bytes.Equal(m.toc, want.toc) {
			t.Errorf("%s: the data or the table of contents differ", name)
		}
		if back, err := m.export(); err != nil || !bytes.Equal(back, plain) {
			t.Errorf("%s: the exported tar differs (%v)", name, err)
		}
	}
}

// raw is a header block with a right checksum.
func raw(name string, typ byte, size string, change func(b []byte)) []byte {
	b := make([]byte, 512)
	copy(b, name)
	copy(b[100:], "0000644\x00")
	copy(b[108:], "0000000\x00")
	copy(b[116:], "0000000\x00")
	copy(b[124:], size)
	copy(b[136:], "00000000000\x00")
	b[156] = typ
	copy(b[257:], "ustar\x0000")
	if change != nil {
		change(b)
	}
	copy(b[148:], "        ")
	sum := 0
	for _, c := range b {
		sum += int(c)
	}
	copy(b[148:], fmt.Sprintf("%06o\x00 ", sum))
	return b
}

func pax(records ...string) []byte {
	var body string
	for _, r := range records {
		n := len(r) + 3
		for len(fmt.Sprint(n))+len(r)+2 != n {
			n = len(fmt.Sprint(n)) + len(r) + 2
		}
		body += fmt.Sprintf("%d %s\n", n, r)
	}
	return paxBody(body)
}

func paxBody(body string) []byte {
	b := raw("x", 'x', fmt.Sprintf("%011o\x00", len(body)), nil)
	b = append(b, body...)
	return append(b, make([]byte, (512-len(body)%512)%512)...)
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

var end = make([]byte, 1024)

const noSize = "00000000000\x00"

// hostile is a corpus of archives that must be refused, each with a piece of the reason.
func hostile(t testing.TB) map[string]struct {
	blob []byte
	want string
} {
	type c = struct {
		blob []byte
		want string
	}
	gz := func(b []byte) []byte { return compressed(t, b)["gzip"] }
	file := raw("f", '0', noSize, nil)
	manyEntries := bytes.Repeat(file, 300)
	return map[string]c{
		"xz":                {[]byte("\xfd7zXZ\x00......"), "xz"},
		"bzip2":             {[]byte("BZh91AY&SY..."), "bzip2"},
		"text":              {bytes.Repeat([]byte("this is no tar "), 100), "not a tar"},
		"short text":        {[]byte("hello"), "cut off"},
		"broken gzip":       {gz(simple(t))[:300], "cut off"},
		"gzip with garbage": {append(gz(simple(t)), "garbage"...), "cut off"},
		"damaged gzip":      {append(gz(end)[:12], 1, 2, 3, 4, 5, 6, 7, 8, 9, 10), "decompress"},
		"zstd window bomb":  {[]byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xf8, 0x01, 0x00, 0x00}, "window"},
		"cut in header":     {file[:200], "cut off"},
		"cut in body":       {join(raw("f", '0', "00000001000\x00", nil), []byte("x")), "cut off"},
		"cut in PAX":        {pax("path=a")[:600], "cut off"},
		"PAX and nothing":   {join(pax("path=a")), "cut off"},
		"checksum":          {join(file[:10], []byte{'!'}, file[11:], end), "checksum"},
		"one zero block":    {join(file, make([]byte, 512), file, end), "zero block"},
		"dotdot":            {join(raw("../../etc/passwd", '0', noSize, nil), end), "leaves the root"},
		"dotdot in PAX":     {join(pax("path=a/../../b"), file, end), "leaves the root"},
		"hard link out": {join(raw("a", '1', noSize, func(b []byte) { copy(b[157:], "../../etc/shadow") }), end),
			"leaves the root"},
		"NUL in name":    {join(pax("path=a\x00b"), file, end), "malformed"},
		"empty link":     {join(raw("a", '2', noSize, nil), end), "empty"},
		"long component": {join(pax("path="+strings.Repeat("x", 256)), file, end), "more than 255 bytes in a name"},
		"long path": {join(pax("path="+strings.Repeat("xxxxxxx/", 600)), file, end),
			"more than 4095 bytes in a path"},
		"deep path": {join(pax("path="+strings.Repeat("x/", 600)), file, end), "more than 512 components"},
		"long link": {join(pax("linkpath="+strings.Repeat("x", 5000)), raw("a", '2', noSize, nil), end),
			"4095 bytes in a link"},
		"PAX bomb": {join(raw("x", 'x', "00010000000\x00", nil), make([]byte, 2<<20)),
			"bytes in an extended header"},
		"long name bomb": {join(raw("x", 'L', "77777777777\x00", nil), make([]byte, 2<<20)),
			"bytes in an extended header"},
		"PAX length":        {join(paxBody("999 path=a\n"), file, end), "malformed"},
		"PAX length 0":      {join(paxBody("0 path=a\n"), file, end), "malformed"},
		"PAX no newline":    {join(paxBody("9 path=aa"), file, end), "malformed"},
		"PAX negative size": {join(pax("size=-1"), file, end), "negative"},
		"PAX uid":           {join(pax("uid=root"), file, end), "uid"},
		"uid too large":     {join(pax("uid=4294967295"), file, end), "user id"},
		"uid negative":      {join(pax("uid=-1"), file, end), "user id"},
		"octal":             {join(raw("f", '0', "0000000000x\x00", nil), end), "malformed number"},
		"negative size": {join(raw("f", '0', "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", nil), end),
			"malformed number"},
		"size beyond int64": {join(raw("f", '0', "\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", nil), end),
			"malformed number"},
		"huge size":    {join(pax("size=9000000000000000000"), file, end), "bytes in one file"},
		"volume label": {join(raw("label", 'V', noSize, nil), end), "no meaning"},
		"file as root": {join(raw("./", '0', noSize, nil), end), "not a directory"},
		"large xattr": {join(pax("SCHILY.xattr.user.a="+strings.Repeat("x", 70_000)), file, end),
			"extended attributes"},
		"many xattrs": {join(pax(manyXattrs()...), file, end), "extended attributes"},
		"entries":     {join(manyEntries, end), "more than 256 entries"},
		"header bytes": {join(bytes.Repeat(pax("comment="+strings.Repeat("x", 900_000)), 3), file, end),
			"bytes of headers"},
		"uncompressed bytes": {gz(join(raw("f", '0', "00600000000\x00", nil), make([]byte, 96<<20))), "bytes in"},
		"sparse overlap":     {join(gnuSparse(100, 8, 0, 8, 4, 0), make([]byte, 512), end), "overlaps"},
		"sparse outside":     {join(gnuSparse(4, 8, 0, 8), make([]byte, 512), end), "leaves the file"},
		"sparse bomb":        {join(gnuSparse(1<<50, 0), end), "bytes in one file"},
		"sparse stored":      {join(gnuSparse(100, 8, 0, 4), make([]byte, 512), end), "does not match"},
		"sparse not GNU":     {join(raw("s", 'S', noSize, nil), end), "not GNU"},
		"sparse map 0.1": {join(pax("GNU.sparse.numblocks=2", "GNU.sparse.map=0,1,2", "GNU.sparse.size=9"), file, end),
			"numbers"},
		"sparse map 1.0": {join(pax("GNU.sparse.major=1", "GNU.sparse.minor=0", "GNU.sparse.realsize=9", "size=512"), file,
			[]byte("99999999\n"), make([]byte, 503), end), "fragments"},
		"sparse data bomb": {join(gnuSparse(1<<42, 1, 1<<40, 1), make([]byte, 512), end), "bytes in the data"},
	}
}

func manyXattrs() []string {
	var out []string
	for i := range toc.MaxXattrs + 1 {
		out = append(out, fmt.Sprintf("SCHILY.xattr.user.%d=x", i))
	}
	return out
}

// gnuSparse is the header of a sparse file of the old format: its size, what it stores, and the fragments.
func gnuSparse(size, stored int64, fragments ...int64) []byte {
	return raw("s", 'S', fmt.Sprintf("%011o\x00", stored), func(b []byte) {
		copy(b[257:], "ustar  \x00")
		for i, n := range fragments {
			copy(b[386+12*i:], fmt.Sprintf("%011o\x00", n))
		}
		binary := b[483:495]
		binary[0] = 0x80
		for i := 11; i > 3; i-- {
			binary[i] = byte(size)
			size >>= 8
		}
	})
}

// TestHostileArchivesAreRefused, with a sentence that names the reason or the limit, and a class.
func TestHostileArchivesAreRefused(t *testing.T) {
	l := wire.JobLimits{MaxBytes: 64 << 20, MaxEntries: 256, MaxHeaderBytes: 2 << 20}.WithDefaults()
	for name, c := range hostile(t) {
		_, err := make_(c.blob, l)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want %q", name, err, c.want)
		}
		if !errdefs.IsInvalidArgument(err) && !errdefs.IsResourceExhausted(err) {
			t.Errorf("%s: %v has no class", name, err)
		}
	}
}

// TestRatioIsBounded: beyond a GiB a stream must not unpack to more than MaxRatio times its size.
func TestRatioIsBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("missing: time")
	}
	var b bytes.Buffer
	z, _ := zstd.NewWriter(&b)
	z.Write(raw("f", '0', "77777777777\x00", nil))
	zeros := make([]byte, 1<<20)
	for range 1100 {
		z.Write(zeros)
	}
	z.Close()
	_, err := layer.Build(bytes.NewReader(b.Bytes()), discard{}, io.Discard, wire.JobLayerParams{},
		wire.JobLimits{}.WithDefaults(), nil)
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
		m, err := make_(blob, limits)
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
		wire.JobLayerParams{}, limits, nil)
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

type full struct{ discard }

func (full) WriteAt([]byte, int64) (int, error) { return 0, os.ErrDeadlineExceeded }
