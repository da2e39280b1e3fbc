package rootfs

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/mount"
	"github.com/brig-engine/brig/internal/kernel/path"
)

// OverlayOptions of a container's root.
type OverlayOptions struct {
	// Volatile leaves out all syncing: the upper directory dies with the container.
	Volatile bool
	// Scratch is an empty directory, of the caller's private mount namespace, where kernels before 6.13 need the lower
	// layer attached for a moment; one caller at a time.
	Scratch string
}

// Overlay makes a container's root: lower is a detached, idmapped mount, upper and work are directories of one file
// system, owned by the range's base. The result is detached. Overlay's marks are user.overlay.* attributes, so that
// what reads a container's changes can do so without privileges (T24).
func Overlay(lower, upper, work int, o OverlayOptions) (int, error) {
	fd, err := overlayByFD(lower, upper, work, o)
	if errors.Is(err, unix.EINVAL) {
		return overlayByPath(lower, upper, work, o)
	}
	return fd, err
}

// overlayByFD gives layers to overlayfs as descriptors (FSCONFIG_SET_FD, 6.13).
func overlayByFD(lower, upper, work int, o OverlayOptions) (int, error) {
	return overlay(o, mount.FD("lowerdir+", lower), mount.FD("upperdir", upper), mount.FD("workdir", work))
}

func overlayByPath(lower, upper, work int, o OverlayOptions) (int, error) {
	if err := Attach(lower, o.Scratch); err != nil {
		return -1, fmt.Errorf("overlay: %w", err)
	}
	// lower is the root of the attached mount now, and overlayfs keeps a private clone of it.
	fd, err := overlay(o, mount.String("lowerdir", path.Proc(lower)), mount.String("upperdir", path.Proc(upper)),
		mount.String("workdir", path.Proc(work)))
	if undo := unix.Unmount(o.Scratch, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); undo != nil {
		err = errors.Join(err, fmt.Errorf("overlay: detach the image: %w", undo))
	}
	return fd, err
}

// xino=on keeps inode numbers unique over the layers (T23).
func overlay(o OverlayOptions, layers ...mount.Option) (int, error) {
	options := append(layers, mount.String("source", "overlay"), mount.Flag("userxattr"), mount.String("xino", "on"))
	if o.Volatile {
		options = append(options, mount.Flag("volatile"))
	}
	return mount.New("overlay", quiet, options...)
}

// Idmap makes a detached copy of the mount at fd whose ids are mapped by userns: the lower layer of a container's root.
func Idmap(fd, userns int) (int, error) { return idmapped(fd, userns, quiet, false) }

// ReadOnlyView is Idmap of an image without an upper directory: what a worker reads that fills a volume from an image.
func ReadOnlyView(image, userns int) (int, error) {
	return idmapped(image, userns, unix.MOUNT_ATTR_RDONLY|quiet, false)
}

// BindIdmap makes a detached copy of what fd names, with ids mapped by userns. A file system that cannot map ids, or
// that is mapped already, is refused: ids are never passed through unmapped (T8).
func BindIdmap(fd, userns int, recursive bool) (int, error) {
	return idmapped(fd, userns, quiet, recursive)
}

func idmapped(fd, userns int, attr uint64, recursive bool) (int, error) {
	c, err := mount.Clone(fd, recursive)
	if err != nil {
		return -1, fmt.Errorf("map ids: %w", err)
	}
	if err := mount.Set(c, attr, userns, recursive); err != nil {
		unix.Close(c)
		var fs unix.Statfs_t
		if statErr := unix.Fstatfs(fd, &fs); statErr == nil {
			err = fmt.Errorf("its file system (type %#x) cannot map ids: %w", fs.Type, err)
		}
		return -1, err
	}
	return c, nil
}
