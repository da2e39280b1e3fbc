// Package erofs holds the constants of the EROFS disk format that the writer and the checker of an index share. It
// has no code, so that one mistake cannot be in both.
//
// Spec: the kernel's Documentation/filesystems/erofs.rst and fs/erofs/erofs_fs.h, as of Linux 5.16; nothing newer is
// used.
//
// An index is laid out so:
//
//	block 0      1024 bytes of zeros, the superblock, the device table (which may go on in the next blocks)
//	metadata     inodes, each followed by its extended attributes and then by its chunk table or by the tail of its data
//	blocks       whole blocks of directories, and link targets that do not fit beside their inode
//
// The content of regular files is in other files, the devices: device i+1 is the data file of layer i.
package erofs

// The superblock.
const (
	Magic       = 0xE0F5E1E2
	SuperOffset = 1024
	SuperSize   = 128

	BlockBits = 12
	BlockSize = 1 << BlockBits

	// CompatChecksum: the superblock has a CRC-32C of itself and the rest of its block. CompatMTime: times are mtimes.
	CompatChecksum = 0x1
	CompatMTime    = 0x2
	// IncompatChunked and IncompatDevices: there are chunk tables, and a device table.
	IncompatChunked = 0x4
	IncompatDevices = 0x8
)

// Offsets of the superblock's fields.
const (
	SuperMagic        = 0
	SuperChecksum     = 4
	SuperCompat       = 8
	SuperBlockBits    = 12
	SuperExtSlots     = 13
	SuperRootNid      = 14
	SuperInodes       = 16
	SuperBuildTime    = 24
	SuperBuildNsec    = 32
	SuperBlocks       = 36
	SuperMetaBlock    = 40
	SuperXattrBlock   = 44
	SuperUUID         = 48
	SuperVolume       = 64
	SuperIncompat     = 80
	SuperCompression  = 84
	SuperDevices      = 86
	SuperDeviceSlot   = 88
	SuperDirBlockBits = 90
)

// The device table: slots of 128 bytes, found at SuperDeviceSlot * 128.
const (
	DeviceSlotSize   = 128
	DeviceSlotBlocks = 64
	// MaxDevices bounds the layers of an image; loop devices and open files are scarce.
	MaxDevices = 512
)

// Inodes, in their extended form only. A node number is the offset in the metadata area by NidSize.
const (
	NidSize       = 32
	InodeSize     = 64
	InodeFormat   = 0
	InodeXattrs   = 2
	InodeMode     = 4
	InodeLength   = 8
	InodeUnion    = 16
	InodeNumber   = 20
	InodeUID      = 24
	InodeGID      = 28
	InodeMTime    = 32
	InodeMTimeNs  = 40
	InodeNlink    = 44
	InodeReserved = 48

	FormatExtended = 1
	// The layouts of data, shifted into place.
	LayoutPlain  = 0 << 1
	LayoutInline = 2 << 1
	LayoutChunk  = 4 << 1

	// ChunkIndexes: a chunk table of 8-byte indexes {advice, device, block}; the low five bits are the chunk bits.
	ChunkIndexes   = 0x20
	ChunkBitsMask  = 0x1f
	ChunkIndexSize = 8
	// NoBlock marks a hole.
	NoBlock = 0xFFFFFFFF
)

// Extended attributes beside an inode: a header, then entries {name length, prefix, value length, name, value}, each
// padded to four bytes.
const (
	XattrHeaderSize = 12
	XattrEntrySize  = 4

	PrefixUser       = 1
	PrefixACLAccess  = 2
	PrefixACLDefault = 3
	PrefixTrusted    = 4
)

// Directories: in each block, entries {nid, name offset, type, 0} and then their names.
const (
	DirentSize = 12

	TypeRegular = 1
	TypeDir     = 2
	TypeFifo    = 5
	TypeSymlink = 7
)

// Bits of a mode.
const (
	ModeType    = 0o170000
	ModeFifo    = 0o010000
	ModeDir     = 0o040000
	ModeRegular = 0o100000
	ModeSymlink = 0o120000
	ModeSetuid  = 0o4000
	ModeSetgid  = 0o2000
)
