package policy

import (
	"fmt"
	"os"
	"slices"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/wire"
)

// Disks finds the numbers of the disks that have a rate, anew for each start: after a boot the same path may lead to another
// disk. A path says no more here than which disk is meant, and the rate holds up nobody but the container. The list of the
// record stays as it is.
func Disks(list []wire.Rate) ([]wire.Rate, error) {
	list = slices.Clone(list)
	for i := range list {
		var st unix.Stat_t
		r := &list[i]
		if err := unix.Stat(r.Source, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFBLK {
			return nil, fmt.Errorf("%s is no disk: %w", r.Source, errdefs.ErrInvalidArgument)
		}
		r.Disk = fmt.Sprintf("%d:%d", unix.Major(st.Rdev), unix.Minor(st.Rdev))
		if _, err := os.Lstat("/sys/dev/block/" + r.Disk + "/partition"); err == nil { // the kernel has rates of whole disks alone
			return nil, fmt.Errorf("%s is no disk, but a part of one: %w", r.Source, errdefs.ErrInvalidArgument)
		}
	}
	return list, nil
}
