// Package path opens names below a directory descriptor without ever leaving it.
//
// Zone: brig-warden (root). Input: names that came from a request, an image or a running container.
// Output: descriptors. Spec: openat2(2). Answers: A3 (CVE-2018-15664, CVE-2021-30465, CVE-2026-41579: symbolic links
// and races that lead a privileged process out of a root).
package path

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// The ways to resolve a name.
const (
	// InRoot treats the directory as the root: links and ".." stay inside. Magic links of procfs are refused.
	InRoot = unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS
	// NoLinks refuses every symbolic link and whatever leaves the directory.
	NoLinks = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS
)

// How returns the argument of openat2, for system calls that a plan makes. O_CLOEXEC is always added.
func How(flags uint64, mode uint32, resolve uint64) unix.OpenHow {
	return unix.OpenHow{Flags: flags | unix.O_CLOEXEC, Mode: uint64(mode), Resolve: resolve}
}

// Open opens name below dir, in a way to resolve. The descriptor is close-on-exec.
func Open(dir int, name string, flags int, mode uint32, resolve uint64) (int, error) {
	how := How(uint64(flags), mode, resolve)
	for tries := 0; ; tries++ {
		fd, err := unix.Openat2(dir, name, &how)
		// EAGAIN: a rename raced with "..", so try again; or somebody has a lease of the file, for as long as he likes.
		if err == unix.EINTR || err == unix.EAGAIN && tries < 100 {
			continue
		}
		if err != nil {
			return -1, &os.PathError{Op: "open", Path: name, Err: err}
		}
		return fd, nil
	}
}

// Proc returns the name of descriptor fd in procfs, for the few interfaces that take paths alone.
func Proc(fd int) string { return fmt.Sprintf("/proc/self/fd/%d", fd) }
