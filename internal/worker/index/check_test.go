package index_test

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/brig-engine/brig/internal/worker/index/check"
	"github.com/brig-engine/brig/internal/worker/index/erofs"
	"github.com/containerd/errdefs"
	goerofs "github.com/erofs/go-erofs"
)

// victim is a small index with something of everything, and the sizes of its devices.
func victim(t testing.TB) ([]byte, []int64) {
	t.Helper()
	lines := []string{"a", "b = a", "d/", "d/sub/", "d/sub/f", "d/l -> ../a", "d/p !p", "e/"}
	for i := range 150 {
		lines = append(lines, "big/"+strings.Repeat("n", 40)+string(rune('a'+i/26))+string(rune('a'+i%26))+" -> x")
	}
	b, err := build(t, tarLines(t, 0, lines...), tarLines(t, 1, "z", "d/sub/g"))
	if err != nil {
		t.Fatal(err)
	}
	image, err := os.ReadFile(b.index.Name())
	if err != nil {
		t.Fatal(err)
	}
	return image, []int64{b.layers[0].DataSize, b.layers[1].DataSize}
}

// seal sets the checksum of the superblock right.
func seal(b []byte) {
	s := b[erofs.SuperOffset:erofs.BlockSize]
	clear(s[erofs.SuperChecksum : erofs.SuperChecksum+4])
	sum := ^crc32.Checksum(s, crc32.MakeTable(crc32.Castagnoli))
	binary.LittleEndian.PutUint32(s[erofs.SuperChecksum:], sum)
}

// nodes finds the offset of every inode by path, independently of the checker: names are unique in the victim.
func nodes(b []byte) map[string]int {
	meta := int(binary.LittleEndian.Uint32(b[erofs.SuperOffset+erofs.SuperMetaBlock:])) * erofs.BlockSize
	root := meta + int(binary.LittleEndian.Uint16(b[erofs.SuperOffset+erofs.SuperRootNid:]))*erofs.NidSize
	out := map[string]int{"/": root}
	var walk func(at int)
	walk = func(at int) {
		size := int(binary.LittleEndian.Uint64(b[at+erofs.InodeLength:]))
		if size >= erofs.BlockSize {
			return
		}
		data := b[at+erofs.InodeSize:][:size]
		count := int(binary.LittleEndian.Uint16(data[8:])) / erofs.DirentSize
		for i := range count {
			from, to := int(binary.LittleEndian.Uint16(data[i*erofs.DirentSize+8:])), size
			if i+1 < count {
				to = int(binary.LittleEndian.Uint16(data[(i+1)*erofs.DirentSize+8:]))
			}
			name := string(data[from:to])
			at := meta + int(binary.LittleEndian.Uint64(data[i*erofs.DirentSize:]))*erofs.NidSize
			out[name] = at
			if data[i*erofs.DirentSize+10] == erofs.TypeDir && name != "." && name != ".." {
				walk(at)
			}
		}
	}
	walk(root)
	return out
}

// direntOf finds the entry of a name in a directory whose data stands beside its inode.
func direntOf(b []byte, dir int, name string) []byte {
	size := int(binary.LittleEndian.Uint64(b[dir+erofs.InodeLength:]))
	data := b[dir+erofs.InodeSize:][:size]
	count := int(binary.LittleEndian.Uint16(data[8:])) / erofs.DirentSize
	for i := range count {
		from, to := int(binary.LittleEndian.Uint16(data[i*erofs.DirentSize+8:])), size
		if i+1 < count {
			to = int(binary.LittleEndian.Uint16(data[(i+1)*erofs.DirentSize+8:]))
		}
		if string(data[from:to]) == name {
			return data[i*erofs.DirentSize:]
		}
	}
	panic("no " + name)
}

