package log

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// message is a line on its way to somebody who may be slow.
type message struct {
	stream byte
	at     time.Time
	text   []byte
	lines  int
	part   part
	note   bool // it is ours, not the container's
}

// part tells where a message belongs that is a piece of a line.
type part struct {
	id     string // "": it is a whole line
	number int    // from 1
	last   bool
}

// sink takes messages.
type sink interface {
	// send hands one message over until deadline. After an error it is called again with the same one.
	send(m message, deadline time.Time) error
	close()
}

const (
	// overhead is about what a message costs beside its text.
	overhead = 64
	// patience is how long a container waits for place in its queue, unless a mode says otherwise.
	patience = 5 * time.Second
	// grace is how long messages that wait may take after the end of their container.
	grace = 3 * time.Second
	// sendTime bounds one attempt to send.
	sendTime = 5 * time.Second
	// Pauses between attempts.
	firstPause = 50 * time.Millisecond
	lastPause  = 5 * time.Second
)

// queue lies between a container and a sink. It never holds up the engine: put waits as long as the mode allows, in the
// goroutine of one stream, and not at all once the container has ended.
type queue struct {
	mode string
	max  int64
	wait time.Duration // patience
	sink sink
	warn func(error)
	done chan struct{} // closed when all was sent or given up

	mu       sync.Mutex
	cond     *sync.Cond
	list     []message
	size     int64
	accepted uint64 // messages that were ever put in
	sent     uint64 // messages that were taken out, whatever became of them
	tired    bool   // somebody waited in vain: until half of the queue is empty, nobody waits
	lost     int    // lines since the last note
	allLost  int
	meter    *atomic.Uint64 // the same, of all queues
	ending   bool           // the process has ended
	closed   bool           // nothing more comes
	deadline time.Time      // when the rest is given up; set with closed
	warned   time.Time
}

func newQueue(o *Options, to sink, warn func(error), lost *atomic.Uint64) *queue {
	q := &queue{mode: o.Mode, max: o.Buffer, wait: patience, sink: to, warn: warn, meter: lost, done: make(chan struct{})}
	if q.max == 0 {
		q.max = defaultBuffer
	}
	q.cond = sync.NewCond(&q.mu)
	go q.run()
	return q
}

// put takes messages over. With mode=blocking it returns when they were sent.
func (q *queue) put(ms []message) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, m := range ms {
		if !q.place(m) {
			q.lost += m.lines
			q.lose(m.lines)
			continue
		}
		if q.lost > 0 {
			q.push(q.note(m.at))
		}
		q.push(m)
	}
	for mine := q.accepted; q.mode == ModeBlocking && q.sent < mine && !q.ending; {
		q.cond.Wait()
	}
}

// push is called with mu held.
func (q *queue) push(m message) {
	q.list = append(q.list, m)
	q.size += int64(len(m.text)) + overhead
	q.accepted++
	q.cond.Broadcast()
}

// place waits for place as long as the mode allows. Called with mu held.
func (q *queue) place(m message) bool {
	fits := func() bool { return len(q.list) == 0 || q.size+int64(len(m.text))+overhead <= q.max }
	waits := func() bool {
		return !q.ending && (q.mode == ModeBlocking || q.mode == "" && !q.tired)
	}
	if fits() || !waits() {
		return fits()
	}
	late := false
	if q.mode != ModeBlocking {
		t := time.AfterFunc(q.wait, func() {
			q.mu.Lock()
			defer q.mu.Unlock()
			late = true
			q.cond.Broadcast()
		})
		defer t.Stop()
	}
	for !fits() && waits() {
		if late {
			q.tired = true
			break
		}
		q.cond.Wait()
	}
	return fits()
}

// note says at the place where it happened how much was lost. Called with mu held.
func (q *queue) note(at time.Time) message {
	n := q.lost
	q.lost = 0
	return message{stream: Stderr, at: at, lines: 1, note: true, text: fmt.Appendf(nil,
		"brig: %d lines of this container were lost here: its log took them too slowly", n)}
}

// run sends what comes, in order.
func (q *queue) run() {
	defer close(q.done)
	defer q.sink.close()
	for {
		m, ok := q.next()
		if !ok {
			return
		}
		q.deliver(m)
		q.mu.Lock()
		q.sent++
		q.cond.Broadcast()
		q.mu.Unlock()
	}
}

// next waits for a message. When no more will come, the last one is a note of what was lost.
func (q *queue) next() (message, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.list) == 0 && q.lost == 0 && !q.closed {
		q.cond.Wait()
	}
	if len(q.list) == 0 && q.lost > 0 {
		q.push(q.note(time.Now()))
	}
	if len(q.list) == 0 {
		q.report()
		return message{}, false
	}
	if q.closed && !time.Now().Before(q.deadline) {
		for _, m := range q.list {
			q.lose(m.lines)
		}
		q.list = nil
		q.report()
		return message{}, false
	}
	m := q.list[0]
	q.list[0] = message{}
	if q.list = q.list[1:]; len(q.list) == 0 {
		q.list = nil // nothing is kept for an idle container
	}
	q.size -= int64(len(m.text)) + overhead
	q.tired = q.tired && q.size > q.max/2
	return m, true
}

// lose counts. Called with mu held.
func (q *queue) lose(lines int) {
	q.allLost += lines
	q.meter.Add(uint64(lines))
}

// report tells the engine's log what was lost in all. Called with mu held.
func (q *queue) report() {
	if q.allLost > 0 {
		q.warn(fmt.Errorf("%d lines did not reach the log: its receiver took them too slowly, or not at all", q.allLost))
	}
}

// deliver tries until it succeeds, or the container has ended and grace is over.
func (q *queue) deliver(m message) {
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		err := q.sink.send(m, time.Now().Add(sendTime))
		if err == nil {
			return
		}
		q.complain(err)
		if !q.rest(pause) {
			q.mu.Lock()
			q.lose(m.lines)
			q.mu.Unlock()
			return
		}
	}
}

// rest waits before the next attempt, and tells whether there is one. The end of the container is a reason to try at once.
func (q *queue) rest(pause time.Duration) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	closed, over := q.closed, false
	if closed {
		pause = min(pause, firstPause)
	}
	t := time.AfterFunc(pause, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		over = true
		q.cond.Broadcast()
	})
	defer t.Stop()
	for !over && q.closed == closed {
		q.cond.Wait()
	}
	return !q.closed || time.Now().Before(q.deadline)
}

// complain says at most once a minute why nothing is sent.
func (q *queue) complain(err error) {
	q.mu.Lock()
	now := time.Now()
	quiet := now.Sub(q.warned) < time.Minute
	if !quiet {
		q.warned = now
	}
	q.mu.Unlock()
	if !quiet {
		q.warn(fmt.Errorf("the log's receiver: %w", err))
	}
}

// end says that the process has ended: nobody waits any more.
func (q *queue) end() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ending = true
	q.cond.Broadcast()
}

// close says that nothing more comes. What waits has a little time, until done is closed.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ending, q.closed = true, true
	q.deadline = time.Now().Add(grace)
	q.cond.Broadcast()
}
