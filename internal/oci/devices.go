package oci

import (
	"fmt"
	"path"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/oci/birth"
)

// usual are the devices that the specification gives every container.
var usual = []struct {
	path         string
	major, minor uint32
}{{"/dev/null", 1, 3}, {"/dev/zero", 1, 5}, {"/dev/full", 1, 7}, {"/dev/random", 1, 8}, {"/dev/urandom", 1, 9}, {"/dev/tty", 5, 0}}

// openDevices lists the nodes of the container; in a user namespace it opens the host's, which are bound.
func (c *container) openDevices(in *birth.Input) error {
	if !in.DevLinks { // the whole of /dev is the host's
		return nil
	}
	for _, u := range usual {
		in.Devices = append(in.Devices, birth.Device{Path: u.path, Mode: unix.S_IFCHR | 0o666, Dev: unix.Mkdev(u.major, u.minor)})
	}
	for i := range c.spec.Linux.Devices {
		d, err := device(&c.spec.Linux.Devices[i])
		if err != nil {
			return fmt.Errorf("linux.devices[%d]: %w", i, err)
		}
		in.Devices = slices.DeleteFunc(in.Devices, func(o birth.Device) bool { return o.Path == d.Path })
		in.Devices = append(in.Devices, d)
	}
	if !in.UserNS {
		return nil
	}
	for i, d := range in.Devices {
		var st unix.Stat_t
		if err := unix.Stat(d.Path, &st); err != nil || st.Rdev != d.Dev || st.Mode&unix.S_IFMT != d.Mode&unix.S_IFMT {
			return fmt.Errorf("device %s: in a user namespace it is the host's own that is bound, and the host has no such one there", d.Path)
		}
		fd, err := unix.OpenTree(unix.AT_FDCWD, d.Path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
		if err != nil {
			return fmt.Errorf("device %s: %w", d.Path, err)
		}
		c.fds[fmt.Sprintf("dev%d", i)] = fd
		if err := setMount(fd, d.Path, &unix.MountAttr{Propagation: unix.MS_PRIVATE}, false); err != nil {
			return err
		}
	}
	return nil
}

func device(d *specs.LinuxDevice) (birth.Device, error) {
	out := birth.Device{Path: path.Clean("/" + d.Path), Mode: 0o666}
	if d.FileMode != nil {
		out.Mode = uint32(d.FileMode.Perm())
	}
	if d.UID != nil {
		out.UID = *d.UID
	}
	if d.GID != nil {
		out.GID = *d.GID
	}
	if out.Path == "/" || d.Major < 0 || d.Minor < 0 {
		return out, fmt.Errorf("%q %d:%d is no device", d.Path, d.Major, d.Minor)
	}
	switch d.Type {
	case "c", "u":
		out.Mode |= unix.S_IFCHR
	case "b":
		out.Mode |= unix.S_IFBLK
	case "p":
		out.Mode |= unix.S_IFIFO
		return out, nil
	default:
		return out, fmt.Errorf("type %q is none of c, u, b, p", d.Type)
	}
	out.Dev = unix.Mkdev(uint32(d.Major), uint32(d.Minor))
	return out, nil
}
