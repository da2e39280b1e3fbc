package warden

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/path"
	"github.com/brig-engine/brig/internal/warden/disk"
	"github.com/brig-engine/brig/internal/warden/idmap"
	"github.com/brig-engine/brig/internal/warden/plan"
	"github.com/brig-engine/brig/internal/wire"
)

// volumes are directories whose files belong, on disk, to ids that no container runs with (idmap.VolumeBase). Each mount maps
// them to its sandbox's range, so that containers with different ranges share a volume, and a recycled range inherits
// nothing (traps 8).
type volumes struct{ disk *disk.Disk }

// of gives the directory of a volume.
func (v volumes) of(name string) (string, error) {
	if !validName(name, maxVolumeName) {
		return "", fmt.Errorf("%q is no name of a volume: %w", name, errdefs.ErrInvalidArgument)
	}
	return filepath.Join(v.disk.Base, "volumes", name), nil
}

func (v volumes) create(name string, size int64, label string) error {
	dir, err := v.of(name)
	if err != nil || size != 0 && size < minDisk { // 0 is the usual bound, and less is none, within the warden
		return errors.Join(err, errdefs.ErrInvalidArgument)
	}
	made := trash(dir)
	data := filepath.Join(made, "data")
	if err := cmp.Or(v.disk.Remove(made), v.disk.Make(made, size), os.Mkdir(data, 0o700), os.Chown(data, idmap.VolumeBase, idmap.VolumeBase), os.Chmod(data, 0o755), setLabel(data, label)); err != nil {
		return err
	}
	return os.Rename(made, dir)
}

// trash is where a volume is made and ends, so that there is never half of one: the sweep finds what a crash leaves there.
// No container and no volume begins with a dot.
func trash(dir string) string { return filepath.Join(dir, "../../trash", "."+filepath.Base(dir)) }

// open gives the volume's directory.
func (v volumes) open(name string) (int, error) {
	dir, err := v.of(name)
	if err != nil {
		return -1, err
	}
	fd, err := unix.Open(filepath.Join(dir, "data"), unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		return -1, fmt.Errorf("no such volume: %s: %w", name, errdefs.ErrNotFound)
	}
	return fd, err
}

// remove deletes a volume. What is in it was written by strangers: it is removed below a descriptor, never across
// mounts, without following a link (disk/remove.go).
func (v volumes) remove(name string) error {
	dir, err := v.of(name)
	if err != nil {
		return err
	}
	gone := trash(dir)
	v.disk.Remove(gone) // or the next line fails
	if err := os.Rename(dir, gone); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	v.disk.Remove(gone) // or the sweep does it
	return nil
}

func (v volumes) list() (wire.VolumeList, error) {
	entries, err := os.ReadDir(filepath.Join(v.disk.Base, "volumes"))
	list := wire.VolumeList{}
	for _, e := range entries {
		if validName(e.Name(), maxVolumeName) {
			list = append(list, e.Name())
		}
	}
	return list, err
}

// fill gives a new volume what the image has at its target, with owners and modes: a worker copies it, as root of the
// sandbox's own user namespace. A target that the image does not have, or that leads elsewhere, leaves the volume empty.
func (b *birth) fill(m *wire.Mount, volume int) error {
	filled := filepath.Join(b.w.disk.Base, "volumes", m.Source, "filled")
	if _, err := os.Lstat(filled); err == nil {
		return nil
	}
	if err := b.copyImage(m.Target, volume); err != nil {
		return err
	}
	return os.WriteFile(filled, nil, 0o600)
}

func (b *birth) copyImage(target string, volume int) error {
	view, err := b.lower()
	if err != nil {
		return err
	}
	defer unix.Close(view)
	// Links are followed inside the image only (CVE-2022-23648).
	from, err := path.Open(view, target[1:], unix.O_RDONLY|unix.O_DIRECTORY, 0, path.InRoot)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(from)
	to, err := path.Open(volume, ".", unix.O_RDONLY|unix.O_DIRECTORY, 0, path.NoLinks)
	if err != nil {
		return err
	}
	defer unix.Close(to)
	return b.w.errand(b.filler, wire.Errand{Kind: wire.JobFill, Fill: &struct{}{}}, from, to)
}

// filler starts a worker that is root of the sandbox's user namespace, and sees no file system but what its job brings.
func (b *birth) filler(socket int) (*worker, error) {
	return b.w.birthOfWorker(&service{filter: "filler", ServiceInput: plan.ServiceInput{Capabilities: copying},
		parts: parts{fds: map[string]int{"userns": b.box.fds["userns"], "fd0": socket}}})
}
