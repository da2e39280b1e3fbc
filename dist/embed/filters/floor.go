package filters

import (
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/seccomp/filter"
)

// Relax says which parts of the floor give way because the floor policy let the container have a capability that is
// meaningless without them. The zero value is the strictest. There is none for the mount family: CAP_SYS_ADMIN is given
// to no container.
type Relax struct {
	Packet       bool // CAP_NET_RAW: AF_PACKET, and SOCK_RAW of AF_INET and AF_INET6
	NetworkAdmin bool // CAP_NET_ADMIN: netlink of netfilter, XFRM and generic families
	// Compat lets programs of 32 bits run, on amd64: --security-opt abi32=allow. What is refused, is so in their calls, too.
	// On arm64 it changes nothing: AArch32 is not let in, and brigd refuses to be asked.
	Compat bool
	// Runtime is no capability: it is for another OCI runtime, which makes a container of the sandbox that it is root of. What it
	// lets the program of that container do is its own to say, by what RuntimeProfile has made of Default.
	Runtime bool
}

// never is refused to every container, whatever its capabilities: the kernel as a whole, other containers' memory of
// it, and code in it that has no use in a container.
const never = "kexec_load kexec_file_load init_module finit_module delete_module create_module reboot swapon swapoff " +
	"acct quotactl quotactl_fd nfsservctl lookup_dcookie iopl ioperm syslog settimeofday clock_settime " +
	"bpf perf_event_open userfaultfd io_uring_setup io_uring_enter io_uring_register " + // CVE-2022-2602 and kin
	"add_key request_key keyctl " + // CVE-2016-0728; keys are no namespace's
	"open_by_handle_at " + // the 2014 way out of a container: a handle names an inode of the host
	"kcmp pidfd_getfd " + // what one process learns or takes of another, where ptrace would do
	"setns pivot_root uselib ustat sysfs _sysctl query_module get_kernel_syms vserver " +
	"stime clock_settime64 bdflush vm86 vm86old" // of i386 alone, as umount and socketcall below

// mounts is the mount family; CVE-2022-0185 was in fsconfig.
const mounts = "mount umount umount2 fsopen fsconfig fsmount fspick open_tree open_tree_attr move_mount mount_setattr " +
	"fanotify_init"

// absent fails with ENOSYS, as on a kernel built without it. Flags of clone3 are behind a pointer that no filter can
// follow; C libraries fall back to clone. modify_ldt serves 16- and 32-bit code only (CVE-2015-5157). So is what socketcall
// asks for: which family, no filter could see (CVE-2026-31431's way to AF_ALG). ipc hides nothing that is refused here.
const absent = "clone3 modify_ldt socketcall"

// btrfsIoctls is BTRFS_IOCTL_MAGIC where a command has its type.
const btrfsIoctls = 0x94 << 8

// newNamespaces are all CLONE_NEW* flags in the first argument of clone and unshare.
const newNamespaces = unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC |
	unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET

// Floor is the filter below every container's own filter, "unconfined" included. It refuses little, and for good: what
// it names was never meant for containers. Everything else is allowed here and left to the filter above.
//
// Errors are those that programs know how to take: EPERM as in Docker; ENOSYS where a library has an older way;
// EPROTONOSUPPORT for netlink protocols, because useradd gives up on any other answer about the audit socket.
func Floor(arch filter.Arch, relax Relax) filter.Filter {
	f := floor(arch, relax)
	if relax.Compat && arch == filter.AMD64 {
		second := floor(filter.I386, relax)
		f.Compat = &second
	}
	return f
}

// floor is the same for both instruction sets of a machine: the calls have other numbers, and the same arguments. Those of
// 32 bits, clone's order on i386 and the commands of ioctl included, are where rules look for them.
func floor(arch filter.Arch, relax Relax) filter.Filter {
	t := table{arch: arch}
	if relax.Runtime {
		t.refuse(unix.EPERM, except(never, "keyctl", "setns", "pivot_root")+" fanotify_init")
		t.refuse(unix.ENOSYS, absent+" keyctl") // without keys runtimes can do; the session has a new keyring
	} else {
		t.refuse(unix.EPERM, never)
		t.refuse(unix.ENOSYS, absent)
		t.refuse(unix.EPERM, mounts)
		t.namespaces()
	}
	t.sockets(relax)
	// The kernel takes 32 bits of an ioctl's command; a filter that compares 64 can be passed (CVE-2019-7303).
	for _, cmd := range []uint32{unix.TIOCSTI, unix.TIOCLINUX, unix.TIOCSETD} {
		t.refuse(unix.EPERM, "ioctl", low(1, filter.MaskedEQ, cmd, ^uint32(0)))
	}
	// A subvolume in a volume would have no bound. Those of btrfs that every file system has stay: copies that share blocks.
	shared := noneOf(1, unix.FICLONE, unix.FICLONERANGE, unix.FIDEDUPERANGE)
	t.refuse(unix.ENOTTY, "ioctl", append(shared, low(1, filter.MaskedEQ, btrfsIoctls, 0xff00))...)
	t.refuse(unix.EPERM, "personality", noneOf(0, personalities()...)...)
	t.coreLimit()
	return filter.Filter{Arch: arch, Default: filter.Allow, Rules: t.rules}
}

