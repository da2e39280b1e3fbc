package index

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"hash/crc32"
	"io"

	"github.com/brig-engine/brig/internal/worker/index/erofs"
	"github.com/brig-engine/brig/internal/worker/toc"
)

// image writes the bytes of an index from front to back.
type image struct {
	w         *bufio.Writer
	sum       hash.Hash
	at        int64
	err       error
	metaBlock int64
	plan      *plan
}

// written describes an index.
type written struct {
	digest string
	size   int64
}

// write writes the tree, which layOut has filled; dataSizes are the sizes of the devices in bytes and id makes the file
// system's UUID.
func (p *plan) write(w io.Writer, dataSizes []int64, id [16]byte, limit int64) (written, error) {
	sum := sha256.New()
	head := int64(erofs.SuperOffset + erofs.SuperSize + len(dataSizes)*erofs.DeviceSlotSize)
	im := &image{w: bufio.NewWriterSize(io.MultiWriter(w, sum), 1<<20), sum: sum, plan: p,
		metaBlock: roundUp(head, erofs.BlockSize) / erofs.BlockSize}
	total := (im.firstBlock() + p.blocks) * erofs.BlockSize
	if total > limit {
		return written{}, toc.Exceeded("bytes in an index", limit)
	}
	im.put(superblock(im.metaBlock, total/erofs.BlockSize, p, dataSizes, id))
	im.padTo(im.metaBlock * erofs.BlockSize)
	for n, i := range p.inodes {
		im.padTo(im.metaBlock*erofs.BlockSize + i.place.at)
		im.inode(uint32(n+1), i)
	}
	im.padTo(im.firstBlock() * erofs.BlockSize)
	for _, i := range p.inodes {
		if i.place.blocks > 0 {
			im.wholeBlocks(i)
		}
	}
	im.padTo(total)
	if im.err == nil {
		im.err = im.w.Flush()
	}
	if im.err != nil {
		return written{}, fmt.Errorf("write index: %w", im.err)
	}
	return written{"sha256:" + hex.EncodeToString(sum.Sum(nil)), total}, nil
}

// firstBlock is where the blocks' area starts.
func (im *image) firstBlock() int64 {
	return im.metaBlock + roundUp(im.plan.metaSize, erofs.BlockSize)/erofs.BlockSize
}

func (im *image) put(b []byte) {
	if im.err == nil {
		_, im.err = im.w.Write(b)
	}
	im.at += int64(len(b))
}

var zeroBlock [erofs.BlockSize]byte

func (im *image) padTo(off int64) {
	for im.at < off && im.err == nil {
		im.put(zeroBlock[:min(off-im.at, erofs.BlockSize)])
	}
}

// superblock gives the first bytes of the index, up to the end of the device table.
func superblock(metaBlock, blocks int64, p *plan, dataSizes []int64, id [16]byte) []byte {
	slot := erofs.SuperOffset + erofs.SuperSize
	b := make([]byte, max(slot+len(dataSizes)*erofs.DeviceSlotSize, erofs.BlockSize))
	s := b[erofs.SuperOffset:]
	le := binary.LittleEndian
	le.PutUint32(s[erofs.SuperMagic:], erofs.Magic)
	le.PutUint32(s[erofs.SuperCompat:], erofs.CompatChecksum|erofs.CompatMTime)
	s[erofs.SuperBlockBits] = erofs.BlockBits
	le.PutUint16(s[erofs.SuperRootNid:], uint16(p.inodes[0].place.nid()))
	le.PutUint64(s[erofs.SuperInodes:], uint64(len(p.inodes)))
	le.PutUint32(s[erofs.SuperBlocks:], uint32(blocks))
	le.PutUint32(s[erofs.SuperMetaBlock:], uint32(metaBlock))
	copy(s[erofs.SuperUUID:], id[:])
	copy(s[erofs.SuperVolume:], "brig")
	le.PutUint32(s[erofs.SuperIncompat:], erofs.IncompatChunked|erofs.IncompatDevices)
	le.PutUint16(s[erofs.SuperDevices:], uint16(len(dataSizes)))
	le.PutUint16(s[erofs.SuperDeviceSlot:], uint16(slot/erofs.DeviceSlotSize))
	for i, size := range dataSizes {
		le.PutUint32(b[slot+i*erofs.DeviceSlotSize+erofs.DeviceSlotBlocks:], uint32(size/erofs.BlockSize))
	}
	crc := crc32.Update(0, crc32.MakeTable(crc32.Castagnoli), s[:erofs.BlockSize-erofs.SuperOffset])
	le.PutUint32(s[erofs.SuperChecksum:], ^crc) // the kernel does not invert at the end
	return b
}

