package warden

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/path"
	"github.com/brig-engine/brig/internal/warden/rootfs"
	"github.com/brig-engine/brig/internal/wire"
)

// fill gives a new volume what the image has at its target, with owners and modes: a worker copies it, as root of the
// sandbox's own user namespace. A target that the image does not have, or that leads elsewhere, leaves the volume empty.
func (b *birth) fill(m *wire.Mount, volume int) error {
	w := b.w
	if w.volumes.filled(m.Source) {
		return nil
	}
	image, err := w.image(b.spec.Image)
	if err != nil {
		return err
	}
	defer unix.Close(image)
	view, err := rootfs.ReadOnlyView(image, b.box.user)
	if err != nil {
		return err
	}
	defer unix.Close(view)
	// Links are followed inside the image only (CVE-2022-23648).
	from, err := path.Open(view, m.Target[1:], unix.O_RDONLY|unix.O_DIRECTORY, 0, path.InRoot)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		return w.volumes.setFilled(m.Source)
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
	start := func(socket int) (*worker, error) { return w.startFiller(b.box, socket) }
	if err := w.runJob(&wire.Errand{Kind: wire.JobFill, Fill: &wire.JobFillParams{}}, start, from, to); err != nil {
		return err
	}
	return w.volumes.setFilled(m.Source)
}
