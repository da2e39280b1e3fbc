package toc

import (
	"bytes"
	"crypto/sha256"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/klauspost/compress/zstd"
)

const dataSize = 64 << 10

// sample has one entry of each kind.
func sample() []*Entry {
	return []*Entry{
		{Kind: Dir, Mode: 0o755},
		{Kind: Dir, Name: "etc", Mode: 0o1777, UID: 7, GID: 1<<32 - 2, MTime: -5, MTimeNs: 999_999_999},
		{Kind: Regular, Name: "etc/f", Mode: 0o4755, Size: 5000, ChunkBits: 1, Extents: []Extent{{Length: 8192, Data: 4096}},
			Xattrs: []Xattr{{"user.a", "1"}, {"user.b", "\x00\xff"}}},
		{Kind: Regular, Name: "sparse", Size: 5 * Block, Extents: []Extent{{Logical: Block, Length: Block},
			{Logical: 3 * Block, Data: Block, Length: 2 * Block}}},
		{Kind: Regular, Name: "empty"},
		{Kind: Hardlink, Name: "h", Link: "etc/f"},
		{Kind: Symlink, Name: "s", Link: "../../anything goes"},
		{Kind: Fifo, Name: "p"},
		{Kind: Device, Name: "d"},
	}
}

// TestRoundTrip: what was written is read again, pieces and entries in order, and the sums are compared.
func TestRoundTrip(t *testing.T) {
	var file bytes.Buffer
	w, err := NewWriter(&file)
	if err != nil {
		t.Fatal(err)
	}
	header := bytes.Repeat([]byte("h"), 512)
	var tar int64
	for _, e := range sample() {
		w.Raw(header)
		if err := w.Entry(e, dataSize); err != nil {
			t.Fatal(err)
		}
		tar += 512
	}
	w.Data(0, 100)
	w.Data(100, 50) // joins
	w.Data(4096, 10)
	w.Raw(make([]byte, 1024))
	w.Raw(make([]byte, 512)) // joins
	w.Raw([]byte("end"))
	tar += 160 + 1536 + 3
	sum := sha256.Sum256([]byte("x"))
	if err := w.Close(sum, dataSize); err != nil {
		t.Fatal(err)
	}
	r, err := NewReader(bytes.NewReader(file.Bytes()), dataSize)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var entries []*Entry
	var pieces []Piece
	for {
		e, p, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e != nil {
			entries = append(entries, e)
		} else {
			pieces = append(pieces, Piece{Raw: bytes.Clone(p.Raw), Data: p.Data, Offset: p.Offset, Length: p.Length})
		}
	}
	if !reflect.DeepEqual(entries, sample()) {
		t.Errorf("entries differ:\n%+v", entries)
	}
	want := []Piece{{Data: true, Length: 150}, {Data: true, Offset: 4096, Length: 10}, {Length: 1536},
		{Raw: []byte("end"), Length: 3}}
	if got := pieces[len(pieces)-4:]; !reflect.DeepEqual(got, want) {
		t.Errorf("pieces: %+v", got)
	}
	if end := r.End(); end.DiffID != sum || end.TarSize != tar || end.Entries != int64(len(entries)) {
		t.Errorf("end: %+v", end)
	}
}

func TestCleanKeepsNamesInsideTheRoot(t *testing.T) {
	long := strings.Repeat("x", 256)
	for name, want := range map[string]string{
		"a": "a", "/a": "a", "//a//b/": "a/b", "./a/./b": "a/b", "": "", "/": "", ".": "", "a/../b": "b", "a/..": "",
		"a b\n\xff": "a b\n\xff", "...": "...", "..a": "..a",
		"..": "!", "../a": "!", "a/../../b": "!", "/../etc/passwd": "!", "a\x00b": "!", long: "!", "a/" + long + "/b": "!",
		strings.Repeat("a/", 513): "!", strings.Repeat("a/", 512): strings.Repeat("a/", 511) + "a",
		strings.Repeat("abcdefgh/", 500): "!",
	} {
		got, err := Clean(name)
		if err != nil {
			got = "!"
		}
		if got != want {
			t.Errorf("Clean(%.60q) = %.60q, %v; want %.60q", name, got, err, want)
		}
		if err != nil && !errdefs.IsInvalidArgument(err) && !errdefs.IsResourceExhausted(err) {
			t.Errorf("Clean(%.60q): %v has no class", name, err)
		}
	}
}

