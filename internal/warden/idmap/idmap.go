// Package idmap makes user namespaces, and pairs of a user and a network namespace, that exist as descriptors only.
//
// Zone: brig-warden (root). Input: id ranges that the warden chose. Output: descriptors.
// Spec: user_namespaces(7), network_namespaces(7), mount_setattr(2).
// Answers: A3 (no id of a container is an id of the host), A5 (no two sandboxes share an id).
package idmap

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/clone"
)

// Size is the number of ids of a sandbox.
const Size = 65536

// Extent maps Size ids that begin at Inside to those that begin at Outside.
type Extent struct {
	Inside, Outside, Size uint32
}

// Range is the map of a sandbox whose range begins at base.
func Range(base uint32) []Extent { return []Extent{{Inside: 0, Outside: base, Size: Size}} }

// NewPair makes a user namespace with the sandbox range at base, and a network namespace that belongs to it. Nobody is
// in them; the descriptors keep them.
func NewPair(base uint32) (userFD, netFD int, err error) {
	return NewPairMapped(Range(base), Range(base))
}

// NewPairMapped is NewPair with maps of user and group ids.
func NewPairMapped(uids, gids []Extent) (userFD, netFD int, err error) {
	fds, err := namespaces(uids, gids, unix.CLONE_NEWUSER|unix.CLONE_NEWNET, "user", "net")
	if err != nil {
		return -1, -1, err
	}
	return fds[0], fds[1], nil
}

// NewUserns makes a user namespace, for the maps of a mount.
func NewUserns(uids, gids []Extent) (int, error) {
	fds, err := namespaces(uids, gids, unix.CLONE_NEWUSER, "user")
	if err != nil {
		return -1, err
	}
	return fds[0], nil
}

// namespaces lets a child make namespaces, writes their maps, opens them by name and ends the child.
func namespaces(uids, gids []Extent, flags uintptr, names ...string) (fds []int, err error) {
	defer func() {
		if err != nil {
			for _, fd := range fds {
				unix.Close(fd)
			}
			err = fmt.Errorf("make namespaces: %w", explain(err))
		}
	}()
	p := clone.New()
	p.Add(clone.Step{Nr: unix.SYS_PRCTL, Args: [6]uintptr{unix.PR_SET_DUMPABLE}})
	p.Add(clone.Step{Nr: unix.SYS_UNSHARE, Args: [6]uintptr{flags}})
	p.Notify()
	p.Gate()
	child, err := clone.Start(p, nil, clone.Options{})
	if err != nil {
		return nil, err
	}
	defer child.Kill()
	if err := child.Await(); err != nil {
		return nil, err
	}
	proc, err := unix.Open(fmt.Sprintf("/proc/%d", child.PID), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(proc)
	if err := write(proc, "uid_map", uids); err != nil {
		return nil, err
	}
	if err := write(proc, "gid_map", gids); err != nil {
		return nil, err
	}
	for _, name := range names {
		fd, err := unix.Openat(proc, "ns/"+name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return fds, err
		}
		fds = append(fds, fd)
	}
	return fds, nil
}

func write(proc int, name string, extents []Extent) error {
	var text strings.Builder
	for _, e := range extents {
		fmt.Fprintf(&text, "%d %d %d\n", e.Inside, e.Outside, e.Size)
	}
	fd, err := unix.Openat(proc, name, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: name, Err: err}
	}
	defer unix.Close(fd)
	if _, err := unix.Write(fd, []byte(text.String())); err != nil {
		return &os.PathError{Op: "write", Path: name, Err: err}
	}
	return nil
}

// explain says what a host that forbids user namespaces would have to change.
func explain(err error) error {
	b, readErr := os.ReadFile("/proc/sys/user/max_user_namespaces")
	if readErr == nil && strings.TrimSpace(string(b)) == "0" {
		return fmt.Errorf("%w: user namespaces are switched off on this host, allow them with: "+
			"sysctl user.max_user_namespaces=100000", err)
	}
	return err
}

// VolumeBase is where the ids of volumes lie on disk: a range that no container runs with, so that a volume serves
// sandboxes of different ranges and a recycled range inherits nothing (T8).
const VolumeBase = 0x7FFC0000

// Volume is the map of a volume's mount for the sandbox whose range begins at base.
func Volume(base uint32) []Extent { return []Extent{{Inside: VolumeBase, Outside: base, Size: Size}} }

// Single maps one id of the host to one id of the sandbox whose range begins at base: the caller of a bind mount and
// the user of the container. All other ids are nobody's (T8).
func Single(host, base, inside uint32) []Extent {
	return []Extent{{Inside: host, Outside: base + inside, Size: 1}}
}
