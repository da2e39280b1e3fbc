package landlock

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ABI is the version of Landlock that the running kernel speaks. 0: none.
type ABI int

// What each version brought.
const (
	ABIRefer    ABI = 2 // Linux 5.19: moving files between directories
	ABITruncate ABI = 3 // 6.2
	ABINet      ABI = 4 // 6.7: binding and connecting TCP ports
	ABIIoctl    ABI = 5 // 6.10: ioctl of device files
	ABIScope    ABI = 6 // 6.12: abstract unix sockets, signals
	ABILog      ABI = 7 // 6.15: flags about the audit log
)

// Sets of file system accesses, of ABI 1. A rule on a file may only hold accesses of FileAccess.
const (
	Read  = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR
	Exec  = unix.LANDLOCK_ACCESS_FS_EXECUTE
	Write = unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_REMOVE_DIR |
		unix.LANDLOCK_ACCESS_FS_REMOVE_FILE | unix.LANDLOCK_ACCESS_FS_MAKE_CHAR | unix.LANDLOCK_ACCESS_FS_MAKE_DIR |
		unix.LANDLOCK_ACCESS_FS_MAKE_REG | unix.LANDLOCK_ACCESS_FS_MAKE_SOCK | unix.LANDLOCK_ACCESS_FS_MAKE_FIFO |
		unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK | unix.LANDLOCK_ACCESS_FS_MAKE_SYM
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

// Path is struct landlock_path_beneath_attr, which the kernel declares packed: 12 bytes, where Go would
// add padding.
type Path [12]byte

// RulesetSize is the size that goes with a Ruleset. Older kernels take the longer structure as long as
// the fields that they do not know are 0.
const RulesetSize = unsafe.Sizeof(Ruleset{})

// Everything is the strictest ruleset that the kernel can enforce, of what this package knows: all file system
// accesses, TCP, and both scopes.
func Everything(abi ABI) Ruleset { return Ruleset{^uint64(0), ^uint64(0), ^uint64(0)}.For(abi) }

// handled is what each version of Landlock can handle beyond the ones before.
var handled = [ABILog + 1]Ruleset{
	1:           {FS: Read | Exec | Write},
	ABIRefer:    {FS: unix.LANDLOCK_ACCESS_FS_REFER},
	ABITruncate: {FS: unix.LANDLOCK_ACCESS_FS_TRUNCATE},
	ABINet:      {Net: unix.LANDLOCK_ACCESS_NET_BIND_TCP | unix.LANDLOCK_ACCESS_NET_CONNECT_TCP},
	ABIIoctl:    {FS: unix.LANDLOCK_ACCESS_FS_IOCTL_DEV},
	ABIScope:    {Scope: unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | unix.LANDLOCK_SCOPE_SIGNAL},
}

// For reduces the ruleset to what the kernel knows; more would be refused with EINVAL.
func (r Ruleset) For(abi ABI) Ruleset {
	var known Ruleset
	for _, h := range handled[:min(abi, ABILog)+1] {
		known.FS, known.Net, known.Scope = known.FS|h.FS, known.Net|h.Net, known.Scope|h.Scope
	}
	return Ruleset{r.FS & known.FS, r.Net & known.Net, r.Scope & known.Scope}
}

// Beneath builds a rule: access to fd (O_PATH is enough) and, if it is a directory, to all below it. The kernel refuses
// access beyond what the ruleset handles, and accesses to directories if fd is a file.
func Beneath(access uint64, fd int) Path {
	var p Path
	*(*[8]byte)(p[:8]) = *(*[8]byte)(unsafe.Pointer(&access))
	fd32 := int32(fd)
	*(*[4]byte)(p[8:]) = *(*[4]byte)(unsafe.Pointer(&fd32))
	return p
}

// Version asks the kernel. 0 means that it was built without Landlock or has it switched off.
func Version() (ABI, error) {
	v, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	switch {
	case errno == 0:
		return ABI(v), nil
	case errors.Is(errno, unix.ENOSYS), errors.Is(errno, unix.EOPNOTSUPP):
		return 0, nil
	}
	return 0, fmt.Errorf("landlock: ask for the version: %w", errno)
}

// Create makes a ruleset, reduced to what the kernel of that version knows, as a close-on-exec descriptor.
func Create(abi ABI, r Ruleset) (int, error) {
	r = r.For(abi)
	fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&r)), RulesetSize, 0)
	if errno != 0 {
		return -1, fmt.Errorf("landlock: create a ruleset: %w", errno)
	}
	return int(fd), nil
}

// AllowPath adds a rule that Beneath built.
func AllowPath(ruleset int, p Path) error {
	return addRule(ruleset, unix.LANDLOCK_RULE_PATH_BENEATH, unsafe.Pointer(&p))
}

func addRule(ruleset int, kind uintptr, attr unsafe.Pointer) error {
	_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(ruleset), kind, uintptr(attr), 0, 0, 0)
	runtime.KeepAlive(attr)
	if errno != 0 {
		return fmt.Errorf("landlock: add a rule: %w", errno)
	}
	return nil
}
