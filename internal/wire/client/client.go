// Package client asks another process of the engine, over the socket that package wire describes.
//
// Zone: brigd, which has to trust the warden's replies; brig-warden, which does not trust brig-router's and looks at
// each. Input: replies, strictly decoded and bounded. Output: typed replies and descriptors.
package client

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/containerd/errdefs"

	"github.com/brig-engine/brig/internal/wire"
)

// Client calls operations over one connection; many may be under way at once. When the connection ends, every call
// under way and every later one fails with errdefs.ErrUnavailable.
type Client struct {
	conn *wire.Conn
	peer string
	Done chan struct{} // is closed when the connection has ended

	mu      sync.Mutex
	next    uint64
	waiting map[uint64]chan answer
	err     error
}

// answer is a reply, or why there will be none.
type answer struct {
	frame *wire.Frame
	fds   []int
	err   error
}

// New starts to read replies from conn; peer is what people know the other end as.
func New(conn *wire.Conn, peer string) *Client {
	c := &Client{conn: conn, peer: peer, Done: make(chan struct{}), waiting: map[uint64]chan answer{}}
	go c.read()
	return c
}

// Close ends the connection.
func (c *Client) Close() error { return c.conn.Close() }

func (c *Client) read() {
	for {
		f, fds, err := c.conn.Receive()
		if err == nil && f.Op != "" {
			wire.CloseAll(fds)
			err = fmt.Errorf("it sent %q out of turn", f.Op)
		}
		if err != nil {
			c.fail(err)
			return
		}
		c.mu.Lock()
		ch := c.waiting[f.ID]
		delete(c.waiting, f.ID)
		c.mu.Unlock()
		if ch == nil {
			wire.CloseAll(fds) // the caller gave up
			continue
		}
		ch <- answer{frame: f, fds: fds}
	}
}

func (c *Client) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = fmt.Errorf("%s is gone: %w: %w", c.peer, errdefs.ErrUnavailable, err)
	for _, ch := range c.waiting {
		ch <- answer{err: c.err}
	}
	clear(c.waiting)
	c.conn.Close()
	close(c.Done)
}

// Call sends one request with descriptors (which stay open) and waits for the reply; reply may be nil. The returned
// descriptors belong to the caller. A context that ends abandons the wait, not the operation.
func (c *Client) Call(ctx context.Context, op wire.Op, request, reply any, fds ...int) ([]int, error) {
	id, ch := c.ask(op, request, fds)
	return c.await(ctx, op, reply, id, ch)
}

// Give is Call for descriptors that this process does not keep: they are closed as soon as they were sent, so that a
// file which is to be sealed has no writer left.
func (c *Client) Give(ctx context.Context, op wire.Op, request, reply any, fds ...int) ([]int, error) {
	id, ch := c.ask(op, request, fds)
	wire.CloseAll(fds)
	return c.await(ctx, op, reply, id, ch)
}

// ask sends a request and gives where its answer will come.
func (c *Client) ask(op wire.Op, request any, fds []int) (id uint64, ch chan answer) {
	ch = make(chan answer, 1)
	f := &wire.Frame{Op: op}
	if request != nil {
		var err error
		if f.Body, err = json.Marshal(request); err != nil {
			ch <- answer{err: fmt.Errorf("encode %s: %w", op, err)}
			return 0, ch
		}
	}
	c.mu.Lock()
	if c.err != nil {
		ch <- answer{err: c.err}
		c.mu.Unlock()
		return 0, ch
	}
	c.next++
	f.ID = c.next
	c.waiting[f.ID] = ch
	c.mu.Unlock()
	if err := c.conn.Send(f, fds); err != nil && c.forget(f.ID) {
		ch <- answer{err: fmt.Errorf("ask %s for %s: %w: %w", c.peer, op, errdefs.ErrUnavailable, err)}
	}
	return f.ID, ch
}

func (c *Client) await(ctx context.Context, op wire.Op, reply any, id uint64, ch <-chan answer) ([]int, error) {
	var a answer
	select {
	case a = <-ch:
	case <-ctx.Done():
		if !c.forget(id) { // it is on its way
			wire.CloseAll((<-ch).fds)
		}
		return nil, ctx.Err()
	}
	switch {
	case a.err != nil:
	case a.frame.Error != nil:
		a.err = a.frame.Error
	case reply != nil:
		if err := wire.DecodeStrict(a.frame.Body, reply); err != nil {
			a.err = fmt.Errorf("reply to %s: %w", op, err)
		}
	}
	if a.err != nil {
		wire.CloseAll(a.fds)
		return nil, a.err
	}
	return a.fds, nil
}

// forget tells whether the call was still waiting.
func (c *Client) forget(id uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.waiting[id]
	delete(c.waiting, id)
	return ok
}
