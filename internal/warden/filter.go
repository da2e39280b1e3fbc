package warden

import (
	"errors"
	"fmt"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/warden/code"
	"github.com/brig-engine/brig/internal/warden/plan"
	"github.com/brig-engine/brig/internal/wire"
)

// filters are the system-call filters that are built in, by their name.
type filters map[string][]byte

func (w *Warden) openFilters() (err error) {
	w.filters = filters{}
	for _, name := range []string{"floor", "floor-raw", "floor-admin", "floor-raw-admin", "default", "brigd", "router", "worker", "filler", "copier"} {
		if w.filters[name], err = code.Read(name); err != nil {
			return err
		}
	}
	return nil
}

// floorFor names the floor that gives way where a capability would be meaningless without it. checkSpec has passed the
// capabilities.
func floorFor(permitted uint64) string {
	name := "floor"
	if permitted&mask(unix.CAP_NET_RAW) != 0 {
		name += "-raw"
	}
	if permitted&mask(unix.CAP_NET_ADMIN) != 0 {
		name += "-admin"
	}
	return name
}

// programs gives the filters of a process in the order of loading: the floor, and above it the one that was asked for.
// That one is from brigd, which may be conquered. It is a program, and nothing here reads it but for its length. What does
// one gain that was written with intent?
//
//   - No call that the floor refuses: the floor is loaded before it, and of two verdicts the kernel takes the more severe.
//   - No lie to a birth: it can let a call fail, or say that one was made which was not. Behind the filters plans have
//     capset and execve (TestNothingThatProtectsComesBehindTheFilters). With what is left undone execve computes the
//     capabilities from the bounding set, which was reduced before (TestFilterThatLiesGainsNothing).
//   - No listener: a verdict that asks for one fails with ENOSYS, as nobody has made one with this filter. A verdict that
//     asks for a tracer fails in the same way; one that the kernel does not know kills.
//   - No way into the kernel that a container does not have: whoever can run anything in one can load such a program onto
//     himself, and the kernel checks each: forward jumps, no memory but the call's data, a return at the end.
//
// It can keep its container from working, and fill the kernel's log; so can the program in the container.
func (f filters) programs(p *wire.Process) []plan.Filter {
	list := []plan.Filter{{Name: "floor's", Code: f[floorFor(p.Capabilities.Permitted)]}}
	switch {
	case p.Filter == nil:
		return append(list, plan.Filter{Name: "default", Code: f["default"]})
	case len(p.Filter.Program) == 0:
		return list
	}
	filter := plan.Filter{Name: "profile's", Code: p.Filter.Program}
	if p.Filter.Log {
		filter.Flags = unix.SECCOMP_FILTER_FLAG_LOG
	}
	return append(list, filter)
}

// filterError gives a filter that the kernel does not take the class of a wrong request; other errors stay as they are.
func filterError(err error) error {
	var step *plan.StepError
	if errors.As(err, &step) && step.Op != nil && step.Op.Nr == unix.SYS_SECCOMP && step.Errno == unix.EINVAL {
		return fmt.Errorf("%w: it is not a program that the kernel accepts: %w", err, errdefs.ErrInvalidArgument)
	}
	return err
}
