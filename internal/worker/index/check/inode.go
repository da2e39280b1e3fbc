package check

import (
	"fmt"
	"strings"

	"github.com/brig-engine/brig/internal/worker/index/erofs"
)

const (
	maxLink = 4095
	maxDir  = 1 << 31
)

// inode is one inode as read; rest is where its body starts: a chunk table or the tail of its data.
type inode struct {
	nid    uint64
	off    int64
	mode   uint16
	layout uint16
	size   int64
	union  uint32
	nlink  uint32
	rest   int64
}

// inode reads an inode for the first time, with its attributes and its body. For a directory data is its content.
func (c *checker) inode(nid uint64) (i *inode, data []byte, err error) {
	if nid == 0 || nid > uint64(len(c.b)/erofs.NidSize) {
		return nil, nil, fmt.Errorf("node number out of range")
	}
	off := c.meta + int64(nid)*erofs.NidSize
	if off%erofs.BlockSize > erofs.BlockSize-erofs.InodeSize {
		return nil, nil, fmt.Errorf("the inode crosses a block")
	}
	b, err := c.take(off, erofs.InodeSize)
	if err != nil {
		return nil, nil, err
	}
	format := u16(b[erofs.InodeFormat:])
	i = &inode{nid: nid, off: off, mode: u16(b[erofs.InodeMode:]), layout: format &^ erofs.FormatExtended,
		union: u32(b[erofs.InodeUnion:]), nlink: u32(b[erofs.InodeNlink:])}
	size := u64(b[erofs.InodeLength:])
	switch {
	case format&erofs.FormatExtended == 0:
		return nil, nil, fmt.Errorf("a compact inode")
	case u16(b[6:]) != 0 || !zero(b[erofs.InodeReserved:]):
		return nil, nil, fmt.Errorf("a reserved field is not zero")
	case size > 1<<43:
		return nil, nil, fmt.Errorf("a size of %d bytes", size)
	case u32(b[erofs.InodeUID:]) == ^uint32(0) || u32(b[erofs.InodeGID:]) == ^uint32(0):
		return nil, nil, fmt.Errorf("user or group id -1")
	case u32(b[erofs.InodeMTimeNs:]) > 999_999_999:
		return nil, nil, fmt.Errorf("nanoseconds out of range")
	case i.nlink == 0:
		return nil, nil, fmt.Errorf("no links")
	}
	i.size = int64(size)
	n, err := c.xattrs(off+erofs.InodeSize, u16(b[erofs.InodeXattrs:]))
	if err != nil {
		return nil, nil, err
	}
	i.rest = off + erofs.InodeSize + n
	data, err = c.body(i)
	return i, data, err
}

// body checks what an inode's type allows.
func (c *checker) body(i *inode) ([]byte, error) {
	switch i.mode & erofs.ModeType {
	case erofs.ModeFifo:
		if i.size != 0 || i.layout != erofs.LayoutPlain || i.union != 0 {
			return nil, fmt.Errorf("a FIFO with content")
		}
		return nil, nil
	case erofs.ModeRegular:
		return nil, c.regular(i)
	case erofs.ModeSymlink:
		if i.size < 1 || i.size > maxLink {
			return nil, fmt.Errorf("a link target of %d bytes", i.size)
		}
		data, err := c.data(i)
		if err == nil && strings.IndexByte(string(data), 0) >= 0 {
			err = fmt.Errorf("a NUL byte in a link target")
		}
		return nil, err
	case erofs.ModeDir:
		if i.size < 1 || i.size > maxDir {
			return nil, fmt.Errorf("a directory of %d bytes", i.size)
		}
		return c.data(i)
	}
	return nil, fmt.Errorf("type %#o, which an index must not have", i.mode&erofs.ModeType)
}

// data gives the content of a directory or link: whole blocks, and a tail that may stand beside the inode.
func (c *checker) data(i *inode) ([]byte, error) {
	tail := i.size % erofs.BlockSize
	switch i.layout {
	case erofs.LayoutPlain:
		tail = 0
	case erofs.LayoutInline:
		if tail == 0 || i.off%erofs.BlockSize+i.rest-i.off+tail > erofs.BlockSize {
			return nil, fmt.Errorf("the data beside the inode is not in its block")
		}
	default:
		return nil, fmt.Errorf("layout %d", i.layout>>1)
	}
	whole := i.size - tail
	var out []byte
	if whole > 0 {
		n := (whole + erofs.BlockSize - 1) / erofs.BlockSize * erofs.BlockSize
		b, err := c.take(int64(i.union)*erofs.BlockSize, n)
		if err != nil {
			return nil, err
		}
		if !zero(b[whole:]) {
			return nil, fmt.Errorf("bytes after the end of the data")
		}
		out = b[:whole]
	} else if i.union != 0 {
		return nil, fmt.Errorf("a block address without blocks")
	}
	if tail > 0 {
		b, err := c.take(i.rest, tail)
		if err != nil {
			return nil, err
		}
		if out == nil {
			return b, nil
		}
		out = append(out[:len(out):len(out)], b...)
	}
	return out, nil
}

