package warden

import (
	"fmt"

	"github.com/brig-engine/brig/internal/kernel/cred"
	"github.com/brig-engine/brig/internal/wire"
	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// caller is who the kernel says is at the other end of a connection to the API.
type caller struct {
	uid, gid uint32
	groups   []uint32
}

// callerOf asks the kernel, not brigd (traps 2).
func (w *Warden) callerOf(r *wire.Request, present bool) (*caller, error) {
	if !present {
		return nil, nil
	}
	if len(r.FDs) != 1 {
		return nil, fmt.Errorf("%s: %w: %w", r.Op, wire.ErrNoCaller, errdefs.ErrInvalidArgument)
	}
	if err := accepted(r.FDs[0], w.cfg.Listener); err != nil {
		return nil, err
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

// accepted checks that a connection is one that the API's own listener accepted: only those have its name. brigd's other
// sockets do not, above all not the pair that the warden itself made for it, whose peer is root; and nothing but root can
// bind another socket to that path.
func accepted(conn, listener int) error {
	want, err := unix.Getsockname(listener)
	if err != nil {
		return fmt.Errorf("the API's socket: %w", err)
	}
	have, err := unix.Getsockname(conn)
	if err != nil {
		return fmt.Errorf("who asks: %w: %w", err, errdefs.ErrInvalidArgument)
	}
	a, ok1 := want.(*unix.SockaddrUnix)
	b, ok2 := have.(*unix.SockaddrUnix)
	listening, err := unix.GetsockoptInt(conn, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if !ok1 || !ok2 || a.Name == "" || a.Name != b.Name || err != nil || listening != 0 {
		return fmt.Errorf("this is not a connection to the API: %w", errdefs.ErrPermissionDenied)
	}
	return nil
}

// root reports whether the caller is the administrator.
func (c *caller) root() bool { return c != nil && c.uid == 0 }
