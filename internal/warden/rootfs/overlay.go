package rootfs

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/mount"
	"github.com/brig-engine/brig/internal/kernel/path"
)

// Way chooses between ways that differ by kernel.
type Way uint8

const (
	// Try takes the newest way that the kernel accepts.
	Try Way = iota
	// ByFD gives layers to overlayfs as descriptors (FSCONFIG_SET_FD, 6.13).
	ByFD
	// ByPath attaches the lower layer in the warden's private mount namespace for a moment.
	ByPath
)

// OverlayOptions of a container's root.
type OverlayOptions struct {
	// Volatile leaves out all syncing: the upper directory dies with the container.
	Volatile bool
	// Way, unless Try, is for tests.
	Way Way
	// Scratch is an empty directory, of the caller's private mount namespace, where ByPath attaches the lower layer;
	// one caller at a time. "" makes ByPath impossible.
	Scratch string
}

// Overlay makes a container's root: lower is a detached, idmapped mount, upper and work are directories of one file
// system, owned by the range's base. The result is detached. Overlay's marks are user.overlay.* attributes, so that
// what reads a container's changes can do so without privileges (T24).
func Overlay(lower, upper, work int, o OverlayOptions) (int, error) {
	if o.Way != ByPath {
		fd, err := overlay(o, mount.FD("lowerdir+", lower), mount.FD("upperdir", upper), mount.FD("workdir", work))
		if err == nil || o.Way == ByFD || !errors.Is(err, unix.EINVAL) {
			return fd, err
		}
	}
	if o.Scratch == "" {
		return -1, fmt.Errorf("overlay: no scratch directory to attach the image at: %w", unix.EINVAL)
	}
	if err := unix.MoveMount(lower, "", unix.AT_FDCWD, o.Scratch, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return -1, fmt.Errorf("overlay: attach the image: %w", err)
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

// Idmap makes a detached copy of the mount at fd whose ids are mapped by userns.
func Idmap(fd, userns int) (int, error) {
	c, err := mount.Clone(fd, false)
	if err != nil {
		return -1, fmt.Errorf("map ids: %w", err)
	}
	if err := mount.Set(c, quiet, userns, false); err != nil {
		unix.Close(c)
		return -1, fmt.Errorf("map ids: %w", err)
	}
	return c, nil
}
