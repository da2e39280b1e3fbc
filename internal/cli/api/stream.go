package api

import (
	"context"
	"fmt"
	"net"
	"strings"
)

// Stream is a connection that has become a raw stream in both directions.
type Stream struct {
	conn *conn
	// Multiplexed says that what is read are frames (see Demux), not plain bytes.
	Multiplexed bool
	// Started says that the engine knows RunHeader and has started the container.
	Started bool
}

// Upgrade sends a request whose reply turns the connection into a raw stream: attach and exec start.
func (c *Client) Upgrade(ctx context.Context, req Request) (*Stream, error) {
	k, err := c.connect(ctx)
	if err != nil {
		return nil, err
	}
	stop := cancelOnDone(ctx, k)
	defer stop()
	h, err := exchange(k, req, "tcp")
	if err != nil {
		k.Close()
		return nil, contextError(ctx, err)
	}
	if h.status >= 400 {
		defer k.Close()
		return nil, refusal(h, h.framing(req.Method, k.r))
	}
	if h.status != 101 && h.status != 200 {
		k.Close()
		return nil, fmt.Errorf("%s %s: the engine answered %d instead of a stream", req.Method, req.Path, h.status)
	}
	const multiplexed = "application/vnd.docker.multiplexed-stream"
	return &Stream{conn: k, Multiplexed: h.fields["content-type"] == multiplexed,
		Started: h.fields[strings.ToLower(RunHeader)] == "started"}, nil
}

func (s *Stream) Read(p []byte) (int, error)  { return s.conn.r.Read(p) }
func (s *Stream) Write(p []byte) (int, error) { return s.conn.Write(p) }

// CloseWrite tells the other side that no more input follows, while its output can still be read.
func (s *Stream) CloseWrite() error {
	if u, ok := s.conn.Conn.(*net.UnixConn); ok {
		return u.CloseWrite()
	}
	return nil
}

// Close ends both directions.
func (s *Stream) Close() error { return s.conn.Close() }
