package api

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Bounds on a reply's head: 64 KiB in all, and a chunk header within one buffer.
const maxHead = 64 << 10

type head struct {
	status int
	reason string
	fields map[string]string
	minor  int // of HTTP/1.x
}

func readHead(r *bufio.Reader) (*head, error) {
	left := maxHead
	line, err := readLine(r, &left)
	if err != nil {
		return nil, err
	}
	proto, rest, _ := strings.Cut(line, " ")
	code, reason, _ := strings.Cut(rest, " ")
	h := &head{reason: reason, fields: make(map[string]string, 8)}
	switch proto {
	case "HTTP/1.1":
		h.minor = 1
	case "HTTP/1.0":
	default:
		return nil, fmt.Errorf("not an HTTP reply: %.40q", line)
	}
	if h.status, err = strconv.Atoi(code); err != nil || len(code) != 3 || h.status < 100 {
		return nil, fmt.Errorf("malformed status line %.40q", line)
	}
	for {
		line, err := readLine(r, &left)
		if err != nil {
			return nil, unexpected(err)
		}
		if line == "" {
			return h, nil
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok || name == "" || strings.ContainsAny(name, " \t") {
			return nil, fmt.Errorf("malformed header line %.40q", line)
		}
		h.fields[strings.ToLower(name)] = strings.Trim(value, " \t")
	}
}

// readLine reads up to the next line feed and returns the line without its end. left is what the head may still have.
func readLine(r *bufio.Reader, left *int) (string, error) {
	var b strings.Builder
	for {
		part, err := r.ReadSlice('\n')
		if *left -= len(part); *left < 0 {
			return "", fmt.Errorf("reply head of more than %d bytes", maxHead)
		}
		b.Write(part)
		if err == nil {
			return strings.TrimRight(b.String(), "\r\n"), nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			if b.Len() > 0 {
				err = unexpected(err)
			}
			return "", err
		}
	}
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (h *head) keepAlive() bool {
	return h.minor == 1 && !strings.EqualFold(h.fields["connection"], "close")
}

// framing returns the reader that ends where the body of the reply ends (RFC 9112, section 6.3).
func (h *head) framing(method string, r *bufio.Reader) framing {
	if method == "HEAD" || h.status == 204 || h.status == 304 || h.status < 200 {
		return &fixed{r: r}
	}
	if strings.EqualFold(h.fields["transfer-encoding"], "chunked") {
		return &chunked{r: r}
	}
	if v, ok := h.fields["content-length"]; ok {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil || n < 0 {
			return &untilClose{r: r, err: fmt.Errorf("malformed Content-Length %.40q", v)}
		}
		return &fixed{r: r, left: n}
	}
	return &untilClose{r: r}
}

// framing is a body: done reports whether all of it was read, so that the connection stands at the next reply.
type framing interface {
	io.Reader
	done() bool
}

type fixed struct {
	r    io.Reader
	left int64
}

func (f *fixed) done() bool { return f.left == 0 }

func (f *fixed) Read(p []byte) (int, error) {
	if f.left == 0 {
		return 0, io.EOF
	}
	if int64(len(p)) > f.left {
		p = p[:f.left]
	}
	n, err := f.r.Read(p)
	f.left -= int64(n)
	if f.left > 0 {
		err = unexpected(err)
	}
	return n, err
}

type untilClose struct {
	r   io.Reader
	err error
}

func (u *untilClose) done() bool { return false }

func (u *untilClose) Read(p []byte) (int, error) {
	if u.err != nil {
		return 0, u.err
	}
	return u.r.Read(p)
}

// chunked decodes the chunked transfer coding. Trailers are read and dropped.
type chunked struct {
	r     *bufio.Reader
	left  int64
	began bool
	ended bool
	err   error
}

func (c *chunked) done() bool { return c.ended }

func (c *chunked) Read(p []byte) (int, error) {
	if c.err == nil && c.left == 0 && !c.ended {
		c.err = c.next()
	}
	if c.err != nil {
		return 0, c.err
	}
	if c.ended {
		return 0, io.EOF
	}
	if int64(len(p)) > c.left {
		p = p[:c.left]
	}
	n, err := c.r.Read(p)
	c.left -= int64(n)
	if err != nil {
		c.err = unexpected(err)
	}
	return n, c.err
}

func (c *chunked) next() error {
	limit := maxHead
	if c.began {
		if line, err := readLine(c.r, &limit); err != nil || line != "" {
			return errors.Join(errors.New("malformed chunk end"), unexpected(err))
		}
	}
	c.began = true
	line, err := readLine(c.r, &limit)
	if err != nil {
		return unexpected(err)
	}
	size, _, _ := strings.Cut(line, ";")
	n, err := strconv.ParseUint(strings.TrimSpace(size), 16, 63)
	if err != nil {
		return fmt.Errorf("malformed chunk size %.40q", line)
	}
	if c.left = int64(n); n > 0 {
		return nil
	}
	for {
		line, err := readLine(c.r, &limit)
		if err != nil {
			return unexpected(err)
		}
		if line == "" {
			c.ended = true
			return nil
		}
	}
}

// body returns its connection to the client when it was read to the end, and closes it otherwise.
type body struct {
	framing
	client *Client
	conn   *conn
	stop   func()
	keep   bool
	closed bool
}

func (b *body) Close() error {
	if b.closed {
		return nil
	}
	b.closed = true
	b.stop()
	if b.keep && b.done() {
		b.client.give(b.conn)
		return nil
	}
	return b.conn.Close()
}
