// Package machine finds out, once for all wardens of an engine, where they run.
//
//	Zone:   brig as root, before it becomes or starts the keeper.
//	Input:  what the kernel says of itself.
//	Output: wire.Machine, for RUN/machine.json.
//	Spec:   capabilities(7), landlock(7), sysinfo(2), uname(2).
package machine

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/cli/launch/groups"
	"github.com/brig-engine/brig/internal/kernel/cred"
	"github.com/brig-engine/brig/internal/kernel/landlock"
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
	m.ExecByFD, m.AttachImages = atLeast(14), !atLeast(15)
	if m.Landlock = int(landlock.Version()); m.Landlock == 0 {
		m.Missing = append(m.Missing, "landlock")
	}
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return m, fmt.Errorf("sysinfo: %w", err)
	}
	m.Memory = int64(info.Totalram) * int64(info.Unit)
	m.LastCap, err = cred.LastCapability()
	return m, err
}
