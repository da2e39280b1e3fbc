package api

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Version is the version of the Docker Engine API that every request names.
const Version = "1.50"

const (
	// idleFor is how long a connection may wait for its next request. A server may close an idle connection at any
	// time, and a request that is lost that way must not be repeated blindly, so only fresh connections are reused.
	idleFor     = time.Second
	dialTimeout = 10 * time.Second
)

// Unreachable says that no engine answered at Host.
type Unreachable struct {
	Host string
	Err  error
}

func (e *Unreachable) Error() string {
	return fmt.Sprintf("cannot reach the engine at %s: %v", e.Host, e.Err)
}
func (e *Unreachable) Unwrap() error { return e.Err }

// Error is a refusal by the engine. Message is the engine's own sentence, unchanged.
type Error struct {
	Status  int
	Message string
}

func (e *Error) Error() string { return e.Message }

// IsStatus reports whether err is an engine's refusal with the given HTTP status.
func IsStatus(err error, status int) bool {
	var refusal *Error
	return errors.As(err, &refusal) && refusal.Status == status
}

// Client talks to one engine. It is safe for concurrent use; requests that overlap use connections of their own.
type Client struct {
	host string
	path string
	// start, if set, is asked once to bring up an engine when none answers.
	start func() error

	mu   sync.Mutex
	idle *conn
}

type conn struct {
	net.Conn
	r     *bufio.Reader
	since time.Time // of becoming idle
}

// New returns a client for host, "unix:///path/of/socket". start may be nil; otherwise it is called once, when nothing
// listens at host, and must return after an engine does.
func New(host string, start func() error) (*Client, error) {
	scheme, rest, ok := strings.Cut(host, "://")
	switch {
	case !ok || rest == "":
		return nil, fmt.Errorf("host %q: an address like unix:///run/brig/brig.sock is needed", host)
	case scheme == "unix":
		return &Client{host: host, path: rest, start: start}, nil
	case scheme == "tcp" || scheme == "ssh" || scheme == "https" || scheme == "npipe":
		return nil, fmt.Errorf("host %q: %s is not built yet; this version reaches engines over unix:// only", host, scheme)
	}
	return nil, fmt.Errorf("host %q: unknown scheme %q; this version reaches engines over unix:// only", host, scheme)
}

// Host returns the address that the client was made for.
func (c *Client) Host() string { return c.host }

func (c *Client) take() *conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.idle
	c.idle = nil
	if k != nil && time.Since(k.since) > idleFor {
		k.Close()
		return nil
	}
	return k
}

func (c *Client) give(k *conn) {
	k.since = time.Now()
	k.SetDeadline(time.Time{})
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.idle != nil {
		k.Close()
		return
	}
	c.idle = k
}

func (c *Client) connect(ctx context.Context) (*conn, error) {
	if k := c.take(); k != nil {
		return k, nil
	}
	d := net.Dialer{Timeout: dialTimeout}
	nc, err := d.DialContext(ctx, "unix", c.path)
	if start := c.starter(); err != nil && start != nil && absent(err) {
		if err := start(); err != nil {
			return nil, err
		}
		nc, err = d.DialContext(ctx, "unix", c.path)
	}
	if err != nil {
		return nil, &Unreachable{Host: c.host, Err: rootCause(err)}
	}
	return &conn{Conn: nc, r: bufio.NewReaderSize(nc, 4<<10)}, nil
}

// starter returns the function that starts an engine, the first time it is called.
func (c *Client) starter() func() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	start := c.start
	c.start = nil
	return start
}

// rootCause drops the "dial unix PATH: connect:" that the message around it says in better words.
func rootCause(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	if inner := errors.Unwrap(err); inner != nil {
		return inner
	}
	return err
}

// Call sends one request and decodes its JSON reply into out, unless out is nil.
func (c *Client) Call(ctx context.Context, method, path string, query url.Values, out any) error {
	return c.CallRequest(ctx, Request{Method: method, Path: path, Query: query}, out)
}

// CallRequest is Call for requests that have a body or headers.
func (c *Client) CallRequest(ctx context.Context, req Request, out any) error {
	res, err := c.Do(ctx, req)
	if err != nil {
		return err
	}
	return res.decode(req, out)
}

// decode reads the JSON of a reply into out, unless out is nil, and the rest, so that the connection can be used again.
func (res *Response) decode(req Request, out any) error {
	defer res.Body.Close()
	if out != nil {
		if err := json.NewDecoder(res.Body).Decode(out); err != nil {
			return fmt.Errorf("reply to %s %s: %w", req.Method, req.Path, err)
		}
	}
	_, err := io.Copy(io.Discard, res.Body)
	return err
}
