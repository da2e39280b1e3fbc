// Package verity makes a file one that the kernel itself holds to its content: nobody, root included, can open it for writing
// any more, and what is read is checked against a tree of hashes.
//
// Zone: brig-store. Input: descriptors of files that it has hashed. Output: the file, with fs-verity on.
// Spec: FS_IOC_ENABLE_VERITY, in filesystems/fsverity of the kernel; ext4 with its feature verity, btrfs, f2fs.
// Answers: A4 (changing a blob, data file or index after it was verified).
package verity

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// blockSize is that of the tree's nodes: Linux before 6.3 has none but the size of its pages.
const blockSize = 4096

// enableArg is struct fsverity_enable_arg.
type enableArg struct {
	version, hash, block, saltSize uint32
	salt                           uint64
	signatureSize, _               uint32
	signature                      uint64
	_                              [11]uint64
}

// Enable puts fs-verity on the file of fd, which is open for reading, with no writer, and writable by its owner, the caller.
// It reads the whole file. The kernel's error is returned as it is; Lacking tells those that mean that it is not to be had.
func Enable(fd int) error {
	arg := enableArg{version: 1, hash: unix.FS_VERITY_HASH_ALG_SHA256, block: blockSize}
	for {
		_, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.FS_IOC_ENABLE_VERITY, uintptr(unsafe.Pointer(&arg)))
		switch e {
		case 0:
			return nil
		case unix.EINTR: // by a signal of Go's own
		default:
			return e
		}
	}
}

// Lacking tells whether an error of Enable means that this kernel, or this file system as it was made, has no fs-verity.
func Lacking(err error) bool {
	return err == unix.ENOTTY || err == unix.EOPNOTSUPP || err == unix.EINVAL
}
