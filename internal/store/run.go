package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/wire"
	"github.com/brig-engine/brig/internal/wire/client"
	"github.com/brig-engine/brig/internal/wire/jobs"
	"github.com/brig-engine/brig/internal/wire/objects"
)

// Ops is the closed list of what the warden asks.
var Ops = wire.List{wire.OpIndexOpen: {}, wire.OpIndexRemove: {}}

// The descriptors that the process starts with: connections.
const (
	fdWarden  = 3 + iota // the warden asks
	fdWorkers            // the warden is asked for workers
	fdBrigd              // brigd asks
)

// checkPatience is longer than the check of any honest index takes.
const checkPatience = 5 * time.Minute

// server is the state of this process.
type server struct {
	*Store
	workers *client.Client
}

// Run serves brigd and the warden from the store in dir, until one of them has gone.
func Run(dir string) error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("become non-dumpable: %w", err)
	}
	s, err := Open(dir)
	if err != nil {
		return err
	}
	var conns [3]*wire.Conn
	for i, peer := range []string{"warden", "warden", "brigd"} {
		if conns[i], err = wire.FileConn(fdWarden+i, peer); err != nil {
			return err
		}
	}
	own := &server{s, client.New(conns[fdWorkers-fdWarden], "the warden")}
	ended := make(chan error, 2)
	go func() { ended <- wire.Serve(conns[0], Ops, own.warden) }()
	go func() { ended <- wire.Serve(conns[fdBrigd-fdWarden], objects.Known, own.brigd) }()
	if err := <-ended; !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// warden carries out what the warden asks.
func (s *server) warden(r *wire.Request) (reply wire.Reply, err error) {
	var q wire.ObjectRef
	if err = r.Decode(&q); err != nil {
		return reply, err
	}
	if r.Op == wire.OpIndexRemove {
		return reply, s.RemoveIndex(q.Digest)
	}
	reply.FDs, err = s.OpenIndex(q.Digest)
	return reply, err
}

// brigd carries out what brigd asks.
func (s *server) brigd(r *wire.Request) (reply wire.Reply, err error) {
	var q wire.ObjectRef
	switch r.Op {
	case objects.Create:
		return one(s.Create())
	case objects.List:
		reply.Body, err = s.List()
		return reply, err
	case objects.SealIndex:
		var index objects.Index
		if err = r.Decode(&index); err == nil {
			reply.Body, err = s.SealIndex(taken(r), index.Data, s.check)
		}
		return reply, err
	}
	if err = r.Decode(&q); err != nil {
		return reply, err
	}
	switch r.Op {
	case objects.Seal:
		reply.Body, err = s.Seal(taken(r), q.Digest)
	case objects.Open:
		return one(s.Open(q.Digest))
	case objects.Remove:
		err = s.Remove(q.Digest)
	default:
		err = fmt.Errorf("operation %s has no handler: %w", r.Op, errdefs.ErrNotImplemented)
	}
	return reply, err
}

// one is a reply of a descriptor, which is the caller's alone.
func one(fd int, err error) (wire.Reply, error) { return wire.Reply{FDs: []int{fd}}, err }

// check has a fresh worker, which never saw an archive, check an index before it is sealed: root mounts nothing that one
// hostile process could have written. It gives the digest of what was checked.
func (s *server) check(index *os.File, devices []int) (digest string, err error) {
	params := &jobs.CheckParams{}
	for _, d := range devices {
		var st unix.Stat_t
		if err := unix.Fstat(d, &st); err != nil {
			return "", err
		}
		params.Devices = append(params.Devices, st.Size)
	}
	ctx, cancel := context.WithTimeout(context.Background(), checkPatience)
	defer cancel()
	conn, theirs, err := wire.Pair("worker")
	if err != nil {
		return "", err
	}
	fds, err := s.workers.Give(ctx, wire.OpWorkerStart, wire.WorkerStart{}, nil, theirs)
	wire.CloseAll(fds)
	if err != nil {
		conn.Close()
		return "", fmt.Errorf("start a worker: %w", err)
	}
	r, err := jobs.Run(ctx, conn, &jobs.Job{Kind: jobs.Check, Check: params}, []int{int(index.Fd())}, jobs.Host{})
	if err != nil {
		return "", fmt.Errorf("the file-system index was refused: %w", err)
	}
	return r.Check.Digest, nil
}

// taken is the descriptor that came with a request, from now on the caller's.
func taken(r *wire.Request) (fd int) {
	fd, r.FDs[0] = r.FDs[0], -1
	return fd
}
