package check

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"sort"

	"github.com/brig-engine/brig/internal/wire/jobs"
	"github.com/brig-engine/brig/internal/worker/index/erofs"
	"github.com/containerd/errdefs"
)

// Verify reads the whole index, so that what is checked cannot change meanwhile, and checks it.
func Verify(f *os.File, p jobs.CheckParams, limits jobs.Limits) (*jobs.CheckResult, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("size of the index: %w", err)
	}
	if st.Size() > limits.MaxIndexBytes {
		return nil, fmt.Errorf("the index has more than %d bytes: %w", limits.MaxIndexBytes, errdefs.ErrResourceExhausted)
	}
	b := make([]byte, st.Size())
	if _, err := io.ReadFull(io.NewSectionReader(f, 0, st.Size()), b); err != nil {
		return nil, fmt.Errorf("read index: %w", err)
	}
	n, err := Bytes(b, p.Devices, limits.MaxEntries)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(b)
	return &jobs.CheckResult{Digest: "sha256:" + hex.EncodeToString(sum[:]), Size: int64(len(b)), Inodes: n}, nil
}

// Bytes checks an index whose devices have the given sizes in bytes, and counts its inodes.
func Bytes(b []byte, devices []int64, maxInodes int64) (int64, error) {
	c := &checker{b: b, maxInodes: maxInodes, files: map[uint64]*file{}}
	if err := c.super(devices); err != nil {
		return 0, bad("superblock: %w", err)
	}
	if err := c.walk(); err != nil {
		return 0, err
	}
	for nid, f := range c.files {
		if f.names != f.nlink {
			return 0, bad("inode %d has %d names and says %d", nid, f.names, f.nlink)
		}
	}
	if int64(len(c.files)) != c.inodes {
		return 0, bad("the superblock counts %d inodes, the tree has %d", c.inodes, len(c.files))
	}
	return c.inodes, c.overlaps()
}

// bad makes an error of class ErrInvalidArgument.
func bad(format string, args ...any) error {
	return fmt.Errorf("index: %w: %w", fmt.Errorf(format, args...), errdefs.ErrInvalidArgument)
}

// file is what is known of an inode that was reached.
type file struct {
	mode  uint16
	nlink uint32
	names uint32
}

// claim is a stretch of the index that something uses.
type claim struct{ from, to int64 }

type checker struct {
	b         []byte
	meta      int64   // offset of the metadata area
	blocks    []int64 // length of each device
	root      uint64
	inodes    int64
	maxInodes int64
	files     map[uint64]*file
	claims    []claim
}

func u16(b []byte) uint16 { return binary.LittleEndian.Uint16(b) }
func u32(b []byte) uint32 { return binary.LittleEndian.Uint32(b) }
func u64(b []byte) uint64 { return binary.LittleEndian.Uint64(b) }

// take claims n bytes at off of the index and gives them.
func (c *checker) take(off, n int64) ([]byte, error) {
	if off < 0 || n < 0 || off > int64(len(c.b)) || n > int64(len(c.b))-off {
		return nil, fmt.Errorf("%d bytes at %d are outside the index", n, off)
	}
	if n > 0 {
		c.claims = append(c.claims, claim{off, off + n})
	}
	return c.b[off : off+n], nil
}

// super checks the superblock and the device table: every field that has no use here is zero.
func (c *checker) super(devices []int64) error {
	size := int64(len(c.b))
	if size < 2*erofs.BlockSize || size%erofs.BlockSize != 0 {
		return fmt.Errorf("the index has %d bytes", size)
	}
	s := c.b[erofs.SuperOffset:erofs.BlockSize]
	if u32(s[erofs.SuperMagic:]) != erofs.Magic {
		return fmt.Errorf("magic number %#x", u32(s))
	}
	want := u32(s[erofs.SuperChecksum:])
	copied := append([]byte(nil), s...)
	copy(copied[erofs.SuperChecksum:], []byte{0, 0, 0, 0})
	if ^crc32.Checksum(copied, crc32.MakeTable(crc32.Castagnoli)) != want {
		return fmt.Errorf("checksum")
	}
	c.meta = int64(u32(s[erofs.SuperMetaBlock:])) * erofs.BlockSize
	c.root = uint64(u16(s[erofs.SuperRootNid:]))
	c.inodes = int64(u64(s[erofs.SuperInodes:]))
	slot := int64(u16(s[erofs.SuperDeviceSlot:])) * erofs.DeviceSlotSize
	tableEnd := slot + int64(len(devices))*erofs.DeviceSlotSize
	switch {
	case u32(s[erofs.SuperCompat:]) != erofs.CompatChecksum|erofs.CompatMTime:
		return fmt.Errorf("compatible features %#x", u32(s[erofs.SuperCompat:]))
	case u32(s[erofs.SuperIncompat:]) != erofs.IncompatChunked|erofs.IncompatDevices:
		return fmt.Errorf("features %#x", u32(s[erofs.SuperIncompat:]))
	case s[erofs.SuperBlockBits] != erofs.BlockBits || s[erofs.SuperDirBlockBits] != 0:
		return fmt.Errorf("block size")
	case s[erofs.SuperExtSlots] != 0 || u16(s[erofs.SuperCompression:]) != 0 || u32(s[erofs.SuperXattrBlock:]) != 0:
		return fmt.Errorf("a feature that is not used here")
	case u64(s[erofs.SuperBuildTime:]) != 0 || u32(s[erofs.SuperBuildNsec:]) != 0:
		return fmt.Errorf("a build time")
	case int64(u32(s[erofs.SuperBlocks:])) != size/erofs.BlockSize:
		return fmt.Errorf("%d blocks in %d bytes", u32(s[erofs.SuperBlocks:]), size)
	case c.inodes < 1 || c.inodes > c.maxInodes:
		return fmt.Errorf("%d inodes, at most %d are allowed", c.inodes, c.maxInodes)
	case int(u16(s[erofs.SuperDevices:])) != len(devices) || len(devices) > erofs.MaxDevices:
		return fmt.Errorf("%d devices for %d data files", u16(s[erofs.SuperDevices:]), len(devices))
	case slot < erofs.SuperOffset+erofs.SuperSize || tableEnd > c.meta || c.meta >= size:
		return fmt.Errorf("the device table or the metadata is out of place")
	case !zero(s[erofs.SuperDirBlockBits+1 : erofs.SuperSize]):
		return fmt.Errorf("a reserved field is not zero")
	}
	for i, bytes := range devices {
		d := c.b[slot+int64(i)*erofs.DeviceSlotSize:][:erofs.DeviceSlotSize]
		n := int64(u32(d[erofs.DeviceSlotBlocks:]))
		if bytes%erofs.BlockSize != 0 || n*erofs.BlockSize != bytes {
			return fmt.Errorf("device %d has %d blocks, its data file %d bytes", i+1, n, bytes)
		}
		if !zero(d[:erofs.DeviceSlotBlocks]) || !zero(d[erofs.DeviceSlotBlocks+4:]) {
			return fmt.Errorf("device %d: a reserved field is not zero", i+1)
		}
		c.blocks = append(c.blocks, n)
	}
	return nil
}

func zero(b []byte) bool {
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}

// overlaps finds two claims to the same byte.
func (c *checker) overlaps() error {
	sort.Slice(c.claims, func(i, j int) bool { return c.claims[i].from < c.claims[j].from })
	end := c.meta
	for _, x := range c.claims {
		if x.from < end {
			return bad("two things claim the bytes at %d", x.from)
		}
		end = x.to
	}
	return nil
}
