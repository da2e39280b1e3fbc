package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Request is one request. Path is without the version prefix and already escaped.
type Request struct {
	Method string
	Path   string
	Query  url.Values
	Header map[string]string
	// JSON, if not nil, is the body. Otherwise Body is, with Length bytes, or chunked if Length is 0.
	JSON   any
	Body   io.Reader
	Length int64
}

// Response is a reply with a status below 400. Body must be closed; reading it to its end lets the connection be used
// again.
type Response struct {
	Status int
	Header map[string]string // names in lower case
	Body   io.ReadCloser
}

// Do sends a request and reads the head of its reply. Statuses from 400 on come back as *Error.
//
// An engine that is killed takes the connections along that it had accepted; the next one listens already. What only
// asks is asked once more then, and nobody sees that the engine has changed.
func (c *Client) Do(ctx context.Context, req Request) (*Response, error) {
	res, err := c.try(ctx, req)
	var lost *unanswered
	if errors.As(err, &lost) && (req.Method == "GET" || req.Method == "HEAD") && req.Body == nil {
		return c.try(ctx, req)
	}
	return res, err
}

func (c *Client) try(ctx context.Context, req Request) (*Response, error) {
	k, h, stop, err := c.ask(ctx, req, "")
	if err != nil {
		return nil, err
	}
	return c.respond(req, k, h, stop)
}

// ask sends a request and reads the head of its reply. Until stop, the end of ctx ends every wait on the connection.
func (c *Client) ask(ctx context.Context, req Request, upgrade string) (k *conn, h *head, stop func(), err error) {
	if k, err = c.connect(ctx); err != nil {
		return nil, nil, nil, err
	}
	stop = cancelOnDone(ctx, k)
	if h, err = exchange(k, req, upgrade); err != nil {
		stop()
		k.Close()
		return nil, nil, nil, contextError(ctx, err)
	}
	return k, h, stop, nil
}

// respond makes a response or a refusal of what ask has returned.
func (c *Client) respond(req Request, k *conn, h *head, stop func()) (*Response, error) {
	body := &body{framing: h.framing(req.Method, k.r), client: c, conn: k, stop: stop, keep: h.keepAlive()}
	if h.status >= 400 {
		defer body.Close()
		return nil, refusal(h, body)
	}
	return &Response{Status: h.status, Header: h.fields, Body: body}, nil
}

// exchange writes a request and reads the head of the reply, skipping interim ones.
func exchange(k *conn, req Request, upgrade string) (*head, error) {
	writeErr := send(k, req, upgrade)
	var source *sourceError
	if errors.As(writeErr, &source) {
		return nil, source.error
	}
	// An engine that refuses an upload answers before it has read all of it and closes: the answer is what counts.
	if writeErr != nil {
		k.SetReadDeadline(time.Now().Add(time.Second))
	}
	if _, err := k.r.Peek(1); dropped(err) {
		return nil, &unanswered{req.Method, req.Path}
	}
	for {
		h, err := readHead(k.r)
		switch {
		case err != nil && writeErr != nil:
			return nil, fmt.Errorf("%s %s: %w", req.Method, req.Path, writeErr)
		case err != nil:
			return nil, fmt.Errorf("%s %s: %w", req.Method, req.Path, err)
		case h.status >= 200 || h.status == 101 && upgrade != "":
			if writeErr != nil {
				h.fields["connection"] = "close" // half a request was sent
			}
			return h, nil
		}
	}
}

// unanswered says that the connection ended before the first byte of an answer.
type unanswered struct{ method, path string }

func (e *unanswered) Error() string {
	return fmt.Sprintf("%s %s: the engine closed the connection without an answer", e.method, e.path)
}

