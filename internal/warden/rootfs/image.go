package rootfs

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/mount"
	"github.com/brig-engine/brig/internal/kernel/path"
	"github.com/brig-engine/brig/internal/wire"
)

// backings are how the kernel reads an image. What works depends on kernel, kernel configuration and the file system of
// the store, so it is tried, not computed.
var backings = []func(files []int, label mount.Option) (int, error){
	// The files themselves, past the page cache of the store's file system (6.12).
	func(files []int, label mount.Option) (int, error) { return erofs(files, label, mount.Flag("directio")) },
	// The files themselves (6.12).
	func(files []int, label mount.Option) (int, error) { return erofs(files, label) },
	mountLoops,
}

// MountImage mounts an EROFS index, which is the first file, and the data files that are its devices, in order: detached,
// read-only, without set-user-id programs and devices. The files are sealed: nobody can write to them (T1).
func MountImage(files []int, label string) (int, error) {
	var failed error
	for _, back := range backings {
		fd, err := back(files, mount.Context(label))
		if err == nil {
			return fd, nil
		}
		failed = errors.Join(failed, err)
	}
	return -1, fmt.Errorf("mount the image: %w", failed)
}

func erofs(files []int, more ...mount.Option) (int, error) {
	options := append(more, mount.String("source", path.Proc(files[0])), mount.Flag("ro"))
	for _, d := range files[1:] {
		options = append(options, mount.String("device", path.Proc(d)))
	}
	return mount.New("erofs", unix.MOUNT_ATTR_RDONLY|quiet, options...)
}

// mountLoops uses a loop device for each file. They clear themselves when the mount is gone.
func mountLoops(files []int, label mount.Option) (int, error) {
	var loops []int
	defer func() { wire.CloseAll(loops) }()
	for _, file := range files {
		fd, err := loop(file)
		if err != nil {
			return -1, err
		}
		loops = append(loops, fd)
	}
	return erofs(loops, label)
}

// loop attaches a file to a free loop device, read-only and, where the store allows it, past the page cache.
func loop(file int) (int, error) {
	control, err := unix.Open("/dev/loop-control", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("loop device: %w", err)
	}
	defer unix.Close(control)
	for range 64 { // somebody else may take the device that was free
		n, err := unix.IoctlRetInt(control, unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return -1, fmt.Errorf("loop device: none is free: %w", err)
		}
		fd, err := unix.Open(fmt.Sprintf("/dev/loop%d", n), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return -1, fmt.Errorf("loop device %d: %w", n, err)
		}
		config := unix.LoopConfig{Fd: uint32(file)}
		config.Info.Flags = unix.LO_FLAGS_READ_ONLY | unix.LO_FLAGS_AUTOCLEAR | unix.LO_FLAGS_DIRECT_IO
		err = unix.IoctlLoopConfigure(fd, &config)
		if err == nil {
			return fd, nil
		}
		unix.Close(fd)
		if !errors.Is(err, unix.EBUSY) {
			return -1, fmt.Errorf("loop device %d: %w", n, err)
		}
	}
	return -1, fmt.Errorf("loop device: every one that was free was taken: %w", unix.EBUSY)
}

// Attach mounts a detached mount at dir, in the warden's private mount namespace. Before 6.15 only an attached mount
// can be cloned, as Idmap does for each container.
func Attach(fd int, dir string) error {
	return os.NewSyscallError("attach the image at "+dir, unix.MoveMount(fd, "", unix.AT_FDCWD, dir, unix.MOVE_MOUNT_F_EMPTY_PATH))
}

// Layer makes the upper or work directory of a container below dir, which belongs to the warden, owned by the range's
// base, and opens it. An existing one is opened.
func Layer(dir int, name string, base uint32) (int, error) {
	err := unix.Mkdirat(dir, name, 0o755)
	made := err == nil
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return -1, fmt.Errorf("make the %s directory: %w", name, err)
	}
	fd, err := path.Open(dir, name, unix.O_RDONLY|unix.O_DIRECTORY, 0, path.NoLinks)
	if err != nil {
		return -1, err
	}
	if made { // the container's root may have changed the owner of an old one
		err = errors.Join(unix.Fchown(fd, int(base), int(base)), unix.Fchmod(fd, 0o755))
	}
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("own the %s directory: %w", name, err)
	}
	return fd, nil
}

// Overlay makes a container's root: lower is a detached, idmapped mount, upper and work are directories of one file
// system, owned by the range's base. The result is detached. Overlay's marks are user.overlay.* attributes, so that
// what reads a container's changes can do so without privileges (T24). A volatile one leaves out all syncing: the upper
// directory dies with the container. xino=on keeps inode numbers unique over the layers (T23). Layers are given as
// descriptors (FSCONFIG_SET_FD) unless there is a scratch: an empty directory, of the caller's private mount namespace, where
// kernels before 6.13 need the lower layer attached for a moment; one caller at a time.
func Overlay(lower, upper, work int, volatile bool, scratch, label string) (fd int, err error) {
	options := []mount.Option{mount.FD("lowerdir+", lower), mount.FD("upperdir", upper), mount.FD("workdir", work)}
	if scratch != "" {
		if err := Attach(lower, scratch); err != nil {
			return -1, fmt.Errorf("overlay: %w", err)
		}
		// lower is the root of the attached mount now, and overlayfs keeps a private clone of it.
		defer unix.Unmount(scratch, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		options = []mount.Option{mount.String("lowerdir", path.Proc(lower)), mount.String("upperdir", path.Proc(upper)), mount.String("workdir", path.Proc(work))}
	}
	options = append(options, mount.String("source", "overlay"), mount.Flag("userxattr"), mount.String("xino", "on"), mount.Context(label))
	if volatile {
		options = append(options, mount.Flag("volatile"))
	}
	if fd, err = mount.New("overlay", quiet, options...); err != nil {
		return -1, err
	}
	var st unix.Statfs_t
	if err = unix.Fstatfs(fd, &st); err == nil && st.Flags&unix.ST_RDONLY != 0 {
		err = unix.ENOSPC // overlayfs could not make its work directory, and would be for reading
	}
	return fd, err
}

// Idmap makes a detached copy of what fd names, with ids mapped by userns: the lower layer of a container's root, or the
// source of a bind. A copy is as read-only as what it is of. A file system that cannot map ids, or that is mapped already,
// is refused: ids are never passed through unmapped (T8). The copy also stops following what it is of: what the host mounts
// below it later would come without these attributes.
func Idmap(fd, userns int, recursive bool) (int, error) {
	attr := uint64(quiet | unix.MOUNT_ATTR_IDMAP)
	flags := uint(unix.AT_EMPTY_PATH)
	if recursive {
		flags |= unix.AT_RECURSIVE
	}
	c, err := unix.OpenTree(fd, "", flags|unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("map ids: clone the mount: %w", err)
	}
	a := unix.MountAttr{Attr_set: attr, Propagation: unix.MS_PRIVATE, Userns_fd: uint64(userns)}
	if err := unix.MountSetattr(c, "", flags, &a); err != nil {
		unix.Close(c)
		var fs unix.Statfs_t
		_ = unix.Fstatfs(fd, &fs)
		return -1, fmt.Errorf("its file system (type %#x) cannot map ids: %w", fs.Type, err)
	}
	return c, nil
}
