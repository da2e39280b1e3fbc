package posture

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Set gives the calling thread fixed values; the caller has locked it, and executes or forks from it. The umask is that of all
// threads that share it, huge pages, merging and core dumps are of the whole process.
func Set() error {
	const perLinux, mpolDefault, ioprioWhoProcess, dumped = 0, 0, 1, "0x33" // the kernel's own default
	unix.Umask(0o022)
	everyCPU := unix.NewCPUSet(8192)
	everyCPU.Fill()
	for _, done := range []struct {
		what  string
		err   error
		lacks error // the answer of a kernel that has no such thing
	}{
		{"execution domain", raw(unix.SYS_PERSONALITY, perLinux, 0, 0), nil},
		{"scheduler and priority", unix.SchedSetAttr(0, &unix.SchedAttr{Policy: unix.SCHED_NORMAL}, 0), nil},
		{"I/O priority", raw(unix.SYS_IOPRIO_SET, ioprioWhoProcess, 0, 0), unix.ENOSYS},
		{"processor affinity", unix.SchedSetaffinityDynamic(0, everyCPU), nil},
		{"memory policy", raw(unix.SYS_SET_MEMPOLICY, mpolDefault, 0, 0), unix.ENOSYS},
		{"huge pages", unix.Prctl(unix.PR_SET_THP_DISABLE, 0, 0, 0, 0), unix.EINVAL},
		{"merging of memory", unix.Prctl(unix.PR_SET_MEMORY_MERGE, 0, 0, 0, 0), unix.EINVAL},
		{"content of core dumps", os.WriteFile("/proc/self/coredump_filter", []byte(dumped), 0), unix.ENOENT},
	} {
		if done.err != nil && !errors.Is(done.err, done.lacks) {
			return fmt.Errorf("set the %s: %w", done.what, done.err)
		}
	}
	return nil
}

func raw(nr, a, b, c uintptr) error {
	if _, _, errno := unix.Syscall(nr, a, b, c); errno != 0 {
		return errno
	}
	return nil
}
