package wire

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/containerd/errdefs"
)

// Client calls operations over one connection; many may be under way at once. When the connection ends, every call
// under way and every later one fails with errdefs.ErrUnavailable.
type Client struct {
	conn *Conn
	done chan struct{}

	mu      sync.Mutex
	next    uint64
	waiting map[uint64]chan answer
	err     error
}

type answer struct {
	frame *frame
	fds   []int
}

// Dial connects to a SOCK_SEQPACKET socket by path.
func Dial(path string) (*Client, error) {
	c, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: path, Net: "unixpacket"})
	if err != nil {
		return nil, fmt.Errorf("connect to the warden: %w: %w", errdefs.ErrUnavailable, err)
	}
	return NewClient(NewConn(c)), nil
}

// NewClient starts to read replies from conn.
func NewClient(conn *Conn) *Client {
	c := &Client{conn: conn, done: make(chan struct{}), waiting: map[uint64]chan answer{}}
	go c.read()
	return c
}

// Done is closed when the connection has ended.
func (c *Client) Done() <-chan struct{} { return c.done }

// Close ends the connection.
func (c *Client) Close() error { return c.conn.Close() }

func (c *Client) read() {
	for {
		f, fds, err := c.conn.receive()
		if err != nil {
			c.fail(err)
			return
		}
		c.mu.Lock()
		ch := c.waiting[f.ID]
		delete(c.waiting, f.ID)
		c.mu.Unlock()
		if ch == nil {
			CloseAll(fds) // the caller gave up
			continue
		}
		ch <- answer{f, fds}
	}
}

func (c *Client) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = fmt.Errorf("the warden is gone: %w: %w", errdefs.ErrUnavailable, err)
	for id, ch := range c.waiting {
		delete(c.waiting, id)
		close(ch)
	}
	c.conn.Close()
	close(c.done)
}

// Call sends one request with descriptors (which stay open) and waits for the reply; reply may be nil. The returned
// descriptors belong to the caller. A context that ends abandons the wait, not the operation.
func (c *Client) Call(ctx context.Context, op Op, request, reply any, fds ...int) ([]int, error) {
	return c.call(ctx, op, request, reply, fds, false)
}

// Give is Call for descriptors that this process does not keep: they are closed as soon as they were sent, so that a
// file which the warden is asked to seal has no writer left.
func (c *Client) Give(ctx context.Context, op Op, request, reply any, fds ...int) ([]int, error) {
	return c.call(ctx, op, request, reply, fds, true)
}

func (c *Client) call(ctx context.Context, op Op, request, reply any, fds []int, give bool) ([]int, error) {
	sent := false
	defer func() {
		if give && !sent {
			CloseAll(fds)
		}
	}()
	f := &frame{Op: op}
	if request != nil {
		b, err := json.Marshal(request)
		if err != nil {
			return nil, fmt.Errorf("encode %s: %w", op, err)
		}
		f.Body = b
	}
	ch := make(chan answer, 1)
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return nil, c.err
	}
	c.next++
	f.ID = c.next
	c.waiting[f.ID] = ch
	c.mu.Unlock()
	err := c.conn.send(f, fds)
	if sent = true; give {
		CloseAll(fds)
	}
	if err != nil {
		c.forget(f.ID)
		return nil, fmt.Errorf("ask the warden for %s: %w: %w", op, errdefs.ErrUnavailable, err)
	}
	select {
	case a, ok := <-ch:
		if !ok {
			return nil, c.err
		}
		return a.decode(op, reply)
	case <-ctx.Done():
		if !c.forget(f.ID) {
			if a, ok := <-ch; ok {
				CloseAll(a.fds)
			}
		}
		return nil, ctx.Err()
	}
}

// forget tells whether the call was still waiting.
func (c *Client) forget(id uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.waiting[id]
	delete(c.waiting, id)
	return ok
}

func (a answer) decode(op Op, reply any) ([]int, error) {
	if a.frame.Error != nil {
		CloseAll(a.fds)
		return nil, a.frame.Error
	}
	if reply != nil {
		if err := DecodeStrict(a.frame.Body, reply); err != nil {
			CloseAll(a.fds)
			return nil, fmt.Errorf("reply to %s: %w", op, err)
		}
	}
	return a.fds, nil
}

// Request is one call as the serving side sees it. FDs belong to the server loop, which closes them after the handler
// has returned; a handler that keeps one takes it out with Take.
type Request struct {
	Op   Op
	Body []byte
	FDs  []int
}

// Decode decodes the body strictly.
func (r *Request) Decode(v any) error {
	if err := DecodeStrict(r.Body, v); err != nil {
		return fmt.Errorf("%s: %w: %w", r.Op, errdefs.ErrInvalidArgument, err)
	}
	return nil
}

// Take hands descriptor i over to the handler; it is an error if it did not come.
func (r *Request) Take(i int) (int, error) {
	if i >= len(r.FDs) || r.FDs[i] < 0 {
		return -1, fmt.Errorf("%s: descriptor %d is missing: %w", r.Op, i, errdefs.ErrInvalidArgument)
	}
	fd := r.FDs[i]
	r.FDs[i] = -1
	return fd, nil
}

// Reply is what a handler returns. With Keep unset its descriptors are closed after they were sent.
type Reply struct {
	Body any
	FDs  []int
	Keep bool
}

// maxUnderWay bounds the requests that a peer can have served at once; later ones wait in the socket.
const maxUnderWay = 1024

// Handler carries out one request.
type Handler func(*Request) (Reply, error)

// Serve reads requests from conn and runs each in a goroutine of its own until the connection ends. It refuses unknown
// operations, and by name those that Known says are not built.
func Serve(conn *Conn, handle Handler) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	slots := make(chan struct{}, maxUnderWay)
	for {
		f, fds, err := conn.receive()
		if err != nil {
			return err
		}
		slots <- struct{}{}
		wg.Add(1)
		go func() {
			defer func() { <-slots; wg.Done() }()
			answerOne(conn, handle, f, &Request{Op: f.Op, Body: f.Body, FDs: fds})
		}()
	}
}

func answerOne(conn *Conn, handle Handler, f *frame, r *Request) {
	defer func() { CloseAll(r.FDs) }()
	out := &frame{ID: f.ID}
	reply, err := dispatch(handle, r)
	if err == nil && reply.Body != nil {
		out.Body, err = json.Marshal(reply.Body)
	}
	if err != nil {
		out.Error = ToError(err)
		out.Body = nil
	}
	if serr := conn.send(out, reply.FDs); serr != nil {
		conn.Close()
	}
	if !reply.Keep {
		CloseAll(reply.FDs)
	}
}

func dispatch(handle Handler, r *Request) (Reply, error) {
	built, known := Known[r.Op]
	switch {
	case !known:
		return Reply{}, fmt.Errorf("unknown operation %q: %w", r.Op, errdefs.ErrInvalidArgument)
	case !built:
		return Reply{}, fmt.Errorf("operation %s is not built yet: %w", r.Op, errdefs.ErrNotImplemented)
	}
	return handle(r)
}

// ErrNoCaller is returned where an operation needs the caller's connection and it did not travel with the request.
var ErrNoCaller = errors.New("the caller's connection is missing")
