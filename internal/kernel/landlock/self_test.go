package landlock

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Port is struct landlock_net_port_attr; Port is a port number in host byte order.
type Port struct {
	Access uint64
	Port   uint64
}

// AllowPort adds a rule for a TCP port.
func AllowPort(ruleset int, p Port) error {
	const rulePort = 2
	_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(ruleset), rulePort, uintptr(unsafe.Pointer(&p)), 0, 0, 0)
	if errno != 0 {
		return fmt.Errorf("landlock: add a rule: %w", errno)
	}
	return nil
}

// RestrictSelf puts the calling thread, and what it creates from now on, into the domain of ruleset. The thread needs
// no_new_privs (or CAP_SYS_ADMIN in its user namespace); the caller has locked the goroutine to it. There is no
// way back.
func RestrictSelf(ruleset int) error {
	_, _, errno := unix.RawSyscall(unix.SYS_LANDLOCK_RESTRICT_SELF, uintptr(ruleset), 0, 0)
	if errno != 0 {
		return fmt.Errorf("landlock: restrict self: %w", errno)
	}
	return nil
}
