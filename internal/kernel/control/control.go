// Package control reads and writes control files of control groups, and opens the roots of their hierarchies.
//
// Zone: brig-warden, and brig as root while it starts an engine. Input: descriptors, and names that the caller made.
// Output: control files. Spec: cgroups(7), admin-guide/cgroup-v1 and cgroup-v2 of the kernel. Answers: A3 (a hierarchy is
// opened by what it is, not by where the host has it).
package control

import (
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/mount"
)

// Write writes value to a control file in one call. extra are further flags.
func Write(dir int, path, value string, extra int) error {
	fd, err := unix.Openat(dir, path, unix.O_WRONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW|extra, 0o600)
	if err == nil {
		for err = unix.EINTR; err == unix.EINTR; { // a limit of memory is not set while a signal waits
			_, err = unix.Write(fd, []byte(value))
		}
		unix.Close(fd)
	}
	if err != nil {
		return fmt.Errorf("write %q to %s: %w", value, path, err)
	}
	return nil
}

// Read reads a whole control file, without the white space around it.
func Read(dir int, path string) (string, error) {
	fd, err := unix.Openat(dir, path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return "", err
	}
	f := os.NewFile(uintptr(fd), path)
	defer f.Close()
	b, err := io.ReadAll(f)
	return strings.TrimSpace(string(b)), err
}

// Dir opens a group.
func Dir(dir int, path string) (int, error) {
	return unix.Openat(dir, path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
}

// Root gives the root of the hierarchy of version 1 that has exactly these controllers, or of version 2 without any. It is
// mounted once more, detached, so that nothing depends on where the host has it, or on which part of it the host shows. A
// new mount of version 2 could change its options for the whole machine (nsdelegate): that is done only where nobody uses it.
func Root(controllers []string) (int, error) {
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

// Inherit gives a group the processors and memory nodes of the one above where it has none: version 1 starts them empty, and
// nothing may enter an empty one.
func Inherit(above, dir int, name string, extra int) error {
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		if s, err := Read(dir, name+"/"+file); err == nil && s != "" {
			continue
		}
		s, err := Read(above, file)
		if err == nil {
			err = Write(dir, name+"/"+file, s, extra)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
