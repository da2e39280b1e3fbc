package dns

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Bounds. A container that reaches its own gets no answer; the others go on.
const (
	maxQueries          = 1024 // under way, over UDP, of all containers
	maxQueriesPerClient = 64
	maxStreams          = 128
	maxStreamsPerClient = 8
	streamQueries       = 64 // on one TCP connection
	streamRate          = 30 // TCP connections to resolvers in a minute, after streamBurst at once
	streamBurst         = 60

	serverTimeout = 3 * time.Second
	queryTimeout  = 8 * time.Second
	streamIdle    = 10 * time.Second
)

// Sockets are what the forwarder works with. The forwarder closes them.
type Sockets struct {
	Listen  []net.PacketConn
	Streams []net.Listener
	// Upstream holds connected UDP sockets; several to one resolver make forging harder. The order is the preference.
	Upstream []net.Conn
	// Stream opens a TCP connection to resolver n, counted in the order in which they appear in Upstream. nil: none.
	Stream func(n int) (net.Conn, error)
	// Names are the names of containers; nil: there are none, and every asker is like the other.
	Names *names
}

type forwarder struct {
	Sockets
	servers []*server
	packets *bounds
	streams *bounds
	rate    bucket
	wg      sync.WaitGroup
}

// Serve answers until ctx ends. Sockets that fail for another reason end it with an error.
func Serve(ctx context.Context, s Sockets) error {
	if len(s.Upstream) == 0 && s.Names == nil || len(s.Listen)+len(s.Streams) == 0 {
		return errors.New("a forwarder needs sockets to listen on and resolvers to ask")
	}
	f := &forwarder{Sockets: s, servers: group(s.Upstream), packets: newBounds(maxQueries, maxQueriesPerClient),
		streams: newBounds(maxStreams, maxStreamsPerClient), rate: bucket{tokens: streamBurst, last: time.Now()}}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	context.AfterFunc(ctx, f.close)
	failed := make(chan error, len(s.Listen)+len(s.Streams))
	for _, srv := range f.servers {
		for _, sk := range srv.socks {
			f.wg.Go(sk.read)
		}
	}
	for _, c := range s.Listen {
		f.wg.Go(func() { failed <- f.servePackets(ctx, c) })
	}
	for _, l := range s.Streams {
		f.wg.Go(func() { failed <- f.serveStreams(ctx, l) })
	}
	err := <-failed
	cancel()
	f.wg.Wait()
	return err
}

func (f *forwarder) close() {
	for _, c := range f.Listen {
		c.Close()
	}
	for _, l := range f.Streams {
		l.Close()
	}
	for _, c := range f.Upstream {
		c.Close()
	}
}

func (f *forwarder) servePackets(ctx context.Context, c net.PacketConn) error {
	buf := make([]byte, maxMessage)
	for {
		n, from, err := c.ReadFrom(buf)
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, net.ErrClosed) {
			return err
		}
		if err != nil {
			time.Sleep(time.Millisecond) // an ICMP error of an earlier answer
			continue
		}
		q, err := checkQuery(buf[:n])
		if err != nil {
			continue
		}
		client := addrOf(from)
		if !f.packets.enter(client) {
			continue
		}
		query := append([]byte(nil), buf[:n]...)
		q = query[headerLen : headerLen+len(q)]
		f.wg.Go(func() {
			defer f.packets.leave(client)
			_, _ = c.WriteTo(f.answer(ctx, client, query, q), from)
		})
	}
}

func (f *forwarder) answer(ctx context.Context, client netip.Addr, query, q []byte) []byte {
	if a := f.local(ctx, client, query, q); a != nil {
		return a
	}
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	a, err := ask(ctx, f.servers, query, q)
	if err != nil {
		return failure(query, q)
	}
	return a
}

// local answers what is no resolver's affair; nil for the rest.
func (f *forwarder) local(ctx context.Context, client netip.Addr, query, q []byte) []byte {
	if f.Names == nil {
		return nil
	}
	return f.Names.answer(ctx, client, query, q)
}

func addrOf(a net.Addr) netip.Addr {
	switch a := a.(type) {
	case *net.UDPAddr:
		return a.AddrPort().Addr().Unmap()
	case *net.TCPAddr:
		return a.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

// bounds counts what is under way, in all and per client.
type bounds struct {
	all, each int

	mu     sync.Mutex
	total  int
	client map[netip.Addr]int
}

func newBounds(all, each int) *bounds {
	return &bounds{all: all, each: each, client: map[netip.Addr]int{}}
}

func (b *bounds) enter(a netip.Addr) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.total >= b.all || b.client[a] >= b.each {
		return false
	}
	b.total++
	b.client[a]++
	return true
}

func (b *bounds) leave(a netip.Addr) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.total--
	if b.client[a]--; b.client[a] == 0 {
		delete(b.client, a)
	}
}

// bucket bounds how often brigd is asked for a connection: the number that one job may ask for has an end.
type bucket struct {
	mu     sync.Mutex
	tokens float64
	last   time.Time
}

func (b *bucket) take(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tokens = min(streamBurst, b.tokens+now.Sub(b.last).Minutes()*streamRate)
	b.last = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}
