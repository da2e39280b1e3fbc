package warden

import (
	"fmt"
	"os"
	"strings"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/cred"
	"github.com/brig-engine/brig/internal/kernel/path"
	"github.com/brig-engine/brig/internal/warden/cgroup"
	"github.com/brig-engine/brig/internal/warden/rootfs"
)

// devices gives the container those of the host that its spec names; who asked is root, as the floor has seen to.
func (b *birth) devices() error {
	for _, d := range b.spec.Devices {
		fd, err := rootfs.OpenHostPath(d.Source, cred.Peer(*b.caller))
		if err == nil {
			err = b.device(fd, strings.TrimPrefix(d.Target, "/dev/"), d.Access)
		}
		if err != nil {
			return fmt.Errorf("device %s: %w: %w", d.Source, err, errdefs.ErrInvalidArgument)
		}
	}
	return nil
}

// device gives the one behind fd, which it closes, or all that are below a directory, as Docker does.
func (b *birth) device(fd int, name string, access uint32) error {
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	d := cgroup.Device{Major: unix.Major(st.Rdev), Minor: unix.Minor(st.Rdev), Access: access}
	switch kind := st.Mode & unix.S_IFMT; {
	case kind == unix.S_IFDIR:
		entries, err := os.ReadDir(path.Proc(fd))
		for i := 0; i < len(entries) && err == nil; i++ {
			var next int
			if next, err = unix.Openat(fd, entries[i].Name(), unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0); err == nil {
				err = b.device(next, name+"/"+entries[i].Name(), access)
			}
		}
		return err
	case kind == unix.S_IFLNK: // in a directory: what it leads to is there by itself, or was not asked for
		return nil
	case kind != unix.S_IFCHR || len(b.allowed) == maxDevices:
		return fmt.Errorf("the floor policy gives %s to no container: no disk, nothing but devices, no more than %d devices",
			name, maxDevices)
	}
	b.allowed = append(b.allowed, d)
	return rootfs.Device(b.fds["dev"], name, b.box.base, &st)
}
