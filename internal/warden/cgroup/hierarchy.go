package cgroup

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/mount"
)

// hierarchy is one tree of groups, with two descriptors in it.
type hierarchy struct {
	controllers []string // those that this package uses; "io" goes by its old name "blkio"
	v2          bool
	base        int // the group that the engine's parent group is made in
	fd          int // the engine's parent group
}

func (h *hierarchy) close() {
	for _, fd := range []int{h.base, h.fd} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

// name is for messages.
func (h *hierarchy) name() string {
	if h.v2 {
		return "version 2"
	}
	return strings.Join(h.controllers, ",")
}

// lazy tells whether containers need a group here only if they ask for it.
func (h *hierarchy) lazy() bool { return !h.v2 && slices.Equal(h.controllers, []string{"cpuset"}) }

// wanted are the controllers that this package knows, with what is lost without them. A spec that asks for the optional
// one ("") is refused where the kernel lacks it.
func wanted() map[string]string {
	return map[string]string{
		"memory": "containers have no memory bound",
		"pids":   "containers have no bound on processes",
		"cpu":    "containers do not share the processors fairly",
		"blkio":  "containers do not share block devices fairly",
		"cpuset": "",
	}
}

// opener gives a descriptor of the root of a hierarchy: of version 1 with exactly these controllers, or of version 2
// without any.
type opener func(controllers []string) (int, error)

// openRoot mounts a hierarchy of version 1 once more, detached, so that nothing depends on where the host has it, or on
// which part of it the host shows. A new mount of version 2 could change its options for the whole machine
// (nsdelegate): that is done only where nobody uses it.
func openRoot(controllers []string) (int, error) {
	const attr = unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC
	if len(controllers) > 0 {
		var options []mount.Option
		for _, c := range controllers {
			options = append(options, mount.Flag(c))
		}
		return mount.New("cgroup", attr, options...)
	}
	for _, dir := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		var st unix.Statfs_t
		if unix.Statfs(dir, &st) == nil && st.Type == unix.CGROUP2_SUPER_MAGIC {
			return unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		}
	}
	return mount.New("cgroup2", attr)
}

// discover opens the hierarchies that hold a controller we want, and version 2 as the first. self is the content of
// /proc/self/cgroup, lines id:controllers:path, with no controllers for version 2.
func discover(self string, root opener) (list []*hierarchy, err error) {
	defer func() {
		if err != nil {
			for _, h := range list {
				h.close()
			}
			list = nil
		}
	}()
	unified, err := newHierarchy(nil, "/", root)
	if err != nil {
		return nil, fmt.Errorf("control groups of version 2: %w", err)
	}
	list = append(list, unified)
	for line := range strings.Lines(self) {
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(f) != 3 || strings.Contains(f[1], "name=") {
			continue
		}
		if f[1] == "" {
			unix.Close(unified.base)
			if list[0], err = newHierarchy(nil, f[2], root); err != nil {
				return list[1:], fmt.Errorf("control groups of version 2: %w", err)
			}
			continue
		}
		controllers := strings.Split(f[1], ",")
		if !slices.ContainsFunc(controllers, isWanted) {
			continue
		}
		h, err := newHierarchy(controllers, f[2], root)
		if err != nil {
			return list, fmt.Errorf("control groups of %s: %w", f[1], err)
		}
		list = append(list, h)
	}
	return list, nil
}
