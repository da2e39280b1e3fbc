// Package capname has the names of capabilities, for who talks to people: brigd and the command line.
package capname

import (
	"slices"
	"strings"
)

// All are the names by number, capabilities(7).
var All = strings.Fields(`CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP
	LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT
	SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE
	AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE`)

// Never are those that no container gets, whatever the administrator's policy says: each reaches the host's kernel or its
// hardware, or undoes what confines a container. The warden has them as its floor.
var Never = strings.Fields(`DAC_READ_SEARCH LINUX_IMMUTABLE SYS_MODULE SYS_RAWIO SYS_PACCT SYS_ADMIN SYS_BOOT SYS_TIME
	MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_CONTROL AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE`)

// Number finds a capability by name, with or without CAP_, in any case.
func Number(name string) (int, bool) {
	i := slices.Index(All, strings.TrimPrefix(strings.ToUpper(name), "CAP_"))
	return i, i >= 0
}
