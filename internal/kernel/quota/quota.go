// Package quota bounds what a directory may hold: as a project of ext4 or XFS, or as a subvolume of btrfs.
//
// Zone: brig-warden, and brig as root while it starts an engine. Input: descriptors of directories that whoever calls has
// made, and numbers. Output: bounds in the file system. Spec: quotactl_fd(2), ioctl_xfs_fsgetxattr(2), btrfs-ioctl(2).
// Answers: A2 (a disk that one container fills, with bytes or with inodes).
package quota

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	subvolCreate, snapDestroy, qgroupLimit = 0x5000940e, 0x5000940f, 0x8030942b // BTRFS_IOC_…
	resize, devInfo                        = 0x50009403, 0xd000941e
	getAttr, setAttr, inherit              = 0x801c581f, 0x401c5820, 0x200 // FS_IOC_FS…XATTR, FS_XFLAG_PROJINHERIT
	setQuota, limits                       = 0x80000802, 5                 // Q_SETQUOTA of PRJQUOTA, QIF_LIMITS
	perInode                               = 1 << 14                       // bytes, as mkfs.ext4 has it
)

func ioctl(fd int, request uintptr, arg unsafe.Pointer) error {
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(arg)); e != 0 {
		return e
	}
	return nil
}

// named is an ioctl of btrfs that takes a name (struct btrfs_ioctl_vol_args).
func named(fd int, request uintptr, name string) error {
	var arg [4096]byte
	if copy(arg[8:4095], name) < len(name) {
		return unix.ENAMETOOLONG
	}
	return ioctl(fd, request, unsafe.Pointer(&arg))
}

// Subvolume makes a subvolume of btrfs in dir.
func Subvolume(dir int, name string) error { return named(dir, subvolCreate, name) }

// Destroy takes a subvolume away with all that is in it; the kernel gives the room back later.
func Destroy(dir int, name string) error { return named(dir, snapDestroy, name) }

// Resize makes a btrfs as large as its device.
func Resize(fd int) error { return named(fd, resize, "max") }

// Unallocated is what a btrfs on one device has not given to data or to metadata yet.
func Unallocated(fd int) (int64, error) {
	arg := [512]int64{1} // struct btrfs_ioctl_dev_info_args
	err := ioctl(fd, devInfo, unsafe.Pointer(&arg))
	return arg[4] - arg[3], err
}

// BoundSubvolume lets the subvolume of fd have so many bytes; -1 is no bound. Metadata counts, so that inodes are bytes.
func BoundSubvolume(fd int, bytes int64) error {
	limit := [6]uint64{1: 1, 2: uint64(bytes)} // BTRFS_QGROUP_LIMIT_MAX_RFER, of the group of fd
	return ioctl(fd, qgroupLimit, unsafe.Pointer(&limit))
}

// BoundProject lets what a directory holds have so many bytes, and inodes in proportion; -1 is no bound. An empty one becomes
// a project first, whose number is that of its inode: it is free again with the directory, and nobody keeps a list. What
// was made before there were quotas has no project and gets no bound.
func BoundProject(fd int, bytes int64, empty bool) error {
	var attr [7]uint32
	var st unix.Stat_t
	err := ioctl(fd, getAttr, unsafe.Pointer(&attr))
	if err == nil && empty {
		err = unix.Fstat(fd, &st)
		attr[0], attr[3] = attr[0]|inherit, 1<<31|(uint32(st.Ino)^uint32(st.Ino>>32))%(1<<31-1)
	}
	if err == nil && empty {
		err = ioctl(fd, setAttr, unsafe.Pointer(&attr))
	}
	if err != nil || attr[3]>>31 == 0 { // not one of ours, which may be the administrator's for all of it
		return err
	}
	q := [9]uint64{0: uint64(max(bytes, 0)) >> 10, 3: uint64(max(bytes, 0)) / perInode, 8: limits} // struct if_dqblk
	if _, _, e := unix.Syscall6(unix.SYS_QUOTACTL_FD, uintptr(fd), setQuota, uintptr(attr[3]), uintptr(unsafe.Pointer(&q)), 0, 0); e != 0 {
		return e
	}
	return nil
}
