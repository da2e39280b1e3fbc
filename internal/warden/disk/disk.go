package disk

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/quota"
	"github.com/brig-engine/brig/internal/wire"
)

const (
	bound = 10 << 30 // of what brigd names no bound for
	step  = 1 << 30  // that the image grows by
)

// Disk is where containers and volumes are.
type Disk struct {
	Kind        string
	Base        string // the engine's directory, or the image
	image, loop *os.File
}

// Open opens what is below root, in directories that are bounded in the way that was found out.
func Open(root, kind string) (d *Disk, err error) {
	d = &Disk{Kind: kind, Base: root}
	if kind != wire.InImage {
		return d, nil
	}
	d.Base = root + "/disk"
	if d.image, err = os.OpenFile(root+"/disk.img", os.O_RDWR, 0); err == nil {
		d.loop, err = os.OpenFile(root+"/disk.dev", os.O_RDWR, 0)
	}
	return d, err
}

// in does something with a directory.
func in(path string, f func(fd int) error) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	return f(fd)
}

// Make makes a directory with a bound, and those above it.
func (d *Disk) Make(path string, bytes int64) error {
	above, name := filepath.Split(path)
	if err := os.MkdirAll(above, 0o711); err != nil {
		return err
	}
	made := func(above int) error { return unix.Mkdirat(above, name, 0o711) }
	if d.Kind == wire.InImage {
		made = func(above int) error { return quota.Subvolume(above, name) }
	}
	return cmp.Or(in(above, made), os.Chmod(path, 0o711), d.Bound(path, bytes, true))
}

// Bound gives a directory, maybe an empty one, a bound: 0 is the usual one, -1 none for a moment.
func (d *Disk) Bound(path string, bytes int64, empty bool) error {
	switch {
	case d.Kind == wire.ByProject:
		return in(path, func(fd int) error { return quota.BoundProject(fd, cmp.Or(bytes, bound), empty) })
	case d.Kind == wire.InImage:
		return in(path, func(fd int) error { return quota.BoundSubvolume(fd, cmp.Or(bytes, bound)) })
	case d.Kind == "" && bytes > 0:
		return fmt.Errorf("disk space cannot be bounded here: %w", errdefs.ErrFailedPrecondition)
	}
	return nil
}

// Remove deletes what strangers have written: never across mounts, and without following a link.
func (d *Disk) Remove(path string) error {
	d.Bound(path, -1, false) // so that the file system forgets the project
	above, name := filepath.Split(path)
	if d.Kind == wire.InImage && in(above, func(fd int) error { return quota.Destroy(fd, name) }) == nil {
		return nil
	}
	err := in(above, func(fd int) error { return remove(fd, fd, name, 0) })
	if errors.Is(err, os.ErrNotExist) {
		return nil // nor what was above it
	}
	return err
}

// Grow gives the image another step if it has less than that left, and the host keeps a sixteenth of its disk.
func (d *Disk) Grow() error {
	if d.Kind != wire.InImage {
		return nil
	}
	return in(d.Base, func(fd int) error {
		left, err := quota.Unallocated(fd)
		var host unix.Statfs_t
		if err = cmp.Or(err, unix.Fstatfs(int(d.image.Fd()), &host)); err != nil || left >= step || host.Bavail*uint64(host.Bsize) < step+host.Blocks/16*uint64(host.Bsize) {
			return err
		}
		size, err := d.image.Seek(0, 2)
		return cmp.Or(err, unix.Fallocate(int(d.image.Fd()), 0, size, step), unix.IoctlSetInt(int(d.loop.Fd()), unix.LOOP_SET_CAPACITY, 0), quota.Resize(fd))
	})
}
