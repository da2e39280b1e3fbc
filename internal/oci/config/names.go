package config

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// flags of clone(2) by the specification's names of namespaces.
var flags = map[specs.LinuxNamespaceType]int{
	specs.PIDNamespace: unix.CLONE_NEWPID, specs.NetworkNamespace: unix.CLONE_NEWNET, specs.MountNamespace: unix.CLONE_NEWNS,
	specs.IPCNamespace: unix.CLONE_NEWIPC, specs.UTSNamespace: unix.CLONE_NEWUTS, specs.UserNamespace: unix.CLONE_NEWUSER,
	specs.CgroupNamespace: unix.CLONE_NEWCGROUP, specs.TimeNamespace: unix.CLONE_NEWTIME,
}

// Namespaces are the types that are supported.
func Namespaces() []specs.LinuxNamespaceType { return slices.Sorted(maps.Keys(flags)) }

// Flag is the flag of clone(2) that makes a namespace; 0 is no type.
func Flag(t specs.LinuxNamespaceType) int { return flags[t] }

// File is the name of a namespace in /proc/PID/ns.
func File(t specs.LinuxNamespaceType) string {
	switch t {
	case specs.NetworkNamespace:
		return "net"
	case specs.MountNamespace:
		return "mnt"
	}
	return string(t)
}

// Has tells whether the container has a namespace of a type, new or by path.
func Has(l *specs.Linux, t specs.LinuxNamespaceType) bool {
	return slices.ContainsFunc(l.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == t })
}

// New tells whether a namespace of a type is made for the container.
func New(l *specs.Linux, t specs.LinuxNamespaceType) bool {
	return slices.ContainsFunc(l.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == t && n.Path == "" })
}

// rlimits by the specification's names.
var rlimits = map[string]int{
	"RLIMIT_CPU": unix.RLIMIT_CPU, "RLIMIT_FSIZE": unix.RLIMIT_FSIZE, "RLIMIT_DATA": unix.RLIMIT_DATA,
	"RLIMIT_STACK": unix.RLIMIT_STACK, "RLIMIT_CORE": unix.RLIMIT_CORE, "RLIMIT_RSS": unix.RLIMIT_RSS,
	"RLIMIT_NPROC": unix.RLIMIT_NPROC, "RLIMIT_NOFILE": unix.RLIMIT_NOFILE, "RLIMIT_MEMLOCK": unix.RLIMIT_MEMLOCK,
	"RLIMIT_AS": unix.RLIMIT_AS, "RLIMIT_LOCKS": unix.RLIMIT_LOCKS, "RLIMIT_SIGPENDING": unix.RLIMIT_SIGPENDING,
	"RLIMIT_MSGQUEUE": unix.RLIMIT_MSGQUEUE, "RLIMIT_NICE": unix.RLIMIT_NICE, "RLIMIT_RTPRIO": unix.RLIMIT_RTPRIO,
	"RLIMIT_RTTIME": unix.RLIMIT_RTTIME,
}

// Rlimit is the number of a limit that Check has let through.
func Rlimit(name string) int { return rlimits[name] }

// Capabilities by number (capabilities(7)).
var Capabilities = [...]string{
	"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID",
	"CAP_SETUID", "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST", "CAP_NET_ADMIN",
	"CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_IPC_OWNER", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT",
	"CAP_SYS_PTRACE", "CAP_SYS_PACCT", "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_RESOURCE",
	"CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE", "CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL",
	"CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG", "CAP_WAKE_ALARM", "CAP_BLOCK_SUSPEND",
	"CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE",
}

// CapabilityMask turns names into a mask, and gives those that are none: the specification wants a warning of them, and
// no failure.
func CapabilityMask(names []string) (mask uint64, unknown []string) {
	for _, n := range names {
		if i := slices.Index(Capabilities[:], strings.ToUpper(n)); i >= 0 {
			mask |= 1 << i
		} else {
			unknown = append(unknown, n)
		}
	}
	return mask, unknown
}

// Propagation turns the name of a way of propagation into the flag of mount(2), and tells whether it is for the mounts
// below as well. "" is no change: 0.
func Propagation(name string) (flag uint64, recursive bool, err error) {
	switch rest, r := strings.CutPrefix(name, "r"); rest {
	case "":
		if !r {
			return 0, false, nil
		}
	case "private":
		return unix.MS_PRIVATE, r, nil
	case "shared":
		return unix.MS_SHARED, r, nil
	case "slave":
		return unix.MS_SLAVE, r, nil
	case "unbindable":
		return unix.MS_UNBINDABLE, r, nil
	}
	return 0, false, fmt.Errorf("%q is none of private, shared, slave, unbindable, or one of these with r in front", name)
}

// CPUSet parses a list of processors, as 0-3,7, into the mask of sched_setaffinity(2).
func CPUSet(list string) ([]uint64, error) {
	mask := make([]uint64, 1024/64)
	for part := range strings.SplitSeq(list, ",") {
		low, high, isRange := strings.Cut(strings.TrimSpace(part), "-")
		from, err := strconv.ParseUint(low, 10, 32)
		to := from
		if err == nil && isRange {
			to, err = strconv.ParseUint(high, 10, 32)
		}
		if err != nil || to < from || to >= 1024 {
			return nil, fmt.Errorf("%q is no list of processors", list)
		}
		for n := from; n <= to; n++ {
			mask[n/64] |= 1 << (n % 64)
		}
	}
	return mask, nil
}
