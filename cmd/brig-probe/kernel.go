package main

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A dangerous request, made with arguments that an unfiltered kernel rejects (or, in a child, executes without
// consequence). past lists the error numbers that can only come from behind the filter; early is the capability that
// the kernel may ask for before it looks at the arguments, so that EPERM alone does not say who refused.
type request struct {
	name  string
	nr    uintptr
	args  [6]uintptr
	past  []syscall.Errno
	early int // capability number, or -1: the kernel looks at the arguments first
	child bool
}

const (
	minusOne = ^uintptr(0)
	// nonsense is a flag word, operation or clock that no kernel knows.
	nonsense = 0x7ffffff0
	noCap    = -1
)

func e(list ...syscall.Errno) []syscall.Errno { return list }

func requests() []request {
	bad := [6]uintptr{nonsense, 0, 0, 0, 0, 0}
	return append([]request{
		{"mount", unix.SYS_MOUNT, [6]uintptr{}, e(unix.EFAULT, unix.EINVAL), noCap, false},
		{"pivot_root", unix.SYS_PIVOT_ROOT, [6]uintptr{}, e(unix.EFAULT), unix.CAP_SYS_ADMIN, false},
		{"fsopen", unix.SYS_FSOPEN, [6]uintptr{0, nonsense}, e(unix.EINVAL, unix.EFAULT), unix.CAP_SYS_ADMIN, false},
		{"open_tree", unix.SYS_OPEN_TREE, [6]uintptr{minusOne, 0, nonsense}, e(unix.EINVAL), noCap, false},
		{"move_mount", unix.SYS_MOVE_MOUNT, [6]uintptr{minusOne, 0, minusOne, 0, nonsense}, e(unix.EINVAL),
			unix.CAP_SYS_ADMIN, false},
		{"mount_setattr", unix.SYS_MOUNT_SETATTR, [6]uintptr{minusOne, 0, nonsense}, e(unix.EINVAL), noCap, false},
		{"setns", unix.SYS_SETNS, [6]uintptr{minusOne}, e(unix.EBADF), noCap, false},
		{"unshare(user)", unix.SYS_UNSHARE, [6]uintptr{unix.CLONE_NEWUSER}, e(0, unix.ENOSPC), noCap, true},
		{"clone3(user)", unix.SYS_CLONE3, [6]uintptr{unix.CLONE_NEWUSER}, e(0, unix.ENOSPC, unix.EINVAL), noCap, true},
		{"unshare(net)", unix.SYS_UNSHARE, [6]uintptr{unix.CLONE_NEWNET}, e(0), unix.CAP_SYS_ADMIN, true},
		{"bpf", unix.SYS_BPF, bad, e(unix.EINVAL), noCap, false},
		{"perf_event_open", unix.SYS_PERF_EVENT_OPEN, [6]uintptr{0, 0, minusOne, minusOne, nonsense},
			e(unix.EINVAL, unix.EFAULT), noCap, false},
		{"io_uring_setup", unix.SYS_IO_URING_SETUP, [6]uintptr{}, e(unix.EFAULT), noCap, false},
		{"userfaultfd", unix.SYS_USERFAULTFD, [6]uintptr{nonsense | 1}, e(unix.EINVAL), noCap, false},
		{"keyctl", unix.SYS_KEYCTL, bad, e(unix.EOPNOTSUPP), noCap, false},
		{"add_key", unix.SYS_ADD_KEY, [6]uintptr{}, e(unix.EFAULT), noCap, false},
		{"request_key", unix.SYS_REQUEST_KEY, [6]uintptr{}, e(unix.EFAULT), noCap, false},
		{"kexec_load", unix.SYS_KEXEC_LOAD, [6]uintptr{0, 0, 0, nonsense}, e(unix.EINVAL), unix.CAP_SYS_BOOT, false},
		{"init_module", unix.SYS_INIT_MODULE, [6]uintptr{}, e(unix.EFAULT, unix.ENOEXEC), unix.CAP_SYS_MODULE, false},
		{"finit_module", unix.SYS_FINIT_MODULE, [6]uintptr{minusOne, 0, nonsense}, e(unix.EINVAL, unix.EFAULT),
			unix.CAP_SYS_MODULE, false},
		{"swapon", unix.SYS_SWAPON, [6]uintptr{0, nonsense}, e(unix.EINVAL, unix.EFAULT), unix.CAP_SYS_ADMIN, false},
		{"quotactl", unix.SYS_QUOTACTL, [6]uintptr{0xff}, e(unix.EINVAL), noCap, false},
		{"kcmp", unix.SYS_KCMP, [6]uintptr{nonsense, nonsense}, e(unix.ESRCH, unix.EINVAL), noCap, false},
		{"pidfd_getfd", unix.SYS_PIDFD_GETFD, [6]uintptr{minusOne, minusOne}, e(unix.EBADF), noCap, false},
		{"clock_settime", unix.SYS_CLOCK_SETTIME, bad, e(unix.EINVAL), noCap, false},
		{"personality(no-aslr)", unix.SYS_PERSONALITY, [6]uintptr{0x0040000}, e(0), noCap, true},
		{"open_by_handle_at", unix.SYS_OPEN_BY_HANDLE_AT, [6]uintptr{minusOne}, e(unix.EFAULT, unix.EBADF),
			unix.CAP_DAC_READ_SEARCH, false},
		{"syslog", unix.SYS_SYSLOG, [6]uintptr{nonsense}, e(unix.EINVAL), unix.CAP_SYSLOG, false},
		{"fanotify_init", unix.SYS_FANOTIFY_INIT, [6]uintptr{nonsense}, e(unix.EINVAL), unix.CAP_SYS_ADMIN, false},
		{"acct", unix.SYS_ACCT, [6]uintptr{minusOne}, e(unix.EFAULT), unix.CAP_SYS_PACCT, false},
		{"reboot", unix.SYS_REBOOT, bad, e(unix.EINVAL), unix.CAP_SYS_BOOT, false},
	}, onlyHere()...)
}

// probeSystemCalls is exposed when one of the dangerous requests got behind the filter and the permission checks.
func probeSystemCalls([]string) verdict {
	all := requests()
	var reached, missing []string
	var kinds tally
	p := readPosture()
	for _, r := range all {
		var errno syscall.Errno
		var sig syscall.Signal
		if r.child {
			var err error
			if errno, sig, err = childCall(r.nr, r.args); err != nil {
				return verdict{verdict: couldNotTry, detail: "fork: " + errName(err)}
			}
		} else {
			_, _, errno = unix.RawSyscall6(r.nr, r.args[0], r.args[1], r.args[2], r.args[3], r.args[4], r.args[5])
		}
		switch {
		case sig != 0:
			kinds.add("seccomp")
		case contains(r.past, errno):
			reached = append(reached, r.name)
		case errno == unix.ENOSYS && !p.seccomp:
			missing = append(missing, r.name)
		case r.early == noCap && p.seccomp:
			kinds.add("seccomp")
		case r.early == noCap:
			kinds.add("kernel setting")
		default:
			kinds.add(p.refuser(uint(r.early)))
		}
	}
	tried := strconv.Itoa(len(all)-len(missing)) + " dangerous system calls"
	if len(reached) > 0 {
		detail := strconv.Itoa(len(reached)) + " of " + tried + " answered: " + few(reached, 4)
		return verdict{verdict: exposed, detail: detail}
	}
	detail := "none of " + tried + " got through (" + kinds.String() + ")"
	return verdict{verdict: blocked, layer: kinds.most(), detail: detail}
}

func contains(list []syscall.Errno, e syscall.Errno) bool {
	for _, x := range list {
		if x == e {
			return true
		}
	}
	return false
}

// probeSocketFamilies opens every family that has no business in a container, by type; exposed when one opens.
func probeSocketFamilies([]string) verdict {
	types := []int{unix.SOCK_STREAM, unix.SOCK_DGRAM, unix.SOCK_RAW, unix.SOCK_SEQPACKET}
	var open []string
	refused, absent := 0, 0
	for family := 0; family <= 45; family++ {
		if family == unix.AF_UNIX || family == unix.AF_INET || family == unix.AF_INET6 || family == unix.AF_NETLINK {
			continue
		}
		for _, kind := range types {
			fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, 0)
			if err == nil {
				unix.Close(fd)
				open = append(open, "family "+strconv.Itoa(family))
				break
			}
			if errno, _ := err.(syscall.Errno); denied(errno) {
				refused++
				break
			}
			if err == unix.EAFNOSUPPORT {
				absent++
				break
			}
		}
	}
	for name, protocol := range map[string]int{"xfrm": unix.NETLINK_XFRM, "netfilter": unix.NETLINK_NETFILTER} {
		fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, protocol)
		if err == nil {
			unix.Close(fd)
			open = append(open, "netlink "+name)
		} else if errno, _ := err.(syscall.Errno); denied(errno) {
			refused++
		}
	}
	if len(open) > 0 {
		return verdict{verdict: exposed, detail: "opened: " + few(open, 5)}
	}
	p := readPosture()
	if refused == 0 && !p.seccomp {
		return verdict{verdict: notApplicable, detail: "this kernel has none of the families"}
	}
	layer := "kernel setting"
	if p.seccomp {
		layer = "seccomp"
	}
	return verdict{verdict: blocked, layer: layer, detail: strconv.Itoa(refused+absent) + " families refused"}
}

