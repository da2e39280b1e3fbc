package oci

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/oci/birth"
	"github.com/brig-engine/brig/internal/seccomp/seccompspec"
)

// checkListener refuses what a listener would not hear of: the hooks in the container that run with its filter.
func (c *container) checkListener() error {
	if h := c.spec.Hooks; h != nil && len(h.StartContainer) > 0 && listenerOf(c.Filters).Path != "" {
		return errors.New("linux.seccomp.listenerPath: with startContainer hooks, which would have the filter and no listener, it is not supported")
	}
	return nil
}

// listenerOf is the one that the filters of a container have, or none.
func listenerOf(filters []seccompspec.Program) (l seccompspec.Listener) {
	for _, f := range filters {
		l = f.Listener
	}
	return l
}

// hear waits for the descriptor that the kernel makes with a filter of r, and gives it to the listener, with the state that the
// specification wants it to be told. What r executes next may be a call that is left to the listener: so it is told first.
func hear(l seccompspec.Listener, r *birth.Running, told *specs.State) error {
	if l.Path == "" {
		return nil
	}
	text, err := json.Marshal(specs.ContainerProcessState{Version: specs.Version, Fds: []string{specs.SeccompFdName}, Pid: r.PID,
		Metadata: l.Metadata, State: *told})
	if err != nil {
		return err
	}
	return r.Offered(func(fd int) error {
		if err := sendTo(l.Path, string(text), fd); err != nil {
			return fmt.Errorf("linux.seccomp.listenerPath: %w", err)
		}
		return nil
	})
}

// loadFlags are those of seccomp(2) beside the ones that are always set.
func loadFlags(f seccompspec.Program) (flags uintptr) {
	if f.Log {
		flags |= unix.SECCOMP_FILTER_FLAG_LOG
	}
	if f.Listener.Path != "" {
		flags |= unix.SECCOMP_FILTER_FLAG_NEW_LISTENER
	}
	return flags
}
