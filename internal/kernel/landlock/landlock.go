package landlock

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ABI is the version of Landlock that the running kernel speaks. 0: none.
type ABI int

// Newest stands for all that this package knows.
const Newest ABI = 1 << 16

// Sets of file system accesses. A rule on a file may only hold accesses of FileAccess.
const (
	Read       = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR
	FileAccess = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE |
		unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_TRUNCATE | unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
)

// Ruleset is struct landlock_ruleset_attr: what a domain handles, that is, refuses unless a rule allows it.
// All zero is refused with ENOMSG.
type Ruleset struct {
	FS    uint64 // LANDLOCK_ACCESS_FS_*
	Net   uint64 // LANDLOCK_ACCESS_NET_*
	Scope uint64 // LANDLOCK_SCOPE_*: refused without exception towards processes outside the domain
}

// known is what each version can handle. A newer kernel's version counts as the last one.
var known = [...]Ruleset{
	1: {FS: unix.LANDLOCK_ACCESS_FS_MAKE_SYM<<1 - 1},                           // Linux 5.13
	2: {FS: unix.LANDLOCK_ACCESS_FS_REFER<<1 - 1},                              // 5.19: moving files between directories
	3: {FS: unix.LANDLOCK_ACCESS_FS_TRUNCATE<<1 - 1},                           // 6.2
	4: {FS: unix.LANDLOCK_ACCESS_FS_TRUNCATE<<1 - 1, Net: tcp},                 // 6.7: binding and connecting TCP ports
	5: {FS: unix.LANDLOCK_ACCESS_FS_IOCTL_DEV<<1 - 1, Net: tcp},                // 6.10: ioctl of device files
	6: {FS: unix.LANDLOCK_ACCESS_FS_IOCTL_DEV<<1 - 1, Net: tcp, Scope: scopes}, // 6.12: abstract unix sockets, signals
}

const (
	tcp    = unix.LANDLOCK_ACCESS_NET_BIND_TCP | unix.LANDLOCK_ACCESS_NET_CONNECT_TCP
	scopes = unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | unix.LANDLOCK_SCOPE_SIGNAL
)

// Everything is the strictest ruleset that the kernel can enforce, of what this package knows: all file system
// accesses, TCP, and both scopes.
func Everything(abi ABI) Ruleset { return known[min(int(abi), len(known)-1)] }

// Create makes a ruleset, reduced to what the kernel of that version knows (more would be refused with EINVAL), as a
// close-on-exec descriptor. Older kernels take the longer structure as long as the fields that they do not know are 0.
func Create(abi ABI, r Ruleset) (int, error) {
	k := Everything(abi)
	r = Ruleset{r.FS & k.FS, r.Net & k.Net, r.Scope & k.Scope}
	fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&r)), unsafe.Sizeof(r), 0)
	if errno != 0 {
		return -1, fmt.Errorf("landlock: create a ruleset: %w", errno)
	}
	return int(fd), nil
}

// Allow adds a rule: access to a directory and all below it, or what of it there is for files to a file. A path that is
// not there needs none. The kernel refuses access beyond what the ruleset handles.
func Allow(ruleset int, access uint64, path string) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		return nil
	}
	var st unix.Stat_t
	if err == nil {
		defer unix.Close(fd)
		err = unix.Fstat(fd, &st)
	}
	if err != nil {
		return fmt.Errorf("landlock: %s: %w", path, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		access &= FileAccess
	}
	rule := beneath(access, fd)
	_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(ruleset), unix.LANDLOCK_RULE_PATH_BENEATH,
		uintptr(unsafe.Pointer(&rule)), 0, 0, 0)
	if errno != 0 {
		return fmt.Errorf("landlock: add a rule for %s: %w", path, errno)
	}
	return nil
}

// beneath is struct landlock_path_beneath_attr, which the kernel declares packed: 12 bytes, where Go would add padding.
func beneath(access uint64, fd int) (rule [12]byte) {
	binary.NativeEndian.PutUint64(rule[:], access)
	binary.NativeEndian.PutUint32(rule[8:], uint32(fd))
	return rule
}