// TestCheckRefuses: each entry breaks one rule.
func TestCheckRefuses(t *testing.T) {
	many := make([]Xattr, MaxXattrs+1)
	for i := range many {
		many[i].Name = strings.Repeat("n", i%200+1) + string(rune('a'+i/200))
	}
	many = SortXattrs(many)
	for name, e := range map[string]Entry{
		"kind 0":              {},
		"kind 9":              {Kind: 9, Name: "a"},
		"mode":                {Kind: Fifo, Name: "a", Mode: 0o10000},
		"uid -1":              {Kind: Fifo, Name: "a", UID: 1<<32 - 1},
		"root no directory":   {Kind: Regular},
		"dirty name":          {Kind: Fifo, Name: "a//b"},
		"dots":                {Kind: Fifo, Name: "a/../b"},
		"absolute":            {Kind: Fifo, Name: "/a"},
		"link to the root":    {Kind: Hardlink, Name: "a"},
		"hard link out":       {Kind: Hardlink, Name: "a", Link: "../b"},
		"empty symlink":       {Kind: Symlink, Name: "a"},
		"NUL in symlink":      {Kind: Symlink, Name: "a", Link: "a\x00"},
		"long symlink":        {Kind: Symlink, Name: "a", Link: strings.Repeat("a", MaxPath+1)},
		"link in a file":      {Kind: Regular, Name: "a", Link: "b"},
		"size in a directory": {Kind: Dir, Name: "a", Size: 1},
		"size":                {Kind: Regular, Name: "a", Size: MaxFileSize + 1},
		"negative size":       {Kind: Regular, Name: "a", Size: -1},
		"chunks":              {Kind: Regular, Name: "a", Size: MaxFileSize},
		"unsorted xattrs":     {Kind: Fifo, Name: "a", Xattrs: []Xattr{{"b", ""}, {"a", ""}}},
		"same xattr twice":    {Kind: Fifo, Name: "a", Xattrs: []Xattr{{"b", ""}, {"b", ""}}},
		"xattr without name":  {Kind: Fifo, Name: "a", Xattrs: []Xattr{{"", "x"}}},
		"many xattrs":         {Kind: Fifo, Name: "a", Xattrs: many},
		"large xattr":         {Kind: Fifo, Name: "a", Xattrs: []Xattr{{"a", strings.Repeat("x", MaxXattrSum)}}},
		"extent beyond data":  {Kind: Regular, Name: "a", Size: 1, Extents: []Extent{{Data: dataSize, Length: Block}}},
		"extent at -1":        {Kind: Regular, Name: "a", Size: 1, Extents: []Extent{{Data: -Block, Length: Block}}},
		"unaligned extent":    {Kind: Regular, Name: "a", Size: 1, Extents: []Extent{{Data: 1, Length: Block}}},
		"short extent":        {Kind: Regular, Name: "a", Size: 1, Extents: []Extent{{Length: 1}}},
		"empty extent":        {Kind: Regular, Name: "a", Size: 1, Extents: []Extent{{}}},
		"extent beyond file":  {Kind: Regular, Name: "a", Size: 1, Extents: []Extent{{Length: 2 * Block}}},
		"extent inside a chunk": {Kind: Regular, Name: "a", Size: 9 * Block, ChunkBits: 1,
			Extents: []Extent{{Length: Block}}},
		"overlapping extents": {Kind: Regular, Name: "a", Size: 3 * Block, Extents: []Extent{{Length: 2 * Block},
			{Logical: Block, Length: Block}}},
	} {
		if err := e.Check(dataSize); err == nil {
			t.Errorf("%s: passed", name)
		}
	}
	for _, e := range sample() {
		if err := e.Check(dataSize); err != nil {
			t.Errorf("%q: %v", e.Name, err)
		}
	}
}

