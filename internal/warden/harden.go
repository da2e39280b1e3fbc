package warden

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/cred"
)

// needed are the capabilities that the warden keeps; it gives up the rest of root's before it reads the first message.
var needed = mask(unix.CAP_SYS_ADMIN, unix.CAP_SYS_CHROOT, unix.CAP_SYS_PTRACE, unix.CAP_SYS_RESOURCE, unix.CAP_KILL,
	unix.CAP_CHOWN, unix.CAP_DAC_OVERRIDE, unix.CAP_FOWNER, unix.CAP_FSETID, unix.CAP_SETUID, unix.CAP_SETGID,
	unix.CAP_SETPCAP, unix.CAP_SETFCAP, unix.CAP_MKNOD, unix.CAP_NET_ADMIN, unix.CAP_NET_BIND_SERVICE, unix.CAP_LEASE,
	unix.CAP_BPF, unix.CAP_PERFMON, unix.CAP_SYS_NICE)

// harden makes this process unreadable for whoever enters a container with it (traps 13), gives it mounts of its own
// that follow the host's, and drops the capabilities that it never uses.
func harden() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("become non-dumpable: %w", err)
	}
	cred.SetName("brig-warden")
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return fmt.Errorf("make the mounts follow the host's: %w", err)
	}
	unix.Umask(0o022)
	return cred.Drop(needed)
}