// probeABI32 makes a system call through int 0x80, past filters that look at 64-bit numbers only.
func probeABI32([]string) verdict {
	if !haveInt80 {
		return verdict{verdict: notApplicable, detail: "this processor has no int 0x80"}
	}
	if errno, sig, err := x32Getpid(); err == nil && sig == 0 && errno == 0 {
		return verdict{verdict: exposed, detail: "getpid of the x32 ABI answered"}
	}
	status, err := spawn("_int80")
	switch {
	case err != nil:
		return verdict{verdict: couldNotTry, detail: errName(err)}
	case status.Exited() && status.ExitStatus() == 0:
		return verdict{verdict: exposed, detail: "int 0x80 getpid answered"}
	case status.Signaled() && status.Signal() == unix.SIGSEGV:
		return verdict{verdict: notApplicable, detail: "the kernel has no 32-bit entry"}
	case !readPosture().seccomp:
		return verdict{verdict: notApplicable, detail: "int 0x80 is refused without a filter"}
	}
	return verdict{verdict: blocked, layer: "seccomp", detail: "int 0x80 getpid is refused, and so is that of x32"}
}

// toolInt80 exits with 0 when int 0x80 executed getpid, else with 3. A filter may also kill it.
func toolInt80([]string) int {
	if haveInt80 && int80Getpid() == int64(os.Getpid()) {
		return 0
	}
	return 3
}

