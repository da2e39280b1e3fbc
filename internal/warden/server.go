package warden

import (
	"fmt"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/cred"
	"github.com/brig-engine/brig/internal/wire"
)

// table ties the operations of the closed list to their handlers.
func (w *Warden) table() map[wire.Op]wire.Handler {
	return map[wire.Op]wire.Handler{
		wire.OpHello:        with(w.hello),
		wire.OpObjectCreate: w.objectCreate,
		wire.OpObjectSeal: of(func(r *wire.Request, q wire.ObjectRef) (wire.Reply, error) {
			o, err := w.store.Seal(r.Take(0), q.Digest)
			return wire.Reply{Body: o}, err
		}),
		wire.OpObjectOpen:   of(w.objectOpen),
		wire.OpObjectRemove: with(func(q wire.ObjectRef) (any, error) { return nil, w.store.Remove(q.Digest) }),
		wire.OpObjectList:   with(func(struct{}) (any, error) { return w.store.List() }),
		wire.OpIndexSeal: of(func(r *wire.Request, q wire.IndexSeal) (wire.Reply, error) {
			o, err := w.store.SealIndex(r.Take(0), q.Data, w.checkIndex)
			return wire.Reply{Body: o}, err
		}),
		wire.OpIndexRemove: with(w.indexRemove),
		wire.OpWorkerStart: of(w.workerStart),

		wire.OpContainerStart:  of(w.containerStart),
		wire.OpContainerAttach: of(w.containerAttach),
		wire.OpContainerSignal: with(w.containerSignal),
		wire.OpContainerRemove: with(w.containerRemove),
		wire.OpContainerCopy:   of(w.containerCopy),
		wire.OpContainerList:   with(func(struct{}) (any, error) { return w.containerList() }),

		wire.OpContainerFreeze: with(w.containerFreeze),
		wire.OpContainerUpdate: with(w.containerUpdate),
		wire.OpContainerStats:  of(w.containerStats),
		wire.OpContainerProcs:  with(w.containerProcs),

		wire.OpExecStart:         of(w.execStart),
		wire.OpProcessCloseStdin: with(w.closeStdin),
		wire.OpProcessFinish:     with(w.finish),

		wire.OpNetworkDNS:  w.networkDNS,
		wire.OpNetworkJoin: with(w.networkJoin),

		wire.OpVolumeCreate: with(func(q wire.VolumeRef) (any, error) { return nil, w.volumes.create(q.Name) }),
		wire.OpVolumeRemove: with(func(q wire.VolumeRef) (any, error) { return nil, w.volumes.remove(q.Name) }),
		wire.OpVolumeList:   with(func(struct{}) (any, error) { return w.volumes.list() }),
	}
}

// of makes a handler of a function on a request and its decoded body; none stands for an empty one.
func of[Q any](f func(*wire.Request, Q) (wire.Reply, error)) wire.Handler {
	return func(r *wire.Request) (wire.Reply, error) {
		var q Q
		if err := r.Decode(&q); err != nil && len(r.Body) > 0 {
			return wire.Reply{}, err
		}
		return f(r, q)
	}
}

// with is of for a function on the body alone. Descriptors that came along are closed by the loop.
func with[Q any](f func(Q) (any, error)) wire.Handler {
	return of(func(_ *wire.Request, q Q) (wire.Reply, error) {
		body, err := f(q)
		return wire.Reply{Body: body}, err
	})
}

func (w *Warden) hello(q wire.Hello) (any, error) {
	if q.Version != wire.Version {
		return nil, fmt.Errorf("brigd is version %q and the warden %q; both come from one build: %w",
			q.Version, wire.Version, errdefs.ErrFailedPrecondition)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.facts, nil
}

func (w *Warden) objectCreate(*wire.Request) (wire.Reply, error) {
	fd, err := w.store.Create()
	return wire.Reply{FDs: []int{fd}}, err
}

func (w *Warden) objectOpen(_ *wire.Request, q wire.ObjectRef) (wire.Reply, error) {
	f, err := w.store.Open(q.Digest)
	if err != nil {
		return wire.Reply{}, err
	}
	defer f.Close()
	fds, err := dups(int(f.Fd()))
	return wire.Reply{FDs: fds}, err
}

// networkDNS gives the forwarder's sockets, which outlive every forwarder.
func (w *Warden) networkDNS(*wire.Request) (wire.Reply, error) {
	if err := w.noRouter(); err != nil {
		return wire.Reply{}, err
	}
	fds, err := dups(w.router.kept[1:]...)
	return wire.Reply{FDs: fds}, err
}

// networkJoin puts a running container into networks, and out of all others. The note is first: what it says, the next
// router does.
func (w *Warden) networkJoin(q wire.NetworkJoin) (any, error) {
	var r refusal
	if checkMembership(&r, &q.Membership); r.texts != nil {
		return nil, r.err()
	}
	c, err := w.running(q.ID)
	if err != nil {
		return nil, err
	}
	defer c.mu.Unlock()
	if c.note.Started.Endpoint == nil {
		return nil, fmt.Errorf("container %s has no network: %w", short(q.ID), errdefs.ErrFailedPrecondition)
	}
	n, e := *c.note, *c.note.Started.Endpoint // what there is may be part of a reply that is being written
	n.Started.Endpoint, e.Membership = &e, q.Membership
	if err := w.notes.write(&n); err != nil {
		return nil, err
	}
	c.note.Started.Endpoint = &e
	return nil, w.router.use(wire.OpEndpointJoin, &e, nil)
}

// caller is who the kernel says is at the other end of a connection to the API.
type caller cred.Peer

// callerOf asks the kernel, not brigd (traps 2). It gives nil if nobody's connection came along.
func (w *Warden) callerOf(fds []int) (*caller, error) {
	if len(fds) == 0 {
		return nil, nil
	}
	if err := accepted(fds[0], w.cfg.Listener); err != nil {
		return nil, err
	}
	peer, err := cred.PeerOf(fds[0])
	if err != nil {
		return nil, fmt.Errorf("who asks: %w: %w", err, errdefs.ErrInvalidArgument)
	}
	if peer.UID == ^uint32(0) {
		return nil, fmt.Errorf("who asks is not known on this machine: %w", errdefs.ErrPermissionDenied)
	}
	return (*caller)(&peer), nil
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
func (c *caller) root() bool { return c != nil && c.UID == 0 }