// namespaces: they open the kernel's administrative half to everybody (CVE-2022-0185, CVE-2024-1086). In clone the low byte is a
// signal, so CLONE_NEWTIME exists for unshare alone.
func (t *table) namespaces() {
	t.refuse(unix.EPERM, "clone", low(0, filter.MaskedNE, 0, newNamespaces))
	t.refuse(unix.EPERM, "unshare", low(0, filter.MaskedNE, 0, newNamespaces|unix.CLONE_NEWTIME))
}

// except is a list without some of its names.
func except(names string, some ...string) string {
	return strings.Join(slices.DeleteFunc(strings.Fields(names), func(s string) bool { return slices.Contains(some, s) }), " ")
}

// coreLimit keeps RLIMIT_CORE at 1, which every program of a container begins with. At 1 the kernel runs no handler of the
// host for a crash (CVE-2022-28658, CVE-2025-4598); at 0, which anybody may set, it does. Programs that turn dumps off, and
// some end if they cannot, are told that this was done, as it was; who asks for the old limit in the same call would not
// get it.
func (t *table) coreLimit() {
	core := func(index uint8) filter.Arg { return low(index, filter.MaskedEQ, unix.RLIMIT_CORE, ^uint32(0)) }
	pointer := func(index uint8) filter.Arg { return filter.Arg{Index: index, Op: filter.NE} }
	t.refuse(unix.EPERM, "prlimit64", core(1), pointer(2), pointer(3))
	t.refuse(0, "prlimit64", core(1), pointer(2))
	t.refuse(0, "setrlimit", core(0))
}

// personalities that change nothing but what uname tells, as in Docker; the last one only asks for the current one.
// Not among them: ADDR_NO_RANDOMIZE, READ_IMPLIES_EXEC, MMAP_PAGE_ZERO.
func personalities() []uint32 {
	const linux32, uname26 = 0x8, 0x20000
	return []uint32{0, linux32, uname26, uname26 | linux32, ^uint32(0)}
}

// sockets limits families to an allow-list: each other one is a module that the kernel would load for anybody
// (AF_ALG: CVE-2026-31431's path to the page cache; vsock reaches the hypervisor).
func (t *table) sockets(relax Relax) {
	families := []uint32{unix.AF_UNIX, unix.AF_INET, unix.AF_INET6, unix.AF_NETLINK}
	if relax.Packet {
		families = append(families, unix.AF_PACKET)
	} else { // the same sockets below IP; the capability that the kernel asks for is the other layer
		raw := low(1, filter.MaskedEQ, unix.SOCK_RAW, 0xf)
		t.refuse(unix.EPERM, "socket", low(0, filter.MaskedEQ, unix.AF_INET, ^uint32(0)), raw)
		t.refuse(unix.EPERM, "socket", low(0, filter.MaskedEQ, unix.AF_INET6, ^uint32(0)), raw)
	}
	t.refuse(unix.EPERM, "socket", noneOf(0, families...)...)
	t.refuse(unix.EOPNOTSUPP, "socketpair", noneOf(0, unix.AF_UNIX)...)

	protocols := []uint32{unix.NETLINK_ROUTE, unix.NETLINK_SOCK_DIAG, unix.NETLINK_KOBJECT_UEVENT}
	if relax.NetworkAdmin {
		protocols = append(protocols, unix.NETLINK_NETFILTER, unix.NETLINK_XFRM, unix.NETLINK_GENERIC)
	}
	netlink := low(0, filter.MaskedEQ, unix.AF_NETLINK, ^uint32(0))
	t.refuse(unix.EPROTONOSUPPORT, "socket", append(noneOf(2, protocols...), netlink)...)
	// SOCK_DCCP: CVE-2017-6074. The upper bits of a type are flags.
	t.refuse(unix.ESOCKTNOSUPPORT, "socket", low(1, filter.MaskedEQ, unix.SOCK_DCCP, 0xf))
}

// low compares the low word of an argument, for parameters that the kernel cuts to 32 bits.
func low(index uint8, op filter.Op, value, mask uint32) filter.Arg {
	return filter.Arg{Index: index, Op: op, Value: uint64(value), Mask: uint64(mask)}
}

// noneOf holds if the low word of an argument is none of values.
func noneOf(index uint8, values ...uint32) []filter.Arg {
	var args []filter.Arg
	for _, v := range values {
		args = append(args, low(index, filter.MaskedNE, v, ^uint32(0)))
	}
	return args
}
