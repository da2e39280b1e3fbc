package dns

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"time"
)

// server is one resolver with its connected sockets: the kernel drops what does not come from its address and port.
type server struct {
	name  string
	socks []*sock
}

// sock is one connected UDP socket with the queries that are under way on it, by number.
type sock struct {
	conn net.Conn

	mu      sync.Mutex
	waiting map[uint16]*waiter
}

type waiter struct {
	question []byte
	answer   chan []byte
}

var errNoAnswer = errors.New("no resolver answered")

// group sorts sockets by the server that they are connected to, in the order in which they came.
func group(conns []net.Conn) []*server {
	var out []*server
	byName := map[string]*server{}
	for _, c := range conns {
		name := c.RemoteAddr().String()
		s := byName[name]
		if s == nil {
			s = &server{name: name}
			byName[name] = s
			out = append(out, s)
		}
		s.socks = append(s.socks, &sock{conn: c, waiting: map[uint16]*waiter{}})
	}
	return out
}

// read hands answers to those who wait, until the socket is closed.
func (s *sock) read() {
	buf := make([]byte, maxMessage)
	for {
		n, err := s.conn.Read(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			s.refuse() // the resolver is away: the kernel tells one error for each query
			time.Sleep(time.Millisecond)
			continue
		}
		s.deliver(buf[:n])
	}
}

// deliver takes the waiter out: a second answer, honest or forged, finds nobody.
func (s *sock) deliver(msg []byte) {
	if len(msg) < headerLen {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	number := numberOf(msg)
	if w := s.waiting[number]; w != nil && isAnswer(msg, number, w.question) {
		delete(s.waiting, number)
		w.answer <- append([]byte(nil), msg...)
	}
}

// refuse tells everybody who waits that nobody listens at the other end, so that the next resolver is asked at once.
func (s *sock) refuse() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for number, w := range s.waiting {
		delete(s.waiting, number)
		w.answer <- nil
	}
}

// ask sends query under a random number and waits for its answer.
func (s *sock) ask(ctx context.Context, query, q []byte) ([]byte, error) {
	w := &waiter{question: q, answer: make(chan []byte, 1)}
	number := s.register(w)
	defer s.forget(number, w)
	out := append([]byte(nil), query...)
	renumber(out, number)
	if _, err := s.conn.Write(out); err != nil {
		return nil, err
	}
	select {
	case a := <-w.answer:
		if a == nil {
			return nil, errNoAnswer
		}
		renumber(a, numberOf(query))
		return a, nil
	case <-ctx.Done():
		return nil, errNoAnswer
	}
}

// register finds a number that is not in use; there are never more than maxQueries on a socket, so one is soon found.
func (s *sock) register(w *waiter) uint16 {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		n := random16()
		if s.waiting[n] == nil {
			s.waiting[n] = w
			return n
		}
	}
}

func (s *sock) forget(number uint16, w *waiter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting[number] == w {
		delete(s.waiting, number)
	}
}

func random16() uint16 {
	var b [2]byte
	_, _ = rand.Read(b[:]) // never fails: the program would have ended
	return binary.NativeEndian.Uint16(b[:])
}

// ask tries the servers in order, each on a random one of its sockets.
func ask(ctx context.Context, servers []*server, query, q []byte) ([]byte, error) {
	for _, s := range servers {
		one, cancel := context.WithTimeout(ctx, serverTimeout)
		a, err := s.socks[int(random16())%len(s.socks)].ask(one, query, q)
		cancel()
		if err == nil {
			return a, nil
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, errNoAnswer
}
