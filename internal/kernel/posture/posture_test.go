package posture

import (
	"os"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// values are what Set sets, as the kernel tells them of this thread.
func values(t *testing.T) map[string]int {
	t.Helper()
	call := func(nr, a, b, c uintptr) int {
		t.Helper()
		r, _, errno := unix.Syscall(nr, a, b, c)
		if errno != 0 && errno != unix.ENOSYS && errno != unix.EINVAL {
			t.Fatal(errno)
		}
		return int(r)
	}
	umask := unix.Umask(0)
	unix.Umask(umask)
	a, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	var cpus unix.CPUSet
	if err := unix.SchedGetaffinity(0, &cpus); err != nil {
		t.Fatal(err)
	}
	var memory int32
	call(unix.SYS_GET_MEMPOLICY, uintptr(unsafe.Pointer(&memory)), 0, 0)
	dumped, err := os.ReadFile("/proc/self/coredump_filter")
	filter := 0
	for _, c := range strings.TrimSpace(string(dumped)) {
		filter = filter<<4 | strings.IndexRune("0123456789abcdef", c)
	}
	if err != nil {
		t.Fatal(err)
	}
	return map[string]int{
		"umask": umask, "execution domain": call(unix.SYS_PERSONALITY, 0xffffffff, 0, 0), "scheduler": int(a.Policy),
		"nice": int(a.Nice), "I/O priority": call(unix.SYS_IOPRIO_GET, 1, 0, 0) >> 13, "processors": cpus.Count(),
		"memory policy": int(memory), "huge pages": call(unix.SYS_PRCTL, unix.PR_GET_THP_DISABLE, 0, 0),
		"merging": call(unix.SYS_PRCTL, unix.PR_GET_MEMORY_MERGE, 0, 0), "core dumps": filter,
	}
}

// TestEveryValueIsFixed on a thread whose values are others, all of them.
func TestEveryValueIsFixed(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("missing: root, whose processes are made more important again")
	}
	runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
	every := unix.NewCPUSet(8192)
	every.Fill()
	if err := unix.SchedSetaffinityDynamic(0, every); err != nil {
		t.Fatal(err)
	}
	var usual, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &usual); err != nil {
		t.Fatal(err)
	}
	if one.Set(0); !usual.IsSet(0) {
		t.Skip("missing: the first processor")
	}
	const addrNoRandomize, mpolInterleave, ioprioIdle = 0x0040000, 3, 3 << 13
	node := uintptr(1)
	unix.Umask(0o077)
	for _, err := range []error{
		raw(unix.SYS_PERSONALITY, addrNoRandomize, 0, 0),
		unix.SchedSetAttr(0, &unix.SchedAttr{Policy: unix.SCHED_BATCH, Nice: 7}, 0),
		raw(unix.SYS_IOPRIO_SET, 1, 0, ioprioIdle), unix.SchedSetaffinity(0, &one),
		unix.Prctl(unix.PR_SET_THP_DISABLE, 1, 0, 0, 0), os.WriteFile("/proc/self/coredump_filter", []byte("0x1"), 0),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	merges := unix.Prctl(unix.PR_SET_MEMORY_MERGE, 1, 0, 0, 0) == nil                                // from Linux 6.4, with KSM
	places := raw(unix.SYS_SET_MEMPOLICY, mpolInterleave, uintptr(unsafe.Pointer(&node)), 64) == nil // with NUMA
	spoiled := values(t)
	if err := Set(); err != nil {
		t.Fatal(err)
	}
	for what, got := range values(t) {
		want := map[string]int{"umask": 0o022, "processors": usual.Count(), "core dumps": 0x33}[what]
		if got != want {
			t.Errorf("%s: %#x, want %#x", what, got, want)
		}
		known := (what != "merging" || merges) && (what != "memory policy" || places) && (what != "processors" || want > 1)
		if known && spoiled[what] == want {
			t.Errorf("%s was not spoiled: the test shows nothing of it", what)
		}
	}
}