// records makes a table of contents of raw records.
func records(b []byte) []byte {
	var out bytes.Buffer
	out.WriteString(magic)
	z, _ := zstd.NewWriter(&out, zstd.WithWindowSize(1<<20))
	z.Write(b)
	z.Close()
	return out.Bytes()
}

// readAll reads to the end or an error, and holds what was read against the rules.
func readAll(t testing.TB, b []byte) error {
	r, err := NewReader(bytes.NewReader(b), dataSize)
	if err != nil {
		return err
	}
	defer r.Close()
	for {
		e, p, err := r.Next()
		switch {
		case err == io.EOF:
			if r.End() == nil {
				t.Error("an end without an end record")
			}
			return nil
		case err != nil:
			return err
		case e != nil && e.Check(dataSize) != nil:
			t.Errorf("entry %+v breaks a rule", e)
		case p != nil && p.Data && (p.Offset < 0 || p.Length < 0 || p.Offset+p.Length > dataSize):
			t.Errorf("piece %+v is outside the data", p)
		}
	}
}

func TestReaderRefuses(t *testing.T) {
	end := append([]byte{recEnd, 0}, append(make([]byte, 32), 0, 0x80, 0x80, 0x04)...)
	if err := readAll(t, records(end)); err != nil {
		t.Fatalf("the smallest table: %v", err)
	}
	for name, b := range map[string][]byte{
		"nothing":          nil,
		"another format":   []byte("BRIGTOC\x02........"),
		"no end":           records(nil),
		"cut off":          records(end[:20]),
		"more after end":   records(append(bytes.Clone(end), 0)),
		"unknown record":   records([]byte{9}),
		"wrong size":       records(append([]byte{recZeros, 5}, end...)),
		"data outside":     records([]byte{recData, 0x80, 0x80, 0x04, 1}),
		"huge zeros":       records(append([]byte{recZeros}, bytes.Repeat([]byte{0xff}, 8)...)),
		"huge raw":         records([]byte{recRaw, 0xff, 0xff, 0xff, 0x7f}),
		"malformed entry":  records([]byte{recEntry, 2, 1, 1}),
		"not zstd":         []byte(magic + "hello, world"),
		"endless varint":   records(append([]byte{recZeros}, bytes.Repeat([]byte{0x80}, 20)...)),
		"sum of all zeros": records(bytes.Repeat([]byte{recZeros, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f}, 20)),
	} {
		err := readAll(t, b)
		if err == nil {
			t.Errorf("%s: passed", name)
		}
		if !errdefs.IsInvalidArgument(err) && !errdefs.IsResourceExhausted(err) {
			t.Errorf("%s: %v has no class", name, err)
		}
	}
}

// FuzzReader: a table that another worker wrote never leads outside the data file.
func FuzzReader(f *testing.F) {
	var raw []byte
	for _, e := range sample() {
		b := e.encode(nil)
		raw = append(append(raw, recEntry, byte(len(b))), b...)
	}
	f.Add(raw)
	f.Add([]byte{recData, 1, 1, recRaw, 1, 'x', recZeros, 3})
	f.Fuzz(func(t *testing.T, b []byte) { readAll(t, records(b)) })
}

// FuzzClean: what Clean gives is clean, and stays what it is.
func FuzzClean(f *testing.F) {
	f.Add("a/../b/./c//")
	f.Fuzz(func(t *testing.T, name string) {
		got, err := Clean(name)
		if err != nil {
			return
		}
		if again, err := Clean(got); err != nil || again != got || checkName(got) != nil {
			t.Errorf("Clean(%q) = %q, again %q, %v", name, got, again, err)
		}
	})
}
