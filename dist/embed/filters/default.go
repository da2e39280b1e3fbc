package filters

import (
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/seccomp/filter"
)

// Default is the filter of a container that asked for none: Docker's default profile for Brig's default capabilities, without
// calls that programs do not miss (package seccompjson says which and why).
// It is written down here so that the safe case depends neither on brigd nor on a profile format; a test holds it against
// what brigd's decoder makes of that. Containers with other capabilities get a filter from brigd.
func Default(arch filter.Arch) filter.Filter {
	t := table{arch: arch}
	t.allow(defaultNames)
	is := func(op filter.Op, v uint64) filter.Arg { return filter.Arg{Op: op, Value: v} }
	for _, p := range personalities() {
		t.allow("personality", is(filter.EQ, uint64(p)))
	}
	// AF_UNIX, AF_INET and what Docker has let pass ever since; Floor is stricter.
	t.allow("socket", is(filter.LT, 3))
	for _, family := range []uint64{7, 8, 9, 10, 13, 14, 15, 16, 17, 18, 21, 22, 24, 26, 27, 28, 29, 30, 31, 32, 33,
		35, 36, 39, 41, 42, 43, 44, 45} {
		t.allow("socket", is(filter.EQ, family))
	}
	t.allow("clone", filter.Arg{Op: filter.MaskedEQ, Mask: newNamespaces})
	t.refuse(unix.ENOSYS, "clone3 cachestat listmount statmount getxattrat setxattrat listxattrat removexattrat futex_wait futex_wake "+
		"futex_requeue remap_file_pages")
	const removexattrat = 466
	f := t.allowList()
	f.Newest = removexattrat
	return f
}

// defaultNames are allowed with any arguments, on the architectures that have them.
const defaultNames = "" +
	"accept accept4 access adjtimex alarm arch_prctl bind brk capget capset chdir chmod chown chroot " +
	"clock_adjtime clock_getres clock_gettime clock_nanosleep close close_range connect copy_file_range creat " +
	"dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd eventfd2 " +
	"execve execveat exit exit_group faccessat faccessat2 fadvise64 fallocate fchdir fchmod fchmodat fchmodat2 " +
	"fchown fchownat fcntl fdatasync fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat fstatfs " +
	"fsync ftruncate futex futex_waitv futimesat get_robust_list getcpu getcwd getdents getdents64 getegid " +
	"geteuid getgid getgroups getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom " +
	"getresgid getresuid getrlimit getrusage getsid getsockname getsockopt gettid gettimeofday getuid getxattr " +
	"inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents " +
	"io_pgetevents io_setup io_submit ioctl ioprio_get ioprio_set kill landlock_add_rule " +
	"landlock_create_ruleset landlock_restrict_self lchown lgetxattr link linkat listen listxattr llistxattr " +
	"lremovexattr lseek lsetxattr lstat madvise map_shadow_stack membarrier memfd_create memfd_secret mincore " +
	"mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap modify_ldt mprotect mq_getsetattr mq_notify " +
	"mq_open mq_timedreceive mq_timedsend mq_unlink mremap mseal msgctl msgget msgrcv msgsnd msync munlock " +
	"munlockall munmap nanosleep newfstatat open openat openat2 pause pidfd_open pidfd_send_signal pipe pipe2 " +
	"pkey_alloc pkey_free pkey_mprotect poll ppoll prctl pread64 preadv preadv2 prlimit64 pselect6 ptrace " +
	"pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv recvfrom recvmmsg recvmsg removexattr " +
	"rename renameat renameat2 restart_syscall rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask " +
	"rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo sched_get_priority_max " +
	"sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler " +
	"sched_rr_get_interval sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield " +
	"seccomp select semctl semget semop semtimedop sendfile sendmmsg sendmsg sendto set_robust_list " +
	"set_tid_address setfsgid setfsuid setgid setgroups setitimer setpgid setpriority setregid setresgid " +
	"setresuid setreuid setrlimit setsid setsockopt setuid setxattr shmat shmctl shmdt shmget shutdown " +
	"sigaltstack signalfd signalfd4 socketpair splice stat statfs statx symlink symlinkat sync sync_file_range " +
	"syncfs sysinfo tee tgkill time timer_create timer_delete timer_getoverrun timer_gettime timer_settime " +
	"timerfd_create timerfd_gettime timerfd_settime times tkill truncate umask uname unlink unlinkat uretprobe " +
	"utime utimensat utimes vfork wait4 waitid write writev"
