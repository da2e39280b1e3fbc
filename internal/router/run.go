package router

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"runtime"
	"sync"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/router/firewall"
	"github.com/brig-engine/brig/internal/router/link"
	"github.com/brig-engine/brig/internal/wire"
)

// server is the state of this process.
type server struct {
	end   chan error // the first error that ends it
	watch sync.Once

	mu     sync.Mutex
	opened bool
	router *link.Router // nil before it was opened
}

// Run serves the warden at the other end of the descriptor. It returns nil when the warden has gone, and an error when
// another process has to go on.
func Run(fd int) error {
	// The first thread is this goroutine's: none that visits the router's namespace may be it, because it outlives them.
	runtime.LockOSThread()
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("become non-dumpable: %w", err)
	}
	conn, err := wire.FileConn(fd, "warden")
	if err != nil {
		return err
	}
	s := &server{end: make(chan error, 1)}
	go func() { s.fail(wire.Serve(conn, Ops, s.handle)) }()
	if err := <-s.end; !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// fail ends the process.
func (s *server) fail(err error) {
	select {
	case s.end <- err:
	default:
	}
}

func (s *server) handle(r *wire.Request) (wire.Reply, error) {
	if r.Op == wire.OpRouterOpen {
		return s.open(r)
	}
	s.mu.Lock()
	router := s.router
	s.mu.Unlock()
	if router == nil {
		return wire.Reply{}, fmt.Errorf("%s: the network is not open: %w", r.Op, errdefs.ErrFailedPrecondition)
	}
	reply, err := s.carryOut(router, r)
	if errors.Is(err, firewall.ErrLost) {
		s.fail(err)
	}
	return reply, err
}

// open makes or adopts the network, and gives up what that took, whatever comes of it. It can be asked once.
func (s *server) open(r *wire.Request) (wire.Reply, error) {
	var q wire.RouterOpen
	if err := r.Decode(&q); err != nil {
		return wire.Reply{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.opened {
		return wire.Reply{}, fmt.Errorf("the network was opened already: %w", errdefs.ErrFailedPrecondition)
	}
	s.opened = true
	existing := -1
	if len(r.FDs) == 1 {
		existing = r.FDs[0]
	}
	router, err := link.OpenRouter(link.Config{Instance: q.Instance, State: &q.State}, existing)
	if err := surrender(); err != nil {
		s.fail(err)
		return wire.Reply{}, err
	}
	if err != nil {
		return wire.Reply{}, err
	}
	s.router = router
	reply := wire.Reply{Body: wire.RouterReply{State: router.State(), Gateway: router.Gateway()}}
	if existing < 0 {
		ns, err := unix.FcntlInt(uintptr(router.NetnsFD()), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			return wire.Reply{}, fmt.Errorf("duplicate the namespace's descriptor: %w", err)
		}
		reply.FDs = append([]int{ns}, router.TakeDNS()...)
	}
	return reply, nil
}

// follow watches the host from the time that the tables are whole.
func (s *server) follow(router *link.Router) {
	s.watch.Do(func() {
		go func() {
			err := router.Watch(context.Background(), func(err error) {
				log.Printf("brig-router: network: %v", err)
				if errors.Is(err, firewall.ErrLost) {
					s.fail(err)
				}
			})
			s.fail(err)
		}()
	})
}
