package warden

import (
	"fmt"

	"github.com/brig-engine/brig/internal/kernel/cred"
	"github.com/brig-engine/brig/internal/wire"
	"github.com/containerd/errdefs"
)

// caller is who the kernel says is at the other end of a connection to the API.
type caller struct {
	uid, gid uint32
	groups   []uint32
}

// callerOf asks the kernel, not brigd (traps 2). The connection must be one that the API's own listener accepted: a
// socket that brigd made itself has brigd's credentials.
func callerOf(r *wire.Request, present bool) (*caller, error) {
	if !present {
		return nil, nil
	}
	if len(r.FDs) != 1 {
		return nil, fmt.Errorf("%s: %w: %w", r.Op, wire.ErrNoCaller, errdefs.ErrInvalidArgument)
	}
	peer, err := cred.PeerOf(r.FDs[0])
	if err != nil {
		return nil, fmt.Errorf("who asks: %w: %w", err, errdefs.ErrInvalidArgument)
	}
	if peer.UID == ^uint32(0) {
		return nil, fmt.Errorf("who asks is not known on this machine: %w", errdefs.ErrPermissionDenied)
	}
	return &caller{uid: peer.UID, gid: peer.GID, groups: peer.Groups}, nil
}

// root reports whether the caller is the administrator.
func (c *caller) root() bool { return c != nil && c.uid == 0 }
