package network

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// Bounds of one published port.
const (
	maxConns    = 1024 // spliced connections at a time; further clients wait in the socket's queue
	dialTimeout = 5 * time.Second
)

// Splice serves the clients that reach a reserved socket of the host itself: those of loopback, of IPv6, the host's
// own programs; and everybody where the host's firewall drops what is forwarded. All others are translated by the
// kernel and never come here.
type Splice struct {
	stop context.CancelFunc
	end  io.Closer
	done sync.WaitGroup
}

// NewSplice takes over socket, a listening TCP or bound UDP socket, and connects its clients with target until Close.
func NewSplice(socket *os.File, proto string, target netip.AddrPort) (*Splice, error) {
	defer socket.Close() // net works with a duplicate
	ctx, stop := context.WithCancel(context.Background())
	s := &Splice{stop: stop}
	switch proto {
	case "tcp":
		l, err := net.FileListener(socket)
		if err != nil {
			stop()
			return nil, fmt.Errorf("published port: %w", err)
		}
		s.end = l
		s.done.Go(func() { s.accept(ctx, l, target) })
	case "udp":
		pc, err := net.FilePacketConn(socket)
		if err != nil {
			stop()
			return nil, fmt.Errorf("published port: %w", err)
		}
		u, ok := pc.(*net.UDPConn)
		if !ok {
			stop()
			return nil, errors.Join(fmt.Errorf("published port: %T is no UDP socket", pc), pc.Close())
		}
		s.end = u
		s.done.Go(func() { relay(ctx, u, target) })
	default:
		stop()
		return nil, fmt.Errorf("published port: protocol %q", proto)
	}
	return s, nil
}

// Close ends the socket and all connections, and waits until they are gone.
func (s *Splice) Close() error {
	s.stop()
	err := s.end.Close()
	s.done.Wait()
	return err
}

func (s *Splice) accept(ctx context.Context, l net.Listener, target netip.AddrPort) {
	slots := make(chan struct{}, maxConns)
	for {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		c, err := l.Accept()
		if err != nil {
			<-slots
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			pause(ctx, 50*time.Millisecond) // out of descriptors, most likely: the clients wait
			continue
		}
		s.done.Go(func() {
			defer func() { <-slots }()
			splice(ctx, c, target)
		})
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// splice copies in both directions inside the kernel and passes on each end of stream by itself: a client may close its
// sending side and still wait for the answer. An error of either side ends both with a reset, as it would directly. Where
// nobody listens the client reads an end: a reset could come before its connect has returned, and those who wait for a
// port by connecting take that for a fault that will not pass.
func splice(ctx context.Context, client net.Conn, target netip.AddrPort) {
	defer client.Close()
	d := net.Dialer{Timeout: dialTimeout}
	server, err := d.DialContext(ctx, "tcp", target.String())
	if err != nil {
		return
	}
	defer server.Close()
	defer context.AfterFunc(ctx, func() { client.Close(); server.Close() })()
	var wg sync.WaitGroup
	wg.Go(func() { pipe(server, client) })
	wg.Go(func() { pipe(client, server) })
	wg.Wait()
}

func pipe(to, from net.Conn) {
	if _, err := io.Copy(to, from); err != nil {
		reset(to)
		reset(from)
		return
	}
	if t, ok := to.(*net.TCPConn); ok {
		_ = t.CloseWrite() // fails only if the peer is gone, which the other direction sees
	}
}

func reset(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	c.Close()
}
