package container

import (
	"context"
	"fmt"
	"slices"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/daemon/policy"
)

// A container that is recorded has this brigd answer for its system calls. What it has called is kept from one run to the
// next, until it is removed.

// Calls are the numbers of the system calls that a container has made while it was recorded, in order.
func (e *Engine) Calls(c *Container) ([]uint32, error) {
	c.mu.Lock()
	recorded, kept, name := policy.Recorded(&c.rec.Host), c.rec.Calls, c.rec.Name
	c.mu.Unlock()
	if !recorded {
		return nil, fmt.Errorf("the system calls of container %s are not recorded: it was not made with --record: %w", name, errdefs.ErrFailedPrecondition)
	}
	return c.withCalls(kept), nil
}

// withCalls adds those that this brigd has heard of.
func (c *Container) withCalls(kept []uint32) []uint32 {
	if c.e.cfg.Recorder == nil {
		return kept
	}
	return slices.Compact(slices.Sorted(slices.Values(slices.Concat(kept, c.e.cfg.Recorder.Calls(c.id)))))
}

// cutRecording ends a container whose system calls an earlier brigd has answered for: they all fail since.
func (c *Container) cutRecording() {
	if !policy.Recorded(&c.rec.Host) {
		return
	}
	c.mu.Lock()
	c.rec.Error = "it was recorded, and brigd, which answered for its system calls, has ended: so it was ended as well. Next: brig start " + c.rec.Name
	c.mu.Unlock()
	c.warnIf(c.signal(context.Background(), int(unix.SIGKILL)))
}
