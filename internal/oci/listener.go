package oci

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/oci/birth"
	"github.com/brig-engine/brig/internal/oci/state"
)

// checkListener refuses what a listener would not hear of: the hooks in the container that run with its filter.
func (c *container) checkListener() error {
	if h := c.spec.Hooks; h != nil && len(h.StartContainer) > 0 && c.listener() != nil {
		return errors.New("linux.seccomp.listenerPath: with startContainer hooks, which would have the filter and no listener, it is not supported")
	}
	return nil
}

// listener is the one that the filters of a container have, or nil.
func (c *container) listener() *state.Listener { return listenerOf(c.Filters) }

func listenerOf(filters []state.Filter) *state.Listener {
	for _, f := range filters {
		if f.Listener != nil {
			return f.Listener
		}
	}
	return nil
}

// hear waits for the descriptor that the kernel makes with a filter of r, and gives it to the listener, with the state that the
// specification wants it to be told. What r executes next may be a call that is left to the listener: so it is told first.
func hear(l *state.Listener, r *birth.Running, told *specs.State) error {
	if l == nil {
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

// newListener notes where a listener is, which need not be there yet.
func newListener(path, metadata string) *state.Listener {
	if path == "" {
		return nil
	}
	return &state.Listener{Path: path, Metadata: metadata}
}

// loadFlags are those of seccomp(2) beside the ones that are always set.
func loadFlags(f state.Filter) (flags uintptr) {
	if f.Log {
		flags |= unix.SECCOMP_FILTER_FLAG_LOG
	}
	if f.Listener != nil {
		flags |= unix.SECCOMP_FILTER_FLAG_NEW_LISTENER
	}
	return flags
}