// probeKernelFiles reads what tells about, or reaches into, the kernel and the host's hardware.
func probeKernelFiles([]string) verdict {
	paths := []string{"/dev/mem", "/dev/kmem", "/dev/port", "/dev/kmsg", "/proc/kcore", "/proc/keys",
		"/proc/timer_list", "/proc/sched_debug", "/proc/kmsg", "/proc/interrupts", "/sys/class/thermal/thermal_zone0/temp",
		"/sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count", "/sys/firmware/dmi/tables/DMI", "/sys/firmware/memmap",
		"/sys/kernel/debug/sched/features", "/sys/kernel/tracing/README", "/sys/fs/bpf",
		"/sys/devices/virtual/powercap/intel-rapl/intel-rapl:0/energy_uj"}
	var read, refused []string
	for _, path := range paths {
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err == unix.ENOENT || err == unix.ENXIO || err == unix.ENODEV {
			continue
		}
		var buf [4096]byte
		n := 0
		if err == nil {
			if n, err = unix.Read(fd, buf[:]); err == unix.EISDIR {
				n, err = unix.Getdents(fd, buf[:])
				n -= 48 // the entries "." and ".."
			}
			unix.Close(fd)
		}
		if err == nil && n > 0 && path != "/dev/port" {
			read = append(read, path)
		} else if err != nil {
			refused = append(refused, path+" → "+errName(err))
		}
	}
	if addresses() {
		read = append(read, "addresses in /proc/kallsyms")
	}
	var log [64]byte
	const readAll = 3
	n, _, e := unix.Syscall(unix.SYS_SYSLOG, readAll, uintptr(unsafe.Pointer(&log)), uintptr(len(log)))
	if e == 0 && n > 0 {
		read = append(read, "the kernel log")
	} else {
		refused = append(refused, "syslog → "+errName(e))
	}
	if len(read) > 0 {
		return verdict{verdict: exposed, detail: "read " + few(read, 4)}
	}
	return verdict{verdict: blocked, layer: "masked paths", detail: few(refused, 2)}
}

// addresses tells whether the kernel says where its functions lie; to those who may not know it says 0.
func addresses() bool {
	f, err := os.Open("/proc/kallsyms")
	if err != nil {
		return false
	}
	defer f.Close()
	var buf [4096]byte
	n, _ := f.Read(buf[:])
	for _, line := range strings.Split(string(buf[:n]), "\n") {
		if address, _, ok := strings.Cut(line, " "); ok && strings.Trim(address, "0") != "" {
			return true
		}
	}
	return false
}

// tally counts refusals by layer.
type tally map[string]int

func (t *tally) add(layer string) {
	if *t == nil {
		*t = tally{}
	}
	(*t)[layer]++
}

func (t tally) most() string {
	best := ""
	for layer, n := range t {
		if best == "" || n > t[best] || n == t[best] && layer < best {
			best = layer
		}
	}
	return best
}

func (t tally) String() string {
	var parts []string
	for layer, n := range t {
		parts = append(parts, layer+" "+strconv.Itoa(n))
	}
	for i := range parts { // a handful: insertion sort, so that the line is the same every time
		for j := i; j > 0 && parts[j] < parts[j-1]; j-- {
			parts[j], parts[j-1] = parts[j-1], parts[j]
		}
	}
	return strings.Join(parts, ", ")
}