// regular checks the chunk table of a file: every chunk is a hole or inside its device.
func (c *checker) regular(i *inode) error {
	if i.size == 0 {
		if i.layout != erofs.LayoutPlain || i.union != 0 {
			return fmt.Errorf("an empty file with content")
		}
		return nil
	}
	if i.layout != erofs.LayoutChunk || i.union&^erofs.ChunkBitsMask != erofs.ChunkIndexes {
		return fmt.Errorf("layout %d, format %#x of a file", i.layout>>1, i.union)
	}
	unit := int64(erofs.BlockSize) << (i.union & erofs.ChunkBitsMask)
	count := (i.size-1)/unit + 1
	if count > int64(len(c.b))/erofs.ChunkIndexSize {
		return fmt.Errorf("%d chunks do not fit the index", count)
	}
	start := (i.rest + erofs.ChunkIndexSize - 1) / erofs.ChunkIndexSize * erofs.ChunkIndexSize
	table, err := c.take(start, count*erofs.ChunkIndexSize)
	if err != nil {
		return err
	}
	blocks := (i.size-1)/erofs.BlockSize + 1
	for n := range count {
		e := table[n*erofs.ChunkIndexSize:]
		advice, device, block := u16(e), int(u16(e[2:])), int64(u32(e[4:]))
		length := min(unit/erofs.BlockSize, blocks-n*(unit/erofs.BlockSize))
		switch {
		case advice != 0:
			return fmt.Errorf("chunk %d: advice %#x", n, advice)
		case block == erofs.NoBlock && device == 0:
		case device < 1 || device > len(c.blocks):
			return fmt.Errorf("chunk %d: there is no device %d", n, device)
		case block > c.blocks[device-1] || length > c.blocks[device-1]-block:
			return fmt.Errorf("chunk %d: %d blocks at %d are outside device %d of %d blocks", n, length, block, device,
				c.blocks[device-1])
		}
	}
	return nil
}

// xattrs checks the attributes at off and gives their length.
func (c *checker) xattrs(off int64, count uint16) (int64, error) {
	if count == 0 {
		return 0, nil
	}
	n := erofs.XattrHeaderSize + int64(count-1)*4
	b, err := c.take(off, n)
	if err != nil {
		return 0, err
	}
	if !zero(b[:erofs.XattrHeaderSize]) {
		return 0, fmt.Errorf("shared attributes or a filter")
	}
	if len(b) == erofs.XattrHeaderSize {
		return 0, fmt.Errorf("attributes without an entry")
	}
	last := ""
	for rest := b[erofs.XattrHeaderSize:]; len(rest) > 0; {
		nameLen, prefix, valueLen := int(rest[0]), rest[1], int(u16(rest[2:]))
		used := erofs.XattrEntrySize + nameLen + valueLen
		padded := (used + 3) &^ 3
		if padded > len(rest) || !zero(rest[used:padded]) {
			return 0, fmt.Errorf("an attribute leaves its area")
		}
		name := string(rest[erofs.XattrEntrySize:][:nameLen])
		if err := xattrName(prefix, name); err != nil {
			return 0, err
		}
		if key := string(rune(prefix)) + name; key <= last {
			return 0, fmt.Errorf("attributes out of order")
		} else {
			last = key
		}
		rest = rest[padded:]
	}
	return n, nil
}

// xattrName says which attributes an image may have: nothing that overlayfs or a security module acts on.
func xattrName(prefix byte, name string) error {
	switch prefix {
	case erofs.PrefixACLAccess, erofs.PrefixACLDefault:
		if name == "" {
			return nil
		}
	case erofs.PrefixUser, erofs.PrefixTrusted:
		if name != "" && strings.IndexByte(name, 0) < 0 && !strings.HasPrefix(name, "overlay.") {
			return nil
		}
	}
	return fmt.Errorf("the attribute %q of class %d, which an index must not have", name, prefix)
}