// dropped tells that the other side is gone, as opposed to late.
func dropped(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// sourceError is a failure to read what was to be sent, as opposed to sending it.
type sourceError struct{ error }

func send(k *conn, req Request, upgrade string) error {
	w := bufio.NewWriterSize(k, 4<<10)
	length := req.Length
	src := req.Body
	if req.JSON != nil {
		data, err := marshal(req.JSON)
		if err != nil {
			return err
		}
		src, length = bytes.NewReader(data), int64(len(data))
	}
	chunked := src != nil && length == 0
	fmt.Fprintf(w, "%s /v%s%s", req.Method, Version, req.Path)
	if q := req.Query.Encode(); q != "" {
		w.WriteString("?" + q)
	}
	w.WriteString(" HTTP/1.1\r\nHost: brig\r\nUser-Agent: brig\r\n")
	if upgrade != "" {
		w.WriteString("Connection: Upgrade\r\nUpgrade: " + upgrade + "\r\n")
	}
	if req.JSON != nil {
		w.WriteString("Content-Type: application/json\r\n")
	}
	if err := writeFields(w, req.Header); err != nil {
		return err
	}
	switch {
	case chunked:
		w.WriteString("Transfer-Encoding: chunked\r\n\r\n")
		return writeChunked(w, src)
	case req.Method != "GET" && req.Method != "HEAD":
		w.WriteString("Content-Length: " + strconv.FormatInt(length, 10) + "\r\n")
	}
	w.WriteString("\r\n")
	if src != nil {
		if err := copyBody(w, src, length); err != nil {
			return err
		}
	}
	return w.Flush()
}

// copyBody sends exactly length bytes: a file that became shorter meanwhile cannot be sent as announced.
func copyBody(w *bufio.Writer, src io.Reader, length int64) error {
	counted := &reads{r: io.LimitReader(src, length)}
	n, err := io.Copy(w, counted)
	switch {
	case counted.err != nil && counted.err != io.EOF:
		return &sourceError{counted.err}
	case err != nil:
		return err
	case n < length:
		return &sourceError{io.ErrUnexpectedEOF}
	}
	return nil
}

// reads remembers why reading ended.
type reads struct {
	r   io.Reader
	err error
}

func (r *reads) Read(p []byte) (n int, err error) {
	n, r.err = r.r.Read(p)
	return n, r.err
}

// writeFields refuses line breaks: a value must not become a field of its own.
func writeFields(w *bufio.Writer, fields map[string]string) error {
	names := make([]string, 0, len(fields))
	for name := range fields {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		if strings.ContainsAny(name+fields[name], "\r\n\x00") {
			return fmt.Errorf("header %q has a line break", name)
		}
		w.WriteString(name + ": " + fields[name] + "\r\n")
	}
	return nil
}

func writeChunked(w *bufio.Writer, src io.Reader) error {
	if err := w.Flush(); err != nil {
		return err
	}
	buf := make([]byte, 64<<10)
	for {
		n, readErr := src.Read(buf)
		if n > 0 {
			fmt.Fprintf(w, "%x\r\n", n)
			w.Write(buf[:n])
			w.WriteString("\r\n")
			if err := w.Flush(); err != nil {
				return err
			}
		}
		if readErr == io.EOF {
			w.WriteString("0\r\n\r\n")
			return w.Flush()
		}
		if readErr != nil {
			return &sourceError{readErr}
		}
	}
}

// cancelOnDone ends every wait on the connection when ctx ends. The function that it returns undoes that.
func cancelOnDone(ctx context.Context, k net.Conn) func() {
	if ctx.Done() == nil {
		return func() {}
	}
	stop := context.AfterFunc(ctx, func() { k.SetDeadline(time.Unix(1, 0)) })
	return func() { stop() }
}

func contextError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// refusal turns the body of an error reply, {"message": "..."}, into an error.
func refusal(h *head, body io.Reader) error {
	data, err := io.ReadAll(io.LimitReader(body, 1<<20))
	var m struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(data, &m) != nil || m.Message == "" {
		m.Message = strings.TrimSpace(string(data))
	}
	if m.Message == "" {
		m.Message = fmt.Sprintf("the engine answered %d %s", h.status, h.reason)
		if err != nil {
			m.Message += ": " + err.Error()
		}
	}
	return &Error{Status: h.status, Message: m.Message}
}
