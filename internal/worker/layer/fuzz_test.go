package layer_test

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/brig-engine/brig/internal/wire/jobs"
	"github.com/brig-engine/brig/internal/worker/toc"
)

var small = jobs.Limits{MaxBytes: 4 << 20, MaxEntries: 1000, MaxHeaderBytes: 4 << 20}.WithDefaults()

// FuzzLayer: whatever is accepted comes back byte for byte, and means what it means to Go's archive/tar, which
// registries, scanners and signers use: a reader that disagrees with them is how an image hides something.
func FuzzLayer(f *testing.F) {
	for _, b := range compressed(f, simple(f)) {
		f.Add(b)
	}
	for _, c := range hostile(f) {
		if len(c.blob) < 100<<10 {
			f.Add(c.blob)
		}
	}
	f.Add(join(gnuSparse(10_000, 600, 512, 100, 8192, 500), bytes.Repeat([]byte("s"), 1024), end))
	f.Add(join(pax("GNU.sparse.major=1", "GNU.sparse.minor=0", "GNU.sparse.realsize=9000", "GNU.sparse.name=n",
		"size=517"),
		raw("GNUSparseFile.0/n", '0', noSize, nil), []byte("1\n4096\n5\n"), make([]byte, 503), []byte("hello"), make([]byte,
			507), end))
	f.Fuzz(func(t *testing.T, blob []byte) {
		blob = mend(blob)
		m, err := convert(blob, small)
		if err != nil {
			return
		}
		plain, err := m.export()
		if err != nil || m.Size != int64(len(plain)) {
			t.Fatalf("export: %v", err)
		}
		if m.Compression == "none" && !bytes.Equal(plain, blob) {
			t.Fatal("the exported tar differs")
		}
		likeStandard(t, m, plain)
	})
}

// mend sets the checksums of what looks like headers right, so that mutations reach what is behind the checksum.
func mend(blob []byte) []byte {
	out := bytes.Clone(blob)
	for at := 0; at+512 <= len(out); at += 512 {
		b := out[at : at+512]
		if string(b[257:262]) != "ustar" {
			continue
		}
		sum := 8 * int(' ')
		for i, c := range b {
			if i < 148 || i >= 156 {
				sum += int(c)
			}
		}
		copy(b[148:], fmt.Sprintf("%06o\x00 ", sum))
	}
	return out
}

// kinds are the types of entries as the standard library names them.
var kinds = map[byte]toc.Kind{tar.TypeReg: toc.Regular, tar.TypeLink: toc.Hardlink, tar.TypeSymlink: toc.Symlink,
	tar.TypeChar: toc.Device, tar.TypeBlock: toc.Device, tar.TypeDir: toc.Dir, tar.TypeFifo: toc.Fifo,
	tar.TypeCont: toc.Regular, tar.TypeGNUSparse: toc.Regular}

// likeStandard compares entries with what archive/tar reads from the same bytes.
func likeStandard(t *testing.T, m *made, plain []byte) {
	r := tar.NewReader(bytes.NewReader(plain))
	for n, e := range m.entries {
		h, err := r.Next()
		for err == nil && h.Typeflag == tar.TypeXGlobalHeader {
			h, err = r.Next()
		}
		if err != nil {
			t.Fatalf("entry %d (%q): archive/tar says %v", n, e.Name, err)
		}
		name, err := toc.Clean(h.Name)
		if err != nil || name != e.Name || kinds[h.Typeflag] != e.Kind {
			t.Fatalf("entry %d: %q (%d), archive/tar has %q (%c)", n, e.Name, e.Kind, h.Name, h.Typeflag)
		}
		if int64(e.UID) != int64(h.Uid) || int64(e.GID) != int64(h.Gid) || int64(e.Mode) != h.Mode&0o7777 {
			t.Fatalf("entry %d: owner or mode differ: %+v, %+v", n, e, h)
		}
		if u := h.ModTime.Unix(); u > -1<<39 && u < 1<<39 && (u != e.MTime || uint32(h.ModTime.Nanosecond()) != e.MTimeNs) {
			t.Fatalf("entry %d: time %d.%d, archive/tar has %d.%d", n, e.MTime, e.MTimeNs, u, h.ModTime.Nanosecond())
		}
		if e.Kind == toc.Symlink && e.Link != h.Linkname {
			t.Fatalf("entry %d: link to %q, archive/tar has %q", n, e.Link, h.Linkname)
		}
		for _, x := range e.Xattrs {
			if h.PAXRecords["SCHILY.xattr."+x.Name] != x.Value {
				t.Fatalf("entry %d: attribute %q differs", n, x.Name)
			}
		}
		if e.Kind != toc.Regular || e.Size > 8<<20 {
			continue
		}
		want, err := io.ReadAll(io.LimitReader(r, 8<<20))
		if err != nil || !bytes.Equal(want, m.content(e)) {
			t.Fatalf("entry %d (%q): the content differs (%v)", n, e.Name, err)
		}
	}
	for {
		h, err := r.Next()
		if err != nil {
			return
		}
		if !strings.ContainsRune("gxLK", rune(h.Typeflag)) {
			t.Fatalf("archive/tar has one more entry: %q", h.Name)
		}
	}
}
