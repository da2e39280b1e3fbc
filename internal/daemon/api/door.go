package api

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// Bounds are how many connections may be open: of all callers together, and of one. A caller is a process, or a user who is
// not root, whatever the number of his processes.
type Bounds struct{ All, One int }

// The most connections; a client that follows the logs of each container holds one for each.
const (
	mostConnections = 16384
	mostOfOne       = 4096
	// spare are connections over the bound of one caller that are answered, with a refusal; what comes beyond is closed.
	spare = 32
)

// boundsFor leaves half of the descriptors to containers.
func boundsFor(descriptors uint64) Bounds {
	return Bounds{All: int(min(descriptors/2, mostConnections)), One: int(min(descriptors/4, mostOfOne))}
}

// door counts who comes in, so that one caller leaves room for the others.
type door struct {
	net.Listener
	bounds Bounds

	mu      sync.Mutex
	all     int
	callers map[string]*caller
}

// caller is who is at the other end of connections. Its requests that compute take turns: thousands of them at once leave
// others their share of the processors.
type caller struct {
	name        string
	connections int // guarded by door.mu
	turns       chan struct{}
}

// conn is a connection that was let in.
type conn struct {
	*net.UnixConn
	door    *door
	callers []*caller
	over    string // the caller that is over its bound: answered with a refusal
	once    sync.Once
}

// Accept gives the next connection that may come in.
func (d *door) Accept() (net.Conn, error) {
	for {
		c, err := d.Listener.Accept()
		if err != nil {
			return nil, err
		}
		u, ok := c.(*net.UnixConn)
		if !ok {
			return c, nil
		}
		if in := d.admit(u); in != nil {
			return in, nil
		}
		u.Close()
	}
}

// admit counts a connection; nil: there is no room for it.
func (d *door) admit(u *net.UnixConn) *conn {
	names := callerNames(u)
	d.mu.Lock()
	defer d.mu.Unlock()
	c := &conn{UnixConn: u, door: d}
	for _, name := range names {
		k := d.callers[name]
		switch {
		case k == nil:
		case k.connections >= d.bounds.One+spare:
			return nil
		case k.connections >= d.bounds.One:
			c.over = name
		}
	}
	if d.all >= d.bounds.All {
		return nil
	}
	d.all++
	for _, name := range names {
		k := d.callers[name]
		if k == nil {
			k = &caller{name: name, turns: make(chan struct{}, max(4, 2*runtime.NumCPU()))}
			d.callers[name] = k
		}
		k.connections++
		c.callers = append(c.callers, k)
	}
	return c
}

// callerNames says who is at the other end, in words for people. A process that has ended keeps its number until its
// connections are closed.
func callerNames(u *net.UnixConn) []string {
	raw, err := u.SyscallConn()
	if err != nil {
		return nil
	}
	var cred *unix.Ucred
	var failed error
	err = raw.Control(func(fd uintptr) { cred, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err != nil || failed != nil {
		return nil
	}
	names := []string{fmt.Sprintf("process %d", cred.Pid)}
	if cred.Uid != 0 {
		names = append(names, fmt.Sprintf("user %d", cred.Uid))
	}
	return names
}

// Close gives the place free.
func (c *conn) Close() error {
	c.once.Do(func() {
		c.door.mu.Lock()
		defer c.door.mu.Unlock()
		c.door.all--
		for _, k := range c.callers {
			if k.connections--; k.connections == 0 {
				delete(c.door.callers, k.name)
			}
		}
	})
	return c.UnixConn.Close()
}

// refusal is why a request on this connection is not answered.
func (c *conn) refusal() error {
	if c.over == "" {
		return nil
	}
	return fmt.Errorf("%s holds %d connections to the engine, the most that one caller may. Next: end some, streams of "+
		"events, logs and statistics that nobody reads, say: %w", c.over, c.door.bounds.One, errdefs.ErrResourceExhausted)
}

// turn waits until the caller of a request may compute, and gives what ends it.
func turn(ctx context.Context) (done func(), err error) {
	c, ok := ctx.Value(keyConn).(*conn)
	if !ok || len(c.callers) == 0 {
		return func() {}, nil
	}
	k := c.callers[len(c.callers)-1] // the user, if it is not root
	select {
	case k.turns <- struct{}{}:
		return func() { <-k.turns }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for other requests of %s: %w: %w", k.name, ctx.Err(), errdefs.ErrUnavailable)
	}
}

// HTTPServer serves callers, each within bounds.
type HTTPServer struct {
	http.Server
	Bounds Bounds
	door   door
}

// NewHTTPServer gives a server with bounds on what a client can hold open.
func NewHTTPServer(h http.Handler) *HTTPServer {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		limit.Cur = 1024
	}
	return &HTTPServer{Bounds: boundsFor(limit.Cur), door: door{callers: map[string]*caller{}}, Server: http.Server{
		Handler:           h,
		ConnContext:       ConnContext,
		ReadHeaderTimeout: headerPatience,
		IdleTimeout:       10 * time.Minute,
		MaxHeaderBytes:    64 << 10,
	}}
}

// How long a client may take to write a request down.
const (
	headerPatience = 10 * time.Second
	bodyPatience   = 30 * time.Second // of a body that is an object, not a stream
)

// Serve answers who comes to the listener, until that is closed.
func (s *HTTPServer) Serve(l net.Listener) error {
	s.door.Listener, s.door.bounds = l, s.Bounds
	return s.Server.Serve(&s.door)
}

// Connections tells how many are open.
func (s *HTTPServer) Connections() int {
	s.door.mu.Lock()
	defer s.door.mu.Unlock()
	return s.door.all
}
