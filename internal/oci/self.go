package oci

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/clone"
	"github.com/brig-engine/brig/internal/kernel/posture"
)

// leaveNothingToWrite executes this program once more, from a mount of it that is read-only and nowhere attached: a child is
// a copy of this process until it executes its program, and what a container can reach through /proc/PID/exe then, or
// names as the interpreter of a script, cannot be written to, now or later (CVE-2019-5736). It returns in the second run.
func leaveNothingToWrite() error {
	const self = "/proc/self/exe"
	var fs unix.Statfs_t
	if err := unix.Statfs(self, &fs); err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	if fs.Flags&unix.ST_RDONLY != 0 {
		return nil
	}
	fd, err := unix.OpenTree(unix.AT_FDCWD, self, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err == nil {
		err = unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY})
	}
	if err != nil {
		return fmt.Errorf("protect this program from containers: %w", err)
	}
	argv, err := syscall.SlicePtrFromStrings(os.Args)
	if err != nil {
		return err
	}
	envp, err := syscall.SlicePtrFromStrings(os.Environ())
	if err != nil {
		return err
	}
	empty, _ := unix.BytePtrFromString("") // it has no zero byte
	runtime.LockOSThread()
	_, _, errno := unix.RawSyscall6(unix.SYS_EXECVEAT, uintptr(fd), uintptr(unsafe.Pointer(empty)),
		uintptr(unsafe.Pointer(&argv[0])), uintptr(unsafe.Pointer(&envp[0])), unix.AT_EMPTY_PATH, 0)
	return fmt.Errorf("execute this program from where it cannot be written: %w", errno)
}

// returnFileLimit gives this process the soft limit of open files back that its caller gave it: Go's runtime raises it at the
// start, and a container would inherit that (T15). Go alone knows what it was, and puts it back before it executes a program:
// here one without a name, which is nowhere.
func returnFileLimit() { _ = syscall.Exec("", nil, nil) }

// fork makes a child that waits for its list. What containers inherit is not that of who called this program (T15): before
// the first child the process that forks is made, by a thread that has fixed values.
func fork(cgroup int) (*clone.Child, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := posture.Set(); err != nil {
		return nil, err
	}
	if err := clone.Prepare(); err != nil {
		return nil, err
	}
	return clone.NewChild(cgroup), nil
}