// inode writes one inode with what stands beside it.
func (im *image) inode(number uint32, i *inode) {
	b := make([]byte, erofs.InodeSize)
	le := binary.LittleEndian
	le.PutUint16(b[erofs.InodeFormat:], erofs.FormatExtended|i.place.layout)
	if i.place.xattrs > 0 {
		le.PutUint16(b[erofs.InodeXattrs:], uint16(1+(i.place.xattrs-erofs.XattrHeaderSize)/4))
	}
	le.PutUint16(b[erofs.InodeMode:], i.mode)
	le.PutUint64(b[erofs.InodeLength:], uint64(i.size))
	switch {
	case i.place.layout == erofs.LayoutChunk:
		le.PutUint32(b[erofs.InodeUnion:], erofs.ChunkIndexes|uint32(i.chunkBits))
	case i.place.blocks > 0:
		le.PutUint32(b[erofs.InodeUnion:], uint32(im.firstBlock()+i.place.block))
	}
	le.PutUint32(b[erofs.InodeNumber:], number)
	le.PutUint32(b[erofs.InodeUID:], i.uid)
	le.PutUint32(b[erofs.InodeGID:], i.gid)
	le.PutUint64(b[erofs.InodeMTime:], uint64(i.mtime))
	le.PutUint32(b[erofs.InodeMTimeNs:], i.mtimeNs)
	le.PutUint32(b[erofs.InodeNlink:], i.nlink)
	im.put(b)
	im.put(encodeXattrs(i.xattrs))
	switch {
	case i.place.layout == erofs.LayoutChunk:
		im.padTo(roundUp(im.at, erofs.ChunkIndexSize))
		im.chunkTable(i)
	case i.place.layout == erofs.LayoutInline && i.dir != nil:
		im.dirParts(i, i.place.blocks, i.place.blocks+1)
	case i.place.layout == erofs.LayoutInline:
		im.put([]byte(i.link))
	}
}

func (im *image) chunkTable(i *inode) {
	unit := int64(erofs.BlockSize) << i.chunkBits
	extents := i.extents
	for c := range i.chunks() {
		for len(extents) > 0 && extents[0].Logical+extents[0].Length <= c*unit {
			extents = extents[1:]
		}
		b := make([]byte, erofs.ChunkIndexSize)
		if len(extents) > 0 && extents[0].Logical <= c*unit {
			x := extents[0]
			binary.LittleEndian.PutUint16(b[2:], i.device)
			binary.LittleEndian.PutUint32(b[4:], uint32((x.Data+c*unit-x.Logical)/erofs.BlockSize))
		} else {
			binary.LittleEndian.PutUint32(b[4:], erofs.NoBlock)
		}
		im.put(b)
	}
}

// wholeBlocks writes the data of an inode that does not stand beside it.
func (im *image) wholeBlocks(i *inode) {
	if i.dir == nil {
		im.put([]byte(i.link))
		im.padTo(roundUp(im.at, erofs.BlockSize))
		return
	}
	im.dirParts(i, 0, i.place.blocks)
}

// dirParts writes the blocks from to to-1 of a directory; only the last one of a directory may stand beside its inode.
func (im *image) dirParts(i *inode, from, to int64) {
	n := int64(0)
	splitDir(i.dir.entries(), func(part []dirent, size int) {
		if n >= from && n < to {
			im.put(encodeDir(part, size))
			if n < i.place.blocks {
				im.padTo(roundUp(im.at, erofs.BlockSize))
			}
		}
		n++
	})
}
