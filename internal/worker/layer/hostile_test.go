package layer_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/brig-engine/brig/internal/wire/jobs"
	"github.com/brig-engine/brig/internal/worker/toc"
	"github.com/containerd/errdefs"
)

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
	l := jobs.Limits{MaxBytes: 64 << 20, MaxEntries: 256, MaxHeaderBytes: 2 << 20}.WithDefaults()
	for name, c := range hostile(t) {
		_, err := convert(c.blob, l)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want %q", name, err, c.want)
		}
		if !errdefs.IsInvalidArgument(err) && !errdefs.IsResourceExhausted(err) {
			t.Errorf("%s: %v has no class", name, err)
		}
	}
}
