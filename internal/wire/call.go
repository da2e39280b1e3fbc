package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"

	"github.com/containerd/errdefs"
)

// Request is one call as the serving side sees it. FDs belong to the server loop, which closes them after the handler
// has returned; a handler that keeps one leaves -1 in its place.
type Request struct {
	Op   Op
	Body []byte
	FDs  []int
	id   uint64
}

// Decode decodes the body strictly.
func (r *Request) Decode(v any) error {
	if err := DecodeStrict(r.Body, v); err != nil {
		return fmt.Errorf("%s: %w: %w", r.Op, errdefs.ErrInvalidArgument, err)
	}
	return nil
}

// Reply is what a handler returns. Its descriptors are closed after they were sent.
type Reply struct {
	Body any
	FDs  []int
}

// maxUnderWay bounds the requests that a peer can have served at once; later ones wait in the socket.
const maxUnderWay = 128

// Handler carries out one request.
type Handler func(*Request) (Reply, error)

// Serve reads requests from conn and runs each in a goroutine of its own until the connection ends. It refuses what is
// not in the list, and descriptors too many or too few. A handler that panics ends the process: its parent starts another
// one, which knows its state, and nothing goes on half done.
func Serve(conn *Conn, list List, handle Handler) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	free := make(chan *Request) // is received from by goroutines that have served, whose stacks have grown already
	defer close(free)
	slots := make(chan struct{}, maxUnderWay)
	for {
		f, fds, err := conn.Receive()
		if err != nil {
			return err
		}
		slots <- struct{}{}
		next := &Request{f.Op, f.Body, fds, f.ID}
		select {
		case free <- next:
		default:
			wg.Go(func() {
				for more := true; more; next, more = <-free {
					answerOne(conn, list, handle, next)
					<-slots
				}
			})
		}
	}
}

func answerOne(conn *Conn, list List, handle Handler, r *Request) {
	defer func() { CloseAll(r.FDs); r.Body = nil }() // the goroutine is kept, and r with it
	out := &Frame{ID: r.id}
	reply, err := dispatch(list, handle, r)
	defer CloseAll(reply.FDs)
	if err == nil && reply.Body != nil {
		out.Body, err = json.Marshal(reply.Body)
	}
	if err == nil {
		err = conn.Send(out, reply.FDs)
	}
	if err != nil { // with an error no descriptor leaves, and an answer that is too large is an answer all the same
		err = conn.Send(&Frame{ID: r.id, Error: ToError(err)}, nil)
	}
	if err != nil {
		conn.Close()
	}
}

func dispatch(list List, handle Handler, r *Request) (Reply, error) {
	rule, known := list[r.Op]
	if !known {
		return Reply{}, fmt.Errorf("unknown operation %q: %w", r.Op, errdefs.ErrInvalidArgument)
	}
	if len(r.FDs) < rule.Least || len(r.FDs) > rule.Most {
		return Reply{}, fmt.Errorf("%s came with %d descriptors, not %d to %d: %w",
			r.Op, len(r.FDs), rule.Least, rule.Most, errdefs.ErrInvalidArgument)
	}
	return handle(r)
}

// Error is a failure as it crosses a zone: a class of containerd's errdefs and a sentence for people.
type Error struct {
	Class string `json:"class"`
	Text  string `json:"text"`
	// Code is 126 or 127 where the program of a container could not be executed or was not found.
	Code int `json:"code,omitempty"`
}

// Error returns the sentence.
func (e *Error) Error() string { return e.Text }

// Unwrap gives the errdefs class, so that errdefs.IsNotFound and its kin work on both sides of a socket.
func (e *Error) Unwrap() error { return classes[e.Class] }

var classes = map[string]error{
	"not_found":           errdefs.ErrNotFound,
	"already_exists":      errdefs.ErrAlreadyExists,
	"invalid_argument":    errdefs.ErrInvalidArgument,
	"failed_precondition": errdefs.ErrFailedPrecondition,
	"permission_denied":   errdefs.ErrPermissionDenied,
	"unavailable":         errdefs.ErrUnavailable,
	"not_implemented":     errdefs.ErrNotImplemented,
	"conflict":            errdefs.ErrConflict,
	"resource_exhausted":  errdefs.ErrResourceExhausted,
	"data_loss":           errdefs.ErrDataLoss,
}

// maxText bounds a sentence in bytes: it may quote a stranger's name, and must fit a packet even if every byte is
// escaped.
const maxText = 8 << 10

// ToError turns any error into one that can be sent. An error without a class is "unknown"; a sentence over maxText is
// cut.
func ToError(err error) *Error {
	text := err.Error()
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "") + "…"
	}
	var e *Error
	if errors.As(err, &e) {
		// Keep the whole sentence of the wrapping error, and the class of the inner one.
		return &Error{Class: e.Class, Text: text, Code: e.Code}
	}
	for name, class := range classes {
		if errors.Is(err, class) {
			return &Error{Class: name, Text: text}
		}
	}
	return &Error{Class: "unknown", Text: text}
}

// Full gives a full disk the class and the words that people can act on.
func Full(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("no space left in the engine's directory: %w: %w. Next: brig images, brig rmi", err, errdefs.ErrResourceExhausted)
	}
	return err
}
