package index

import (
	"encoding/binary"
	"sort"

	"github.com/brig-engine/brig/internal/worker/index/erofs"
)

// place is where an inode is, and how its data is stored.
type place struct {
	set    bool
	layout uint16
	at     int64 // offset in the metadata area
	xattrs int   // bytes
	tail   int   // bytes of data beside the inode
	block  int64 // first of its whole blocks, counted from the start of the blocks' area
	blocks int64
}

func (p *place) nid() uint64 { return uint64(p.at / erofs.NidSize) }

// dirent is one name in a directory.
type dirent struct {
	name string
	to   *inode
}

// plan is the result of laying out: every inode in the order of its place.
type plan struct {
	inodes   []*inode
	metaSize int64
	blocks   int64
}

// finish drops device nodes, sorts names and counts links.
func (t *tree) finish() {
	t.root.inode.nlink = 2
	for queue := []*node{t.root}; len(queue) > 0; {
		n := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		n.order = make([]*node, 0, len(n.kids))
		for _, k := range n.kids {
			if k.inode.mode == 0 {
				t.devices++
				continue
			}
			n.order = append(n.order, k)
			if k.isDir() {
				n.inode.nlink++
				k.inode.nlink = 2
				queue = append(queue, k)
			} else {
				k.inode.nlink++
			}
		}
		sort.Slice(n.order, func(i, j int) bool { return n.order[i].name < n.order[j].name })
	}
}

// entries lists a directory as it is stored, with "." and ".." in their places.
func (n *node) entries() []dirent {
	up := n.parent
	if up == nil {
		up = n
	}
	out := make([]dirent, 0, len(n.order)+2)
	out = append(out, dirent{".", n.inode}, dirent{"..", up.inode})
	for _, k := range n.order {
		out = append(out, dirent{k.name, k.inode})
	}
	if len(n.order) > 0 && n.order[0].name < ".." { // rare: names that start with a character below the dot
		sort.Slice(out, func(i, j int) bool { return out[i].name < out[j].name })
	}
	return out
}

// splitDir cuts a directory into as few blocks as go: f gets the entries of each block and the bytes that they need.
func splitDir(entries []dirent, f func(part []dirent, size int)) {
	start, size := 0, 0
	for i, e := range entries {
		need := erofs.DirentSize + len(e.name)
		if size+need > erofs.BlockSize {
			f(entries[start:i], size)
			start, size = i, 0
		}
		size += need
	}
	f(entries[start:], size)
}

// encodeDir gives the bytes of one block of a directory.
func encodeDir(part []dirent, size int) []byte {
	b := make([]byte, len(part)*erofs.DirentSize, size)
	for i, e := range part {
		d := b[i*erofs.DirentSize:]
		binary.LittleEndian.PutUint64(d, e.to.place.nid())
		binary.LittleEndian.PutUint16(d[8:], uint16(len(b)))
		d[10] = fileType(e.to.mode)
		b = append(b, e.name...)
	}
	return b
}

func fileType(mode uint16) byte {
	switch mode & erofs.ModeType {
	case erofs.ModeDir:
		return erofs.TypeDir
	case erofs.ModeSymlink:
		return erofs.TypeSymlink
	case erofs.ModeFifo:
		return erofs.TypeFifo
	}
	return erofs.TypeRegular
}

// layOut gives every inode a place. Directories come breadth first, and the inodes of one directory stand together, as
// they are read together.
func (t *tree) layOut() *plan {
	p := &plan{metaSize: 2 * erofs.NidSize} // so that no inode has the number 0
	p.put(t.root.inode)
	for queue := []*node{t.root}; len(queue) > 0; queue = queue[1:] {
		for _, k := range queue[0].order {
			if !k.inode.place.set {
				p.put(k.inode)
			}
			if k.isDir() {
				queue = append(queue, k)
			}
		}
	}
	return p
}

// put gives one inode its place.
func (p *plan) put(i *inode) {
	pl := &i.place
	pl.set, pl.xattrs = true, len(encodeXattrs(i.xattrs))
	head := int64(erofs.InodeSize + pl.xattrs)
	size := head
	switch i.mode & erofs.ModeType {
	case erofs.ModeRegular:
		if i.size > 0 {
			pl.layout = erofs.LayoutChunk
			size = roundUp(head, erofs.ChunkIndexSize) + erofs.ChunkIndexSize*i.chunks()
		}
	case erofs.ModeDir:
		parts := int64(0)
		splitDir(i.dir.entries(), func(_ []dirent, size int) { parts, pl.tail = parts+1, size })
		pl.blocks = parts - 1
		i.size = pl.blocks*erofs.BlockSize + int64(pl.tail)
	case erofs.ModeSymlink:
		pl.tail = len(i.link)
	}
	at := roundUp(p.metaSize, erofs.NidSize)
	if at%erofs.BlockSize > erofs.BlockSize-erofs.InodeSize {
		at = roundUp(at, erofs.BlockSize)
	}
	if pl.tail > 0 {
		at = p.putTail(pl, at, head)
		size = head
		if pl.layout == erofs.LayoutInline {
			size += int64(pl.tail)
		}
	}
	pl.at = at
	pl.block = p.blocks
	p.blocks += pl.blocks
	p.metaSize = at + size
	p.inodes = append(p.inodes, i)
}

// putTail decides whether the tail of the data stands beside the inode or gets a block. Beside it means in the same
// block, whole, with the inode and its attributes: kernels before 6.4 look for link targets nowhere else.
func (p *plan) putTail(pl *place, at, head int64) int64 {
	for _, try := range []int64{at, roundUp(at, erofs.BlockSize)} {
		if try%erofs.BlockSize+head+int64(pl.tail) <= erofs.BlockSize {
			pl.layout = erofs.LayoutInline
			return try
		}
	}
	pl.layout = erofs.LayoutPlain
	pl.blocks++
	return at
}

// chunks is the length of the chunk table.
func (i *inode) chunks() int64 {
	unit := int64(erofs.BlockSize) << i.chunkBits
	return (i.size + unit - 1) / unit
}

func roundUp(n, unit int64) int64 { return (n + unit - 1) / unit * unit }