// TestCheckFindsEachDamage changes one thing at a time in a sound index.
func TestCheckFindsEachDamage(t *testing.T) {
	sound, sizes := victim(t)
	if _, err := check.Bytes(sound, sizes, 1000); err != nil {
		t.Fatal(err)
	}
	n := nodes(sound)
	le := binary.LittleEndian
	super := func(field int, v uint32) func([]byte) {
		return func(b []byte) { le.PutUint32(b[erofs.SuperOffset+field:], v) }
	}
	inode := func(name string, field int, v uint32) func([]byte) {
		return func(b []byte) { le.PutUint32(b[n[name]+field:], v) }
	}
	half := func(name string, field int, v uint16) func([]byte) {
		return func(b []byte) { le.PutUint16(b[n[name]+field:], v) }
	}
	dirent := func(dir, name string, f func(d []byte)) func([]byte) {
		return func(b []byte) { f(direntOf(b, n[dir], name)) }
	}
	nid := func(name string) uint64 { return le.Uint64(direntOf(sound, n["/"], name)) }
	for name, c := range map[string]struct {
		damage func(b []byte)
		want   string
	}{
		"magic":                 {super(erofs.SuperMagic, 1), "magic"},
		"feature":               {super(erofs.SuperIncompat, 0x1c), "features"},
		"compressed feature":    {super(erofs.SuperIncompat, 0xd), "features"},
		"compatible feature":    {super(erofs.SuperCompat, 7), "features"},
		"block size":            {func(b []byte) { b[erofs.SuperOffset+erofs.SuperBlockBits] = 9 }, "block size"},
		"blocks":                {super(erofs.SuperBlocks, 1<<20), "blocks"},
		"metadata address":      {super(erofs.SuperMetaBlock, 1<<20), "out of place"},
		"shared attributes":     {super(erofs.SuperXattrBlock, 1), "not used"},
		"inode count":           {super(erofs.SuperInodes, 5), "inodes"},
		"inode count, one more": {func(b []byte) { b[erofs.SuperOffset+erofs.SuperInodes]++ }, "inodes"},
		"device count":          {func(b []byte) { b[erofs.SuperOffset+erofs.SuperDevices] = 1 }, "devices"},
		"device table":          {func(b []byte) { b[erofs.SuperOffset+erofs.SuperDeviceSlot] = 0xff }, "out of place"},
		"device size":           {func(b []byte) { b[1152+64]++ }, "device 1"},
		"device mapped":         {func(b []byte) { b[1152+68]++ }, "reserved"},
		"packed inode":          {func(b []byte) { b[erofs.SuperOffset+96] = 1 }, "reserved"},
		"root":                  {func(b []byte) { b[erofs.SuperOffset+erofs.SuperRootNid]++ }, ""},
		"root is a file": {func(b []byte) {
			le.PutUint16(b[erofs.SuperOffset+erofs.SuperRootNid:],
				uint16(nid("a")))
		}, "not a directory"},
		"compact inode":           {half("a", 0, erofs.LayoutChunk), "compact"},
		"layout":                  {half("a", 0, erofs.FormatExtended|1<<1), "layout"},
		"format bits":             {half("a", 0, erofs.FormatExtended|erofs.LayoutChunk|0x20), "layout"},
		"character device":        {half("a", erofs.InodeMode, 0o020666), "must not have"},
		"block device":            {half("p", erofs.InodeMode, 0o060666), "must not have"},
		"socket":                  {half("p", erofs.InodeMode, 0o140666), "must not have"},
		"FIFO with a number":      {inode("p", erofs.InodeUnion, 0x103), "FIFO"},
		"uid -1":                  {inode("a", erofs.InodeUID, ^uint32(0)), "id -1"},
		"nanoseconds":             {inode("a", erofs.InodeMTimeNs, 1e9), "nanoseconds"},
		"no links":                {inode("a", erofs.InodeNlink, 0), "no links"},
		"too many links":          {inode("a", erofs.InodeNlink, 3), "names"},
		"links of a directory":    {inode("d", erofs.InodeNlink, 9), "names"},
		"reserved":                {inode("a", erofs.InodeReserved, 1), "reserved"},
		"size beyond the chunk":   {inode("a", erofs.InodeLength, 1<<20), "device"},
		"huge size":               {inode("a", erofs.InodeLength+4, 1<<30), "size"},
		"chunk bits":              {inode("a", erofs.InodeUnion, 0x20|0x40), "format"},
		"no chunk table":          {inode("a", erofs.InodeUnion, 0), "format"},
		"chunk outside":           {inode("a", erofs.InodeSize+4, 1<<30), "outside device"},
		"chunk just outside":      {inode("a", erofs.InodeSize+4, uint32(sizes[0]/4096)), "outside device"},
		"device 0":                {half("a", erofs.InodeSize+2, 0), "no device 0"},
		"device 3":                {half("a", erofs.InodeSize+2, 3), "no device 3"},
		"chunk advice":            {half("a", erofs.InodeSize, 1), "advice"},
		"hole with a device":      {inode("a", erofs.InodeSize+4, erofs.NoBlock), "outside device"},
		"attributes":              {half("l", erofs.InodeXattrs, 2), ""},
		"attributes out of index": {half("l", erofs.InodeXattrs, 0xffff), ""},
		"long link":               {inode("l", erofs.InodeLength, 4096), "link target"},
		"empty link":              {inode("l", erofs.InodeLength, 0), "link target"},
		"NUL in link":             {func(b []byte) { b[n["l"]+erofs.InodeSize] = 0 }, "NUL"},
		"link with blocks":        {inode("l", erofs.InodeUnion, 1), "without blocks"},
		"directory with a hole":   {half("e", 0, erofs.FormatExtended|erofs.LayoutChunk), "layout"},
		"empty directory":         {inode("e", erofs.InodeLength, 0), "directory"},
		"huge directory":          {inode("e", erofs.InodeLength, 1<<30), ""},
		"cycle":                   {dirent("d", "sub", func(d []byte) { le.PutUint64(d, nid("d")) }), "second name"},
		"directory of itself": {dirent("d", "sub", func(d []byte) { copy(d, direntOf(sound, n["d"], ".")[:8]) }),
			"second name"},
		"two parents":           {dirent("/", "e", func(d []byte) { le.PutUint64(d, nid("d")) }), "second name"},
		"wrong dot":             {dirent("d", ".", func(d []byte) { le.PutUint64(d, nid("e")) }), ". leads"},
		"wrong dotdot":          {dirent("sub", "..", func(d []byte) { le.PutUint64(d, nid("e")) }), ".. leads"},
		"type in directory":     {dirent("/", "a", func(d []byte) { d[10] = erofs.TypeDir }), "mode"},
		"reserved in directory": {dirent("/", "a", func(d []byte) { d[11] = 1 }), "not legal"},
		"inode out of range":    {dirent("/", "a", func(d []byte) { le.PutUint64(d, 1<<40) }), "range"},
		"inode 0":               {dirent("/", "a", func(d []byte) { le.PutUint64(d, 0) }), "range"},
		"inode inside another":  {dirent("/", "a", func(d []byte) { d[0]++ }), ""},
		"name offset":           {dirent("/", "a", func(d []byte) { d[8]++ }), ""},
		"name offset backwards": {dirent("/", "b", func(d []byte) { d[8]-- }), "a name is at"},
		"first offset":          {func(b []byte) { b[n["/"]+erofs.InodeSize+8]++ }, "first name"},
		"names out of order":    {func(b []byte) { rename(b, n["/"], "e", 'A') }, "out of order"},
		"same name twice":       {func(b []byte) { rename(b, n["/"], "b", 'a') }, "out of order"},
		"name with a slash":     {func(b []byte) { rename(b, n["/"], "e", '/') }, ""},
		"name of NUL":           {func(b []byte) { rename(b, n["/"], "e", 0) }, "not legal"},
	} {
		b := append([]byte(nil), sound...)
		c.damage(b)
		seal(b)
		_, err := check.Bytes(b, sizes, 1000)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want %q", name, err, c.want)
		} else if !errdefs.IsInvalidArgument(err) {
			t.Errorf("%s: %v has no class", name, err)
		}
	}
	if _, err := check.Bytes(sound, sizes, 10); err == nil {
		t.Error("the limit of inodes does not hold")
	}
	if _, err := check.Bytes(sound, sizes[:1], 1000); err == nil {
		t.Error("an index passed with one device less")
	}
	if _, err := check.Bytes(sound, []int64{sizes[0], sizes[1] + 4096}, 1000); err == nil {
		t.Error("an index passed with a larger device")
	}
	unsealed := append([]byte(nil), sound...)
	unsealed[erofs.SuperOffset+erofs.SuperVolume] ^= 1
	if _, err := check.Bytes(unsealed, sizes, 1000); err == nil || !strings.Contains(err.Error(), "checksum") {
		t.Errorf("checksum: %v", err)
	}
	for size := 0; size < len(sound); size += 1000 {
		if _, err := check.Bytes(sound[:size], sizes, 1000); err == nil {
			t.Errorf("an index cut to %d bytes passed", size)
		}
	}
}

