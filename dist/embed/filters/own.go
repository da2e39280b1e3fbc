package filters

import (
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/seccomp/filter"
)

// What every Go program without cgo needs: memory, threads, signals, time, and descriptors that it has already.
const (
	goRuntime = "brk munmap mremap madvise mincore futex sched_yield sched_getaffinity nanosleep clock_nanosleep " +
		"clock_gettime clock_getres gettimeofday getrandom getpid gettid getppid getuid geteuid getgid getegid getgroups " +
		"rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack tgkill " +
		"timer_create timer_settime timer_gettime timer_delete setitimer " +
		"set_tid_address set_robust_list arch_prctl restart_syscall getrlimit uname exit exit_group " +
		"epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2 eventfd2 pipe2 poll ppoll"
	descriptors = "read write readv writev pread64 pwrite64 preadv pwritev lseek close close_range fstat fcntl dup dup3 " +
		"ftruncate fallocate fsync fdatasync sync_file_range fadvise64 copy_file_range sendfile splice tee " +
		"sendmsg recvmsg sendto recvfrom shutdown getsockopt getsockname getpeername"
	// attack is what neither program ever calls, and what whoever has conquered one tries first. Being killed is seen.
	attack = "ptrace process_vm_readv process_vm_writev unshare setns mount umount2 pivot_root fsopen open_tree " +
		"move_mount bpf perf_event_open userfaultfd io_uring_setup add_key request_key keyctl init_module " +
		"finit_module kexec_load open_by_handle_at execve fork vfork"
)

// runtime adds what a Go program does to itself. Memory is never both written and executed: the programs are static
// and map no code after they have started. New threads, never new processes.
func (t *table) runtime() {
	t.allow(goRuntime)
	t.allow("mmap mprotect", low(2, filter.MaskedEQ, 0, unix.PROT_EXEC))
	const thread = unix.CLONE_VM | unix.CLONE_SIGHAND | unix.CLONE_THREAD
	const refused = newNamespaces | unix.CLONE_VFORK
	t.allow("clone", filter.Arg{Op: filter.MaskedEQ, Value: thread, Mask: thread | refused})
	t.refuse(unix.ENOSYS, "clone3 rseq")
	// The runtime names its memory; brigd gives up being dumpable. Nothing else of prctl.
	t.allow("prctl", low(0, filter.MaskedEQ, unix.PR_SET_VMA, ^uint32(0)))
	t.allow("prctl", low(0, filter.MaskedEQ, unix.PR_SET_DUMPABLE, ^uint32(0)),
		low(1, filter.MaskedEQ, 0, ^uint32(0)))
	// os raises the soft limit of open files once; with a pid of 0 it can only mean itself.
	t.allow("prlimit64", low(0, filter.MaskedEQ, 0, ^uint32(0)))
	// The filter is loaded before the program is executed, so one form of execution stays open: by descriptor, without
	// a path. What bounds it: the filter, no_new_privs, ids, namespaces and Landlock survive execution, so whoever runs
	// code in the process gains nothing by running a second program.
	t.allow("execveat", low(4, filter.MaskedEQ, unix.AT_EMPTY_PATH, ^uint32(0)))
	t.kill(attack)
}

// Worker is the filter of brig-worker, which reads strangers' bytes (A4): descriptors that it inherited, memory,
// threads. It opens nothing (the Go runtime looks for huge pages and CPU quotas at start, and takes no for an answer),
// makes no socket, signals nobody outside (it is alone in its pid namespace).
func Worker(arch filter.Arch) filter.Filter {
	t := table{arch: arch}
	t.runtime()
	t.allow(descriptors)
	t.allow("accept4") // the DNS forwarder serves listening sockets that it inherits
	// A message too large for a packet travels in a sealed memory file. The flags are those of a file for that use.
	t.allow("memfd_create", low(1, filter.MaskedEQ, 0, ^uint32(unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)))
	return t.allowList()
}

