package container

import (
	"errors"
	"sync"
	"time"
)

const (
	// subBuffer is how many bytes one attached client may be behind.
	subBuffer = 1 << 20
	// slowGrace is how long a client with a full buffer may hold up others before it is dropped.
	slowGrace = time.Second
)

// errSlow ends the stream of a client that does not read while others do.
var errSlow = errors.New("this client was disconnected: it does not read fast enough and others are attached too")

// hub hands what a process prints to all attached clients. A client that does not read is dropped as soon as it holds
// up another one; a single client holds up the process itself, as a pipe would, so that nothing of a foreground run is
// lost. Nothing holds up the end of a process: what it left in its pipes is bounded by the kernel and always taken.
type hub struct {
	mu     sync.Mutex
	cond   *sync.Cond
	subs   map[*sub]struct{}
	ending bool // the process has ended: take what is left, wait for nobody
	closed bool // nothing more will come
}

// sub is one attached client.
type sub struct {
	hub            *hub
	stdout, stderr bool
	queue          []chunk
	size           int // bytes in queue
	fullSince      time.Time
	err            error
	closed         bool
}

type chunk struct {
	stream byte
	data   []byte
}

func newHub() *hub {
	h := &hub{}
	h.cond = sync.NewCond(&h.mu)
	return h
}

func (h *hub) subscribe(stdout, stderr bool) *sub {
	s := &sub{hub: h, stdout: stdout, stderr: stderr}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.subs == nil {
		h.subs = map[*sub]struct{}{}
	}
	h.subs[s] = struct{}{}
	h.cond.Broadcast() // a single client is not alone any more
	return s
}

// publish gives a copy of p to every client.
func (h *hub) publish(stream byte, p []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.subs) == 0 || len(p) == 0 {
		return
	}
	c := chunk{stream, append([]byte(nil), p...)}
	for s := range h.subs {
		if stream == 2 && s.stderr || stream != 2 && s.stdout {
			s.queue = append(s.queue, c)
			s.size += len(p)
		}
	}
	h.cond.Broadcast()
	h.wait()
}

// wait returns when no client's buffer is over its bound. Called with mu held.
func (h *hub) wait() {
	for !h.ending {
		full := 0
		now := time.Now()
		for s := range h.subs {
			switch {
			case s.size <= subBuffer:
				s.fullSince = time.Time{}
				continue
			case s.fullSince.IsZero():
				s.fullSince = now
				time.AfterFunc(slowGrace, h.wakeUp)
			case len(h.subs) > 1 && now.Sub(s.fullSince) >= slowGrace:
				h.drop(s, errSlow)
				continue
			}
			full++
		}
		if full == 0 {
			return
		}
		h.cond.Wait()
	}
}

func (h *hub) wakeUp() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.cond.Broadcast()
}

// drop is called with mu held.
func (h *hub) drop(s *sub, err error) {
	delete(h.subs, s)
	s.closed, s.err = true, err
	s.queue = nil
	h.cond.Broadcast()
}

// end says that the process has ended; close that all it printed was published.
func (h *hub) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ending = true
	h.cond.Broadcast()
}

func (h *hub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ending, h.closed = true, true
	h.cond.Broadcast()
}

// next waits for the next chunk; ok is false when there are no more, with the reason.
func (s *sub) next() (c chunk, err error, ok bool) {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	for len(s.queue) == 0 && !s.closed && !s.hub.closed {
		s.hub.cond.Wait()
	}
	if len(s.queue) == 0 {
		return chunk{}, s.err, false
	}
	c = s.queue[0]
	s.queue = s.queue[1:]
	s.size -= len(c.data)
	s.hub.cond.Broadcast()
	return c, nil, true
}

func (s *sub) close() {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	if !s.closed {
		s.hub.drop(s, nil)
	}
}