// rename changes the one-letter name of an entry.
func rename(b []byte, dir int, name string, to byte) {
	d := direntOf(b, dir, name)
	size := int(binary.LittleEndian.Uint64(b[dir+erofs.InodeLength:]))
	b[dir+erofs.InodeSize:][:size][binary.LittleEndian.Uint16(d[8:])] = to
}

// FuzzCheck: an index that passed has, to a reader that we did not write, no extent outside its devices, no cycle and
// no type but the four.
func FuzzCheck(f *testing.F) {
	sound, sizes := victim(f)
	f.Add(uint16(0), []byte{})
	for _, at := range nodes(sound) {
		f.Add(uint16(at), []byte{1, 0, 0, 0xff})
		f.Add(uint16(at+erofs.InodeSize), []byte{0xff, 0, 1})
	}
	f.Fuzz(func(t *testing.T, at uint16, change []byte) {
		b := append([]byte(nil), sound...)
		for i, c := range change {
			if int(at)+i < len(b) {
				b[int(at)+i] ^= c
			}
		}
		seal(b)
		if _, err := check.Bytes(b, sizes, 1000); err == nil {
			readable(t, b, sizes)
		}
	})
}

// readable walks an index with another implementation of EROFS.
func readable(t *testing.T, b []byte, sizes []int64) {
	var devices []io.ReaderAt
	for _, s := range sizes {
		devices = append(devices, exact(s))
	}
	image, err := goerofs.Open(strings.NewReader(string(b)), goerofs.WithExtraDevices(devices...))
	if err != nil {
		t.Fatalf("passed, but cannot be opened: %v", err)
	}
	count := 0
	err = fs.WalkDir(image, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if count++; count > 2000 {
			return errors.New("no end")
		}
		switch d.Type() {
		case 0:
			content, err := image.Open(p)
			if err != nil {
				return err
			}
			defer content.Close()
			if st, err := content.Stat(); err != nil || st.Size() > 1<<20 {
				return err
			}
			_, err = io.Copy(io.Discard, content)
			return err
		case fs.ModeDir, fs.ModeSymlink, fs.ModeNamedPipe:
			return nil
		}
		return errors.New("a type that must not be there")
	})
	if err != nil {
		t.Fatalf("passed, but: %v", err)
	}
}

// exact is a device of zeros that fails where it is read outside.
type exact int64

func (e exact) ReadAt(b []byte, off int64) (int, error) {
	if off < 0 || off+int64(len(b)) > int64(e) {
		return 0, errors.New("a read outside the device")
	}
	clear(b)
	return len(b), nil
}
