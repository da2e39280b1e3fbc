package warden

import (
	"errors"
	"fmt"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/cred"
	"github.com/brig-engine/brig/internal/wire"
)

// table ties the operations of the closed list to their handlers.
func (w *Warden) table() map[wire.Op]wire.Handler {
	return map[wire.Op]wire.Handler{
		wire.OpHello:       of(w.hello),
		wire.OpIndexRemove: with(w.indexRemove),
		wire.OpWorkerStart: of(w.workerStart),

		wire.OpContainerStart:  of(w.containerStart),
		wire.OpContainerAttach: whileRunning(w, w.containerAttach),
		wire.OpContainerSignal: whileRunning(w, w.containerSignal),
		wire.OpContainerRemove: with(w.containerRemove),
		wire.OpContainerCopy:   of(w.containerCopy),
		wire.OpContainerList:   with(func(struct{}) (any, error) { return w.containerList() }),

		wire.OpContainerPlan: of(w.containerPlan),
		wire.OpContainerView: whileRunning(w, w.containerView),

		wire.OpContainerFreeze: with(w.containerFreeze),
		wire.OpContainerUpdate: whileRunning(w, w.containerUpdate),
		wire.OpContainerStats:  whileRunning(w, w.containerStats),
		wire.OpContainerProcs:  with(w.containerProcs),

		wire.OpExecStart:         whileRunning(w, w.execStart),
		wire.OpProcessCloseStdin: with(w.closeStdin),
		wire.OpProcessFinish:     with(w.finish),

		wire.OpNetworkJoin: whileRunning(w, w.networkJoin),

		wire.OpVolumeCreate: with(func(q wire.VolumeRef) (any, error) {
			return nil, w.volumes.create(q.Name, q.Size, w.label(ownFiles, "s0"))
		}),
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
		return answer(f(q))
	})
}

// whileRunning is of for a function on a container whose process 1 was not reaped, which it has locked.
func whileRunning[Q interface{ Container() string }](w *Warden, f func(*container, Q) (wire.Reply, error)) wire.Handler {
	return of(func(_ *wire.Request, q Q) (wire.Reply, error) {
		c, err := w.running(q.Container())
		if err != nil {
			return wire.Reply{}, err
		}
		defer c.mu.Unlock()
		return f(c, q)
	})
}

func answer(body any, err error) (wire.Reply, error) { return wire.Reply{Body: body}, err }

// hello also gives the forwarder's sockets, which outlive every forwarder.
func (w *Warden) hello(_ *wire.Request, q wire.Hello) (r wire.Reply, err error) {
	if q.Version != wire.Version {
		return r, fmt.Errorf("brigd is version %q and the warden %q; both come from one build: %w",
			q.Version, wire.Version, errdefs.ErrFailedPrecondition)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.facts.Gateway != "" {
		r.FDs, err = dups(w.router.kept[1:]...)
	}
	r.Body = w.facts
	return r, err
}

// networkJoin puts a running container into networks, and out of all others. The note is first: what it says, the next
// router does.
func (w *Warden) networkJoin(c *container, q wire.NetworkJoin) (wire.Reply, error) {
	var r refusal
	if checkMembership(&r, &q.Membership); r.texts != nil {
		return wire.Reply{}, r.err()
	}
	was := c.note.Started.Endpoint
	if was == nil {
		return wire.Reply{}, fmt.Errorf("container %s has no network: %w", short(q.ID), errdefs.ErrFailedPrecondition)
	}
	e := *was // which a reply that is being written may have
	e.Membership, c.note.Started.Endpoint = q.Membership, &e
	if err := w.notes.write(c.note); err != nil {
		c.note.Started.Endpoint = was
		return wire.Reply{}, err
	}
	return wire.Reply{}, w.router.use(wire.OpEndpointJoin, &e, nil)
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
	api, err := unixName(listener)
	name, errName := unixName(conn)
	listening, errListening := unix.GetsockoptInt(conn, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if err := errors.Join(err, errName, errListening); err != nil || api == "" || name != api || listening != 0 {
		return fmt.Errorf("this is not a connection to the API: %w", errors.Join(errdefs.ErrPermissionDenied, err))
	}
	return nil
}

// unixName is the name that a socket is bound to; "" if it is bound to none, or not one of AF_UNIX.
func unixName(fd int) (string, error) {
	sa, err := unix.Getsockname(fd)
	if a, ok := sa.(*unix.SockaddrUnix); ok {
		return a.Name, err
	}
	return "", err
}
