package dns

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"time"
)

// Messages on TCP are preceded by their length in two bytes.

func (f *forwarder) serveStreams(ctx context.Context, l net.Listener) error {
	for {
		c, err := l.Accept()
		if ctx.Err() != nil {
			if err == nil {
				c.Close()
			}
			return nil
		}
		if errors.Is(err, net.ErrClosed) {
			return err
		}
		if err != nil {
			time.Sleep(10 * time.Millisecond) // out of descriptors: some connection will end
			continue
		}
		client := addrOf(c.RemoteAddr())
		if !f.streams.enter(client) {
			c.Close()
			continue
		}
		f.wg.Go(func() {
			defer f.streams.leave(client)
			f.serveStream(ctx, c, client)
		})
	}
}

// serveStream answers the queries of one connection, one after the other.
func (f *forwarder) serveStream(ctx context.Context, c net.Conn, client netip.Addr) {
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	var up net.Conn
	defer func() {
		if up != nil {
			up.Close()
		}
	}()
	for range streamQueries {
		_ = c.SetDeadline(time.Now().Add(streamIdle))
		query, err := readFrame(c)
		if err != nil {
			return
		}
		q, err := checkQuery(query)
		if err != nil {
			return
		}
		answer := f.local(ctx, client, query, q)
		if answer == nil {
			answer, up = f.askStream(up, query, q)
		}
		if answer == nil {
			answer = f.answer(ctx, client, query, q) // truncated is better than none
		}
		_ = c.SetDeadline(time.Now().Add(streamIdle))
		if writeFrame(c, answer) != nil {
			return
		}
	}
}

// askStream asks over the connection up, or over a new one to the first resolver that has one. It returns the
// connection that can be used again, or nil.
func (f *forwarder) askStream(up net.Conn, query, q []byte) ([]byte, net.Conn) {
	if up != nil {
		if a, err := exchange(up, query, q); err == nil {
			return a, up
		}
		up.Close() // resolvers close idle connections: a new one is worth a try
	}
	for n := range f.servers {
		if f.Stream == nil || !f.rate.take(time.Now()) {
			return nil, nil
		}
		c, err := f.Stream(n)
		if err != nil {
			continue
		}
		if a, err := exchange(c, query, q); err == nil {
			return a, c
		}
		c.Close()
	}
	return nil, nil
}

func exchange(c net.Conn, query, q []byte) ([]byte, error) {
	_ = c.SetDeadline(time.Now().Add(serverTimeout))
	out := append([]byte(nil), query...)
	number := random16()
	renumber(out, number)
	if err := writeFrame(c, out); err != nil {
		return nil, err
	}
	a, err := readFrame(c)
	if err != nil {
		return nil, err
	}
	if !isAnswer(a, number, q) {
		return nil, errMalformed
	}
	renumber(a, numberOf(query))
	return a, nil
}

func readFrame(r io.Reader) ([]byte, error) {
	var length [2]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint16(length[:]))
	if n < headerLen {
		return nil, errMalformed
	}
	msg := make([]byte, n)
	_, err := io.ReadFull(r, msg)
	return msg, err
}

func writeFrame(w io.Writer, msg []byte) error {
	if len(msg) > maxMessage {
		return errMalformed
	}
	_, err := w.Write(append(binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(msg)), uint16(len(msg))), msg...))
	return err
}
