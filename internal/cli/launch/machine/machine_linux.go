// Package machine finds out, once for all wardens of an engine, where they run, and makes the directories that they use.
//
//	Zone:   brig as root, before it becomes or starts the keeper.
//	Input:  what the kernel says of itself.
//	Output: wire.Machine, for RUN/machine.json; directories below ROOT and RUN, each with its owner and mode.
//	Spec:   capabilities(7), landlock(7), sysinfo(2), uname(2).
package machine

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/cli/launch/groups"
	"github.com/brig-engine/brig/internal/kernel/cred"
	"github.com/brig-engine/brig/internal/kernel/release"
	"github.com/brig-engine/brig/internal/wire"
)

// Prepare makes the control groups of an engine, and describes the machine.
func Prepare(instance string) (m wire.Machine, err error) {
	if m.Groups, m.Missing, err = groups.Make(instance); err != nil {
		return m, err
	}
	version, err := release.Version()
	if err != nil {
		return m, err
	}
	atLeast := func(minor int) bool { return version[0] > 6 || version[0] == 6 && version[1] >= minor }
	m.ExecByFD, m.AttachImages, m.OverlayByPath = atLeast(14), !atLeast(15), !atLeast(13)
	if m.Landlock = Landlock(); m.Landlock == 0 {
		m.Missing = append(m.Missing, "landlock")
	}
	m.SELinux = selinux(&m.Missing)
	if n, err := os.ReadFile("/proc/sys/user/max_user_namespaces"); err == nil && strings.TrimSpace(string(n)) == "0" {
		return m, errors.New("user namespaces are switched off on this host. Next: sysctl user.max_user_namespaces=100000")
	}
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return m, fmt.Errorf("sysinfo: %w", err)
	}
	m.Memory = int64(info.Totalram) * int64(info.Unit)
	m.LastCap, err = cred.LastCapability()
	return m, err
}

// Landlock is the version of its ABI that the kernel speaks. 0: it was built without, has it switched off, or does not say.
func Landlock() int {
	v, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return 0
	}
	return int(v)
}

// selinux tells whether the kernel has SELinux, with a policy that is loaded and knows containers.
func selinux(missing *[]string) bool {
	mls, err := os.ReadFile("/sys/fs/selinux/mls") // whether there are categories; 0 without a policy, too
	if err != nil {
		return false
	}
	unknown := os.WriteFile("/sys/fs/selinux/context", []byte("system_u:system_r:container_t:s0:c0,c1023"), 0)
	if unknown == nil && string(mls) == "1" {
		return true
	}
	*missing = append(*missing, "selinux labels of containers: no policy with categories and the type container_t is loaded")
	return false
}