// Store is the filter of brig-store, which holds the sealed objects (A4): descriptors, and files below one directory, which
// Landlock says. It makes no socket but pairs for workers.
func Store(arch filter.Arch) filter.Filter {
	t := table{arch: arch}
	t.runtime()
	t.allow(descriptors)
	t.allow("memfd_create", low(1, filter.MaskedEQ, 0, ^uint32(unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)))
	t.allow("openat newfstatat getdents64 mkdirat linkat unlinkat fchmod fchmodat")
	t.allow("ioctl", low(1, filter.MaskedEQ, unix.FS_IOC_ENABLE_VERITY, ^uint32(0)))
	t.allow("socketpair", filter.Arg{Op: filter.EQ, Value: unix.AF_UNIX})
	return t.allowList()
}

// Filler is the filter of the worker that fills a new volume from an image, or labels what a caller lends: that of a worker,
// and files below the directories that it was given (its root is empty).
func Filler(arch filter.Arch) filter.Filter {
	t := table{arch: arch}
	t.runtime()
	t.allow(descriptors)
	t.allow("openat newfstatat getdents64 readlinkat mkdirat symlinkat fchown fchownat fchmod utimensat " +
		"openat2 fchdir fsetxattr lsetxattr")
	return t.allowList()
}

// Copier is the filter of the worker that sees what a container sees, for cp, diff, export and commit (CVE-2018-15664,
// CVE-2019-14271, CVE-2026-41567): that of a worker, and files. A name becomes a file by openat2 alone, which says how
// links are followed; the other calls take the last part of a name below a directory that was opened so. It makes no
// node but a FIFO, runs no program, maps no code.
func Copier(arch filter.Arch) filter.Filter {
	t := table{arch: arch}
	t.runtime()
	t.allow(descriptors)
	t.allow("memfd_create", low(1, filter.MaskedEQ, 0, ^uint32(unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)))
	t.allow("openat2 newfstatat getdents64 readlinkat mkdirat symlinkat linkat unlinkat fchown fchownat fchmod utimensat " +
		"fgetxattr flistxattr fsetxattr umask")
	t.allow("mknodat", low(2, filter.MaskedEQ, unix.S_IFIFO, unix.S_IFMT))
	return t.allowList()
}

// Daemon is the filter of brigd: a network server with records on disk and no privilege (A4). Which files and which
// addresses is Landlock's and the user's affair; here it is which parts of the kernel.
func Daemon(arch filter.Arch) filter.Filter {
	t := table{arch: arch}
	t.runtime()
	t.allow(descriptors)
	t.allow("memfd_create bind listen accept4 connect setsockopt recvmmsg sendmmsg")
	t.allow("openat openat2 newfstatat fstatfs statfs statx getdents64 readlinkat faccessat faccessat2 getcwd " +
		"chdir fchdir umask mkdirat unlinkat renameat renameat2 linkat symlinkat fchmod fchmodat fchmodat2 " +
		"fchown fchownat utimensat flock inotify_init1 inotify_add_watch inotify_rm_watch sysinfo pidfd_open")
	for _, family := range []uint64{unix.AF_UNIX, unix.AF_INET, unix.AF_INET6} {
		t.allow("socket", filter.Arg{Op: filter.EQ, Value: family},
			low(1, filter.MaskedNE, unix.SOCK_RAW, 0xf), low(1, filter.MaskedNE, unix.SOCK_DCCP, 0xf))
	}
	t.allow("socket", filter.Arg{Op: filter.EQ, Value: unix.AF_NETLINK},
		filter.Arg{Index: 2, Op: filter.EQ, Value: unix.NETLINK_ROUTE}) // net.Interfaces
	t.allow("socketpair", filter.Arg{Op: filter.EQ, Value: unix.AF_UNIX})
	// How much waits in a pipe or socket; the size of a container's terminal; calls of containers that are recorded.
	const fionread = 0x541b
	for _, cmd := range []uint32{fionread, unix.SIOCOUTQ, unix.TIOCGWINSZ, unix.TIOCSWINSZ, unix.TCGETS,
		unix.SECCOMP_IOCTL_NOTIF_RECV, unix.SECCOMP_IOCTL_NOTIF_SEND} {
		t.allow("ioctl", low(1, filter.MaskedEQ, cmd, ^uint32(0)))
	}
	return t.allowList()
}
