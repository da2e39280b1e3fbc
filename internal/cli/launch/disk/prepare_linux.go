package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/quota"
	"github.com/brig-engine/brig/internal/wire"
)

const (
	first = 2 << 30   // what the image has to begin with
	least = 256 << 20 // less than this is no place for containers
)

// Prepare gives the calling thread a mount namespace of its own, which follows the host's, and mounts the image in it. The
// thread belongs to the engine from then on: who calls this has locked it and starts the keeper from it. Where there is
// no image and none can be made, or none is wanted, kind is "", and reason says why containers will have no bound.
func Prepare(root string, want bool) (kind, reason string, err error) {
	if err := os.MkdirAll(root, 0o711); err != nil {
		return "", "", err
	}
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return "", "", fmt.Errorf("a mount namespace for the engine: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return "", "", fmt.Errorf("make the mounts follow the host's: %w", err)
	}
	image := filepath.Join(root, "disk.img")
	switch _, err := os.Stat(image); {
	case err == nil: // what lies in it has to be there, whatever is wanted now
		if err := attach(root, image); err != nil {
			return "", "", fmt.Errorf("the disk of containers and volumes, %s: %w", image, err)
		}
		return wire.InImage, "", nil
	case !errors.Is(err, os.ErrNotExist):
		return "", "", err
	case hasProjects(root):
		return wire.ByProject, "", nil
	case inhabited(root):
		return "", fmt.Sprintf("containers or volumes from before are in %s, and would not be found in an image. Next: remove them, and start the engine again", root), nil
	case !want:
		return "", "switched off by --storage-opt brig.image=off", nil
	}
	made := filepath.Join(root, "disk.new")
	os.Remove(made) // what a crash left
	err = create(root, made)
	if err == nil {
		err = attach(root, made)
	}
	if err == nil {
		err = os.Rename(made, image)
	}
	if err != nil {
		unix.Unmount(filepath.Join(root, "disk"), unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		os.Remove(made)
		os.Remove(filepath.Join(root, "disk.dev"))
		os.Remove(filepath.Join(root, "disk"))
		return "", err.Error(), nil
	}
	return wire.InImage, "", nil
}

// inhabited tells whether an engine without an image has containers or volumes.
func inhabited(root string) bool {
	containers, err := fs.Glob(os.DirFS(root), "containers/*/*")
	volumes, also := fs.Glob(os.DirFS(root), "volumes/*")
	return errors.Join(err, also) != nil || len(containers)+len(volumes) > 0
}

// hasProjects tries what a warden will do.
func hasProjects(root string) bool {
	dir, err := os.MkdirTemp(root, ".project")
	if err != nil {
		return false
	}
	defer os.Remove(dir)
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	return errors.Join(quota.BoundProject(fd, 1<<20, true), quota.BoundProject(fd, -1, false)) == nil && enforced(fd)
}

// enforced tells whether a file system holds projects to their bounds: one that was mounted without prjquota counts, and takes
// bounds, and lets everybody write (quotactl(2), Q_XGETQSTATV).
func enforced(fd int) bool {
	const state, projects = 0x5808<<8 | 2, 1 << 5 // QCMD(Q_XGETQSTATV, PRJQUOTA), FS_QUOTA_PDQ_ENFD
	answer := [64]uint32{1}                       // struct fs_quota_statv: version, padding, flags in the upper half
	_, _, e := unix.Syscall6(unix.SYS_QUOTACTL_FD, uintptr(fd), state, 0, uintptr(unsafe.Pointer(&answer)), 0, 0)
	return e == 0 && answer[0]>>16&projects != 0
}

// create makes the image. It takes an eighth of what is free at most, and leaves the host a sixteenth of its disk, as the
// warden does when it lets the image grow.
func create(root, path string) error {
	var fs unix.Statfs_t
	if err := unix.Statfs(root, &fs); err != nil {
		return err
	}
	switch fs.Type {
	case unix.TMPFS_MAGIC, unix.RAMFS_MAGIC:
		return fmt.Errorf("%s is in memory, and has no project quota", root)
	}
	free := (int64(fs.Bavail) - int64(fs.Blocks/16)) * fs.Bsize
	size := min(first, free/8) &^ (1<<20 - 1)
	if size < least {
		return fmt.Errorf("%s has no project quota, and no room for an image: %d MiB are free, and it would take an eighth, at least %d MiB",
			root, max(free, 0)>>20, least>>20)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	noCopies(f)
	if err := unix.Fallocate(int(f.Fd()), 0, 0, size); err != nil {
		return fmt.Errorf("allocate %d MiB: %w", size>>20, err)
	}
	return errors.Join(format(f), f.Sync())
}

// noCopies has a btrfs below the image write in place. Others have no such flag.
func noCopies(f *os.File) {
	const noCOW = 0x800000 // FS_NOCOW_FL
	if flags, err := unix.IoctlGetUint32(int(f.Fd()), unix.FS_IOC_GETFLAGS); err == nil {
		_ = unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, int(flags|noCOW))
	}
}

// options: discard would make holes in the image. Nothing is copied on write: there are no snapshots, a program that changes
// its files in place meets no full disk, and a database is as fast as on ext4, which has no checksums either.
const options = "nodiscard,nodatacow"

// attach mounts the image and makes the file system as large as its file.
func attach(root, image string) error {
	f, err := os.OpenFile(image, os.O_RDWR|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	loop, err := loopOf(f)
	if err != nil {
		return err
	}
	defer loop.Close() // the mount keeps it
	dir := filepath.Join(root, "disk")
	if err := os.Mkdir(dir, 0o711); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		err = unix.Mount(loop.Name(), dir, "btrfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOATIME, options)
		if err != unix.EBUSY || time.Now().After(deadline) { // an engine that has just ended may still be at it
			break
		}
	}
	if err != nil {
		return fmt.Errorf("mount btrfs: %w", err)
	}
	if err := unix.IoctlSetInt(int(loop.Fd()), unix.LOOP_SET_CAPACITY, 0); err != nil {
		return fmt.Errorf("size of %s: %w", loop.Name(), err)
	}
	fs, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer fs.Close()
	if err := errors.Join(quota.Resize(int(fs.Fd())), fs.Chmod(0o711)); err != nil {
		return fmt.Errorf("resize: %w", err)
	}
	if err := recount(f, fs); err != nil {
		return fmt.Errorf("count what subvolumes have: %w", err)
	}
	dev := filepath.Join(root, "disk.dev") // for the warden, which lets it grow
	if err := os.Remove(dev); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return os.Symlink(loop.Name(), dev)
}

// recount has the kernel count again where it says that it has lost count.
func recount(image, mounted *os.File) error {
	id := make([]byte, fsidLength)
	if _, err := image.ReadAt(id, superblock+fsidAt); err != nil {
		return err
	}
	b, err := os.ReadFile(fmt.Sprintf("/sys/fs/btrfs/%x-%x-%x-%x-%x/qgroups/inconsistent", id[:4], id[4:6], id[6:8], id[8:10], id[10:]))
	if err != nil || strings.TrimSpace(string(b)) == "0" { // or the kernel does not tell
		return nil
	}
	const rescan = 0x4040942c // BTRFS_IOC_QUOTA_RESCAN
	var args [64]byte         // struct btrfs_ioctl_quota_rescan_args
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, mounted.Fd(), rescan, uintptr(unsafe.Pointer(&args))); e != 0 {
		return e
	}
	return nil
}

// patience is how long a file system may take to be gone.
const patience = 10 * time.Second
