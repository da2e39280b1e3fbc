package index_test

import (
	"archive/tar"
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/brig-engine/brig/internal/wire/jobs"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

var update = flag.Bool("update", false, "write the golden files")

// line makes a header of a line: a path, and what it is.
//
//	dir/            a directory        name -> target   a symbolic link       name = target   a hard link
//	name            a file whose content is its name and the number of its layer
//	name !c         a device node      name !p          a FIFO
func line(layer int, s string) (tar.Header, string) {
	h := tar.Header{Mode: 0o644, ModTime: time.Unix(1e9, 0), Format: tar.FormatPAX}
	set := func(sep string, typ byte) bool {
		name, link, ok := strings.Cut(s, sep)
		if ok {
			h.Name, h.Linkname, h.Typeflag = name, link, typ
		}
		return ok
	}
	switch {
	case set(" -> ", tar.TypeSymlink), set(" = ", tar.TypeLink), set(" !c", tar.TypeChar), set(" !p", tar.TypeFifo):
		if h.Typeflag == tar.TypeChar {
			h.Linkname = ""
		}
		return h, ""
	case strings.HasSuffix(s, "/"):
		h.Name, h.Typeflag, h.Mode = s, tar.TypeDir, 0o700+int64(layer)
		return h, ""
	}
	body := fmt.Sprintf("%s of %d", s, layer)
	h.Name, h.Typeflag, h.Size = s, tar.TypeReg, int64(len(body))
	return h, body
}

// tarLines makes the tar of a layer.
func tarLines(t testing.TB, layer int, lines ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, s := range lines {
		h, body := line(layer, s)
		err := w.WriteHeader(&h)
		if err == nil {
			_, err = io.WriteString(w, body)
		}
		if err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

type layers [][]string

// merging has images by what they show: their layers, and what a mount must list, or the error.
var merging = map[string]struct {
	layers layers
	want   []string // without the root
	err    string
}{
	"last entry of a name wins": {layers{{"a", "a -> x", "a !p", "a"}}, []string{`"a" f644`}, ""},
	"a later layer wins": {layers{{"a", "d/", "d/x"}, {"a -> d", "d/"}}, []string{`"a" -> "d"`, `"d" d701`,
		`"d/x" f644 0`}, ""},
	"a file over a directory":          {layers{{"d/", "d/x", "d/e/", "d/e/y"}, {"d"}}, []string{`"d" f644 1`}, ""},
	"a directory over a file":          {layers{{"d"}, {"d/", "d/x"}}, []string{`"d" d701`, `"d/x" f644 1`}, ""},
	"missing parents":                  {layers{{"a/b/c"}}, []string{`"a" d755`, `"a/b" d755`, `"a/b/c" f644 0`}, ""},
	"a parent keeps its attributes":    {layers{{"d/"}, {"d/x"}}, []string{`"d" d700`, `"d/x" f644 1`}, ""},
	"whiteout":                         {layers{{"a", "b", "d/", "d/x"}, {".wh.a", ".wh.d"}}, []string{`"b" f644 0`}, ""},
	"whiteout of what is not there":    {layers{{"b"}, {".wh.a", "x/.wh.y", "b/.wh.c"}}, []string{`"b" f644 0`}, ""},
	"whiteout hides lower layers only": {layers{{"a"}, {"a", ".wh.a"}}, []string{`"a" f644 1`}, ""},
	"whiteout, then again":             {layers{{"a"}, {".wh.a"}, {"a"}}, []string{`"a" f644 2`}, ""},
	"whiteout and a new directory": {layers{{"d/", "d/old"}, {"d/", "d/new", ".wh.d"}}, []string{`"d" d701`,
		`"d/new" f644 1`}, ""},
	"whiteout in the lowest layer": {layers{{".wh.a", "b"}}, []string{`"b" f644 0`}, ""},
	"whiteout of a whiteout":       {layers{{"a"}, {".wh..wh.a"}}, []string{`"a" f644 0`}, ""},
	"whiteout through a link": {layers{{"d/", "d/x", "l -> d"}, {"l/.wh.x"}}, []string{`"d" d700`,
		`"d/x" f644 0`, `"l" -> "d"`}, ""},
	"opaque": {layers{{"d/", "d/old", "d/e/", "d/e/y"}, {"d/", "d/.wh..wh..opq", "d/new"}},
		[]string{`"d" d701`, `"d/new" f644 1`}, ""},
	"opaque after its siblings": {layers{{"d/", "d/old"}, {"d/new", "d/.wh..wh..opq"}}, []string{`"d" d700`,
		`"d/new" f644 1`}, ""},
	"opaque without its directory": {layers{{"a"}, {"d/.wh..wh..opq"}}, []string{`"a" f644 0`}, ""},
	"opaque root":                  {layers{{"a", "d/"}, {".wh..wh..opq", "b"}}, []string{`"b" f644 1`}, ""},
	"bookkeeping of AUFS": {layers{{".wh..wh.plnk/", ".wh..wh.plnk/1.2", ".wh..wh.aufs", "a"}},
		[]string{`"a" f644 0`}, ""},
	"hard links": {layers{{"a", "b = a", "d/c = ./b"}}, []string{`"a" f644 0 3`,
		`"b" f644 0 3 same="a"`, `"d" d755`, `"d/c" f644 0 3 same="a"`}, ""},
	"hard link across layers":       {layers{{"a"}, {"b = a"}}, []string{`"a" f644 0 2`, `"b" f644 0 2 same="a"`}, ""},
	"hard link outlives its target": {layers{{"a", "b = a"}, {".wh.a"}}, []string{`"b" f644 0 1`}, ""},
	"hard link to what is replaced": {layers{{"a", "b = a"}, {"a"}}, []string{`"a" f644 1`, `"b" f644 0`}, ""},
	"hard link in place of a whiteout": {layers{{"a", "b"}, {".wh.b", "b = a"}}, []string{`"a" f644 0 2`,
		`"b" f644 0 2 same="a"`}, ""},
	"hard link to a link": {layers{{"s -> x", "b = s"}}, []string{`"b" -> "x" 2`, `"s" -> "x" 2 same="b"`},
		""},
	"hard link to itself":        {layers{{"a", "a = a"}}, []string{`"a" f644 0 1`}, ""},
	"hard link to a FIFO":        {layers{{"p !p", "q = p"}}, []string{`"p" p644 2`, `"q" p644 2 same="p"`}, ""},
	"hard link to a device node": {layers{{"c !c", "d = c", "e"}}, []string{`"e" f644 0`}, ""},
	"device nodes are left out": {layers{{"dev/", "dev/null !c", "dev/f"}}, []string{`"dev" d700`,
		`"dev/f" f644 0`}, ""},
	"a device node hides": {layers{{"a", "b"}, {"a !c"}}, []string{`"b" f644 0`}, ""},
	"file below a link": {layers{{"etc/", "etc/passwd", "l -> etc", "l/passwd"}}, []string{`"etc" d700`,
		`"etc/passwd" f644 0`, `"l" d755`, `"l/passwd" f644 0`}, ""},
	"file below a link out": {layers{{"l -> /", "l/etc/cron.d/x"}}, []string{`"l" d755`, `"l/etc" d755`,
		`"l/etc/cron.d" d755`, `"l/etc/cron.d/x" f644 0`}, ""},
	"file below a lower link": {layers{{"l -> ../../.."}, {"l/x"}}, []string{`"l" d755`, `"l/x" f644 1`}, ""},
	"file below a file":       {layers{{"a"}, {"a/b"}}, []string{`"a" d755`, `"a/b" f644 1`}, ""},
	"no layers":               {layers{}, nil, ""},
	"an empty layer":          {layers{{}, {"a"}, {}}, []string{`"a" f644 1`}, ""},

	"hard link to nothing":      {layers{{"b = a"}}, nil, "not there"},
	"hard link to a whiteout":   {layers{{"a"}, {".wh.a", "b = a"}}, nil, "not there"},
	"hard link through a link":  {layers{{"d/", "d/x", "l -> d", "b = l/x"}}, nil, "not there"},
	"hard link to a directory":  {layers{{"d/", "b = d"}}, nil, "directory"},
	"hard link to a mark":       {layers{{".wh.a", "b = .wh.a"}}, nil, "not there"},
	"whiteout of nothing":       {layers{{".wh."}}, nil, "whiteout of nothing"},
	"whiteout of the directory": {layers{{"d/.wh.."}}, nil, "whiteout of nothing"},
	"whiteout of its parent":    {layers{{"d/.wh..."}}, nil, "whiteout of nothing"},
	"below a whiteout":          {layers{{".wh.d/x"}}, nil, "below a whiteout"},
}

// short lists a mounted image like the table does.
func short(t testing.TB, root string) []string {
	var out []string
	for _, l := range describe(t, root, false) {
		var name string
		var mode, uid, gid int
		fmt.Sscanf(l, "%q %o %d:%d", &name, &mode, &uid, &gid)
		if name == "." {
			continue
		}
		letter := map[int]string{0o100000: "f", 0o040000: "d", 0o010000: "p"}[mode&0o170000]
		s := fmt.Sprintf("%q %s%o", name, letter, mode&0o7777)
		if mode&0o170000 == 0o120000 {
			s = fmt.Sprintf("%q -> %s", name, strings.Fields(l[strings.Index(l, "-> "):])[1])
		}
		if letter == "f" {
			b, err := os.ReadFile(root + "/" + name)
			if err != nil {
				t.Fatal(err)
			}
			s += " " + string(b[len(b)-1:])
		}
		if i := strings.Index(l, "links="); i > 0 && letter != "d" {
			s += strings.TrimSuffix(" "+l[i+len("links="):], " ")
		}
		out = append(out, s)
	}
	return out
}

// TestLayersBecomeOneTree mounts each image of the table.
func TestLayersBecomeOneTree(t *testing.T) {
	for name, c := range merging {
		t.Run(name, func(t *testing.T) {
			var tars [][]byte
			for n, lines := range c.layers {
				tars = append(tars, tarLines(t, n, lines...))
			}
			b, err := build(t, tars...)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("%v; want %q", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := short(t, b.mount(t))
			ok := len(got) == len(c.want)
			for i := range min(len(got), len(c.want)) {
				ok = ok && strings.HasPrefix(got[i], c.want[i])
			}
			if !ok {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

// TestSameInputSameBytes: an index is named by its digest, so it must not depend on the order of a map.
func TestSameInputSameBytes(t *testing.T) {
	var lines []string
	for i := range 500 {
		lines = append(lines, fmt.Sprintf("d%d/f%d", i%7, i), fmt.Sprintf("l%d = d%d/f%d", i, i%7, i))
	}
	tars := [][]byte{tarLines(t, 0, lines...), tarLines(t, 1, ".wh.d1", "d2/.wh..wh..opq", "x")}
	first, err := build(t, tars...)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		again, err := build(t, tars...)
		if err != nil || again.merged.Digest != first.merged.Digest {
			t.Fatalf("%v, %v; want %v", again.merged, err, first.merged)
		}
	}
}

// TestForgedAttributesAreLeftOut: nothing that overlayfs or a security module acts on comes from an image.
func TestForgedAttributesAreLeftOut(t *testing.T) {
	acl := "\x02\x00\x00\x00\x01\x00\x06\x00\xff\xff\xff\xff\x04\x00\x04\x00\xff\xff\xff\xff" +
		"\x20\x00\x04\x00\xff\xff\xff\xff"
	h := tar.Header{Name: "f", Typeflag: tar.TypeReg, Mode: 0o644, Format: tar.FormatPAX, PAXRecords: map[string]string{}}
	for name, value := range map[string]string{"user.good": "1", "trusted.good": "2", "user.overlay.opaque": "y",
		"user.overlay.overlay.opaque": "y", "trusted.overlay.redirect": "/x", "trusted.overlay.whiteout": "y",
		"security.capability": "\x01\x00\x00\x02", "security.selinux": "x", "security.ima": "x",
		"system.posix_acl_access":  acl,
		"system.posix_acl_default": acl, "system.nfs4_acl": "x", "user.": "x", "trusted.": "x", "odd": "x"} {
		h.PAXRecords["SCHILY.xattr."+name] = value
	}
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	if err := w.WriteHeader(&h); err != nil {
		t.Fatal(err)
	}
	w.Close()
	b, err := build(t, buf.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if b.merged.Xattrs != 12 {
		t.Errorf("%d attributes left out", b.merged.Xattrs)
	}
	got := xattrs(t, b.mount(t)+"/f", 0)
	if want := fmt.Sprintf(" system.posix_acl_access=%q trusted.good=\"2\" user.good=\"1\"", acl); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

// TestLargeAttributes: links and directories with attributes of all sizes, which move the data beside an inode about.
func TestLargeAttributes(t *testing.T) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	want := map[string]string{}
	for i := range 120 {
		size := i * 97 % 5000
		if i%40 == 39 {
			size = 60_000
		}
		value := strings.Repeat("v", size+1)
		h := tar.Header{Name: fmt.Sprintf("d%d", i), Typeflag: tar.TypeDir, Mode: 0o755, Format: tar.FormatPAX,
			PAXRecords: map[string]string{"SCHILY.xattr.trusted.big": value}}
		if i%2 == 0 {
			h.Name, h.Typeflag, h.Linkname = fmt.Sprintf("l%d", i), tar.TypeSymlink, strings.Repeat("t", i*31%4000+1)
		}
		want[h.Name] = value + h.Linkname
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
	}
	w.Close()
	b, err := build(t, buf.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	root := b.mount(t)
	for name, s := range want {
		value := make([]byte, 64<<10)
		n, err := unix.Lgetxattr(root+"/"+name, "trusted.big", value)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		link, _ := os.Readlink(root + "/" + name)
		if string(value[:n])+link != s {
			t.Errorf("%s: the attribute or the link target differs", name)
		}
		if list, err := os.ReadDir(root + "/" + name); name[0] == 'd' && (err != nil || len(list) != 0) {
			t.Errorf("%s: %v, %v", name, list, err)
		}
	}
}

// TestLargeDirectory: 20,000 names of all lengths are found by name and listed once.
func TestLargeDirectory(t *testing.T) {
	var lines []string
	for i := range 20_000 {
		lines = append(lines, fmt.Sprintf("big/%d%s -> x", i, strings.Repeat("z", i%250)))
	}
	b, err := build(t, tarLines(t, 0, lines...))
	if err != nil {
		t.Fatal(err)
	}
	root := b.mount(t)
	list, err := os.ReadDir(root + "/big")
	if err != nil || len(list) != len(lines) {
		t.Fatalf("%d names, %v", len(list), err)
	}
	for _, l := range lines[:2000] {
		name, _, _ := strings.Cut(l, " ->")
		if to, err := os.Readlink(root + "/" + name); err != nil || to != "x" {
			t.Fatalf("%s: %q, %v", name, to, err)
		}
	}
}

// TestGolden shows a small image as the kernel shows it.
func TestGolden(t *testing.T) {
	b, err := build(t, tarLines(t, 0, "bin/", "bin/sh", "bin/ls = bin/sh", "etc/", "etc/passwd", "dev/", "dev/null !c",
		"tmp/x"),
		tarLines(t, 1, "etc/.wh.passwd", "etc/hosts -> ../tmp/x", "run !p"))
	if err != nil {
		t.Fatal(err)
	}
	m := *b.merged
	got := fmt.Sprintf("%s\n%d bytes, %d inodes, %d devices left out\n", m.Digest, m.Size, m.Inodes, m.Devices) +
		strings.Join(describe(t, b.mount(t), true), "\n") + "\n"
	const name = "testdata/golden.txt"
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("(-update writes it anew)\n%s", diff)
	}
}

// TestSetuidFilesAreListed, those of all layers, up to a bound.
func TestSetuidFilesAreListed(t *testing.T) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for i := range 1200 {
		w.WriteHeader(&tar.Header{Name: fmt.Sprintf("bin/%d", i), Typeflag: tar.TypeReg, Mode: 0o4755})
	}
	w.WriteHeader(&tar.Header{Name: "tmp/", Typeflag: tar.TypeDir, Mode: 0o2777})
	w.Close()
	b, err := build(t, buf.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if b.merged.SetuidCount != 1200 || len(b.merged.Setuid) != 1000 || !slices.Contains(b.merged.Setuid, "/bin/1") {
		t.Errorf("%d, %d", b.merged.SetuidCount, len(b.merged.Setuid))
	}
}

// TestMergeRefusesWrongSizes: a table of contents goes with exactly one size of data file.
func TestMergeRefusesWrongSizes(t *testing.T) {
	b, err := build(t, tarLines(t, 0, "a"))
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int64{0, 1, 4095, 8192, -4096, 1 << 60} {
		if _, err := merge(b, jobs.MergeParams{Layers: []jobs.MergeLayer{{DataSize: size}}}); err == nil {
			t.Errorf("size %d passed", size)
		}
	}
}
