package serve

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/jsonstream"

	"github.com/brig-engine/brig/internal/daemon/image"
)

// message is one JSON message of a stream: what jsonstream.Message has, and the older spelling of an error.
type message struct {
	Stream   string               `json:"stream,omitempty"`
	Status   string               `json:"status,omitempty"`
	Progress *jsonstream.Progress `json:"progressDetail,omitempty"`
	ID       string               `json:"id,omitempty"`
	Detail   *jsonstream.Error    `json:"errorDetail,omitempty"`
	Error    string               `json:"error,omitempty"`
	Aux      any                  `json:"aux,omitempty"`
}

// flushEvery is how often a client hears of progress.
const flushEvery = 100 * time.Millisecond

// stream sends messages to one client. Saying something never waits for the client: what it has not taken yet is kept,
// and newer progress of an object takes the place of older, so that what is kept stays small.
type stream struct {
	w    http.ResponseWriter
	stop chan struct{}
	done chan struct{}

	mu    sync.Mutex
	queue []message
	last  map[string]int // id → place in queue of its progress
	begun bool
}

func newStream(w http.ResponseWriter) *stream {
	s := &stream{w: w, stop: make(chan struct{}), done: make(chan struct{}), last: map[string]int{}}
	go s.run()
	return s
}

// duplex lets messages go out while the body of the request still comes in. Without it the first message would make the
// server throw the rest of the body away. The connection ends with the reply. It returns what ends the reading of the body, wherever that is.
func (s *stream) duplex() (stop func()) {
	rc := http.NewResponseController(s.w)
	_ = rc.EnableFullDuplex() // the only error is that it is not supported, and then not needed
	s.w.Header().Set("Connection", "close")
	return func() { _ = rc.SetReadDeadline(time.Now()) } // in the same way
}

// spillFor is how long a client may go on sending what nobody wants.
const spillFor = 10 * time.Second

// spill reads what is left of a body that was refused: a client whose upload is cut off says that its pipe broke, and
// never reads why.
func (s *stream) spill(body io.Reader) {
	_ = http.NewResponseController(s.w).SetReadDeadline(time.Now().Add(spillFor)) // as in duplex
	_, _ = io.Copy(io.Discard, body)
}

func (s *stream) tell(e image.Event) {
	m := message{ID: e.ID, Status: e.Status}
	if e.Current > 0 || e.Total > 0 {
		m.Progress = &jsonstream.Progress{Current: e.Current, Total: e.Total}
	}
	s.say(m)
}

func (s *stream) say(m message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m.Progress != nil {
		if at, there := s.last[m.ID]; there && s.queue[at].Status == m.Status {
			s.queue[at] = m
			return
		}
		s.last[m.ID] = len(s.queue)
	}
	s.queue = append(s.queue, m)
}

// run writes what is in the queue, now and then, and at the end.
func (s *stream) run() {
	defer close(s.done)
	t := time.NewTicker(flushEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			s.flush()
		case <-s.stop:
			s.flush()
			return
		}
	}
}

func (s *stream) flush() {
	s.mu.Lock()
	queue := s.queue
	s.queue = nil
	clear(s.last)
	first := len(queue) > 0 && !s.begun
	s.begun = s.begun || first
	s.mu.Unlock()
	if len(queue) == 0 {
		return
	}
	if first {
		s.w.Header().Set("Content-Type", "application/json")
		s.w.WriteHeader(http.StatusOK)
	}
	enc := json.NewEncoder(s.w)
	for _, m := range queue {
		if enc.Encode(m) != nil {
			return // the client is gone, and its request's context ends
		}
	}
	_ = http.NewResponseController(s.w).Flush() // in the same way
}

// finish ends the stream with the error, if there is one; before the first message it is an ordinary HTTP error, which
// the caller gives.
func (s *stream) finish(err error) error {
	s.mu.Lock()
	begun := s.begun || len(s.queue) > 0
	s.mu.Unlock()
	if err != nil && begun {
		text := plain(err)
		s.say(message{Detail: &jsonstream.Error{Message: text}, Error: text})
		err = nil
	}
	close(s.stop)
	<-s.done
	return err
}

// plain is the sentence without the names of the classes, which are for programs.
func plain(err error) string {
	text := err.Error()
	for again := true; again; {
		again = false
		for _, class := range []error{errdefs.ErrNotFound, errdefs.ErrInvalidArgument, errdefs.ErrConflict,
			errdefs.ErrPermissionDenied,
			errdefs.ErrNotImplemented, errdefs.ErrResourceExhausted, errdefs.ErrUnavailable, errdefs.ErrDataLoss,
			errdefs.ErrFailedPrecondition} {
			if cut, ok := strings.CutSuffix(text, fmt.Sprintf(": %v", class)); ok {
				text, again = cut, true
			}
			text = strings.Replace(text, fmt.Sprintf(": %v. Next: ", class), ". Next: ", 1)
		}
	}
	return text
}
