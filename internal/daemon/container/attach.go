package container

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"

	"github.com/moby/moby/api/types/events"

	"github.com/brig-engine/brig/internal/daemon/log"
)

// AttachOptions say what a client sees and whether it types.
type AttachOptions struct {
	Logs, Stream          bool
	Stdin, Stdout, Stderr bool
	DetachKeys            []byte
}

// Conn is the hijacked connection of a client. Gone tells, after the end of its input, whether it can still read.
type Conn interface {
	io.ReadWriter
	Gone() bool
}

// Attachment is a client's place at the run that is under way, or at the next one: nothing that is written from now on
// is missed.
type Attachment struct {
	c   *Container
	o   AttachOptions
	run *session
	sub *sub // nil without Stream
}

// Attach makes a place for a client, for one call of Serve or Close.
func (c *Container) Attach(o AttachOptions) *Attachment {
	c.mu.Lock()
	a := &Attachment{c: c, o: o, run: c.run}
	if o.Stream {
		a.sub = a.run.hub.subscribe(o.Stdout, o.Stderr)
	}
	c.mu.Unlock()
	c.publish(events.ActionAttach) // here: before the start that may follow
	return a
}

// Close gives the place up.
func (a *Attachment) Close() {
	if a.sub != nil {
		a.sub.close()
	}
}

// Serve connects the client. It returns when the run has ended or the client went away.
func (a *Attachment) Serve(ctx context.Context, conn Conn) error {
	defer a.Close()
	c, o, run, s := a.c, a.o, a.run, a.sub
	c.mu.Lock()
	cfg := &c.rec.Config
	c.mu.Unlock()
	if o.Logs {
		q := log.Query{Stdout: o.Stdout, Stderr: o.Stderr, Tail: -1}
		err := c.log.Read(ctx, q, func(r log.Record) error { return WriteFrame(conn, !run.terminal, r.Stream, r.Text) })
		if err != nil && !errors.Is(err, log.ErrNoLog) {
			return err
		}
	}
	if !o.Stream {
		return nil
	}
	if !cfg.OpenStdin {
		o.Stdin = false
	}
	detached, err := run.serve(s, conn, o, cfg.StdinOnce)
	if detached {
		c.publish(events.ActionDetach)
	}
	return err
}

// serve copies output to the client and what it types to the process.
func (s *session) serve(client *sub, conn Conn, o AttachOptions, once bool) (detached bool, err error) {
	gone := make(chan bool, 1)
	go func() {
		detached, leave := s.readClient(conn, o, once)
		gone <- detached // before the end of the stream, which asks for it
		if leave {
			client.close()
		}
	}()
	for {
		c, err, more := client.next()
		if !more {
			select {
			case d := <-gone:
				return d, err
			default:
				return false, s.farewell(conn, err)
			}
		}
		if err := WriteFrame(conn, !s.terminal, c.stream, c.data); err != nil {
			return false, nil // the client went away
		}
	}
}

// farewell tells a client that was dropped why.
func (s *session) farewell(conn Conn, why error) error {
	if why != nil {
		_ = WriteFrame(conn, !s.terminal, log.Stderr, []byte("\r\n"+why.Error()+"\r\n"))
	}
	return why
}

// readClient copies what the client types until it ends, detaches or goes away. It tells whether it detached, and
// whether the client's stream ends with this.
func (s *session) readClient(conn Conn, o AttachOptions, once bool) (detached, leave bool) {
	if !o.Stdin {
		// Nothing is expected; the end says whether the client is still there to read.
		_, err := io.Copy(io.Discard, conn)
		return false, err != nil || conn.Gone()
	}
	in := io.Reader(conn)
	keys := &detachReader{r: conn, keys: o.DetachKeys}
	if s.terminal {
		in = keys
	}
	select {
	case <-s.started:
	case <-s.ended:
		return false, false
	}
	stdin := s.input()
	if stdin == nil {
		return false, false
	}
	_, err := io.Copy(stdin, in)
	if keys.found {
		return true, true
	}
	gone := conn.Gone()
	if once && (err == nil || gone) {
		s.endInput()
	}
	return false, s.terminal || gone
}

// detachReader reads until the keys come one after the other; then it ends with io.EOF. Keys that turn out not to be
// the sequence are passed on.
type detachReader struct {
	r     io.Reader
	keys  []byte
	seen  int // how many of keys were typed last
	found bool
	left  []byte
}

func (d *detachReader) Read(p []byte) (int, error) {
	if len(d.left) > 0 {
		n := copy(p, d.left)
		d.left = d.left[n:]
		return n, nil
	}
	if d.found || len(p) == 0 {
		return 0, io.EOF
	}
	in := make([]byte, min(len(p), 4096))
	for {
		n, err := d.r.Read(in)
		out := d.filter(in[:n])
		if len(out) > 0 {
			m := copy(p, out)
			d.left = bytes.Clone(out[m:])
			return m, nil
		}
		if d.found {
			return 0, io.EOF
		}
		if err != nil {
			return 0, err
		}
	}
}

// filter gives what is certainly not part of the sequence.
func (d *detachReader) filter(in []byte) []byte {
	if len(d.keys) == 0 {
		return in
	}
	out := make([]byte, 0, len(in)+d.seen)
	for _, b := range in {
		for d.seen > 0 && b != d.keys[d.seen] {
			// The longest beginning of the sequence that ends here is tried next.
			keep := d.seen - 1
			for keep > 0 && !bytes.Equal(d.keys[:keep], d.keys[d.seen-keep:d.seen]) {
				keep--
			}
			out = append(out, d.keys[:d.seen-keep]...)
			d.seen = keep
		}
		if b != d.keys[d.seen] {
			out = append(out, b)
			continue
		}
		if d.seen++; d.seen == len(d.keys) {
			d.found, d.seen = true, 0
			return out
		}
	}
	return out
}

// WriteFrame writes p to a client: with mux in front of it the eight bytes that say stream and length.
func WriteFrame(w io.Writer, mux bool, stream byte, p []byte) error {
	if !mux {
		_, err := w.Write(p)
		return err
	}
	b := make([]byte, 8, 8+len(p))
	b[0] = stream
	binary.BigEndian.PutUint32(b[4:], uint32(len(p)))
	_, err := w.Write(append(b, p...))
	return err
}
