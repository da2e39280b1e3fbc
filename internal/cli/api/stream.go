package api

import (
	"context"
	"encoding/json"
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
	k, h, stop, err := c.ask(ctx, req, "tcp")
	if err != nil {
		return nil, err
	}
	defer stop()
	if h.status >= 400 {
		defer k.Close()
		return nil, refusal(h, h.framing(req.Method, k.r))
	}
	if h.status != 101 && h.status != 200 {
		k.Close()
		return nil, fmt.Errorf("%s %s: the engine answered %d instead of a stream", req.Method, req.Path, h.status)
	}
	return newStream(k, h), nil
}

// CreateRun sends a request to create a container that asks for its run as well, by RunHeader. made receives the reply
// to the creation, also with an error if it was the start that failed. stream is nil if the engine has only created.
func (c *Client) CreateRun(ctx context.Context, req Request, made any) (stream *Stream, err error) {
	k, h, stop, err := c.ask(ctx, req, "tcp")
	if err != nil {
		return nil, err
	}
	created := h.fields[strings.ToLower(CreatedHeader)]
	if created != "" {
		if err := json.Unmarshal([]byte(created), made); err != nil {
			stop()
			k.Close()
			return nil, fmt.Errorf("reply to %s %s: %w", req.Method, req.Path, err)
		}
	}
	if h.status == 101 && created != "" {
		stop()
		return newStream(k, h), nil
	}
	res, err := c.respond(req, k, h, stop)
	if err != nil {
		return nil, err
	}
	return nil, res.decode(req, made)
}

func newStream(k *conn, h *head) *Stream {
	const multiplexed = "application/vnd.docker.multiplexed-stream"
	return &Stream{conn: k, Multiplexed: h.fields["content-type"] == multiplexed,
		Started: h.fields[strings.ToLower(RunHeader)] == "started"}
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
