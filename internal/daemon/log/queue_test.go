package log

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// fakeSink takes what it is given while open is set, and otherwise hangs until the deadline.
type fakeSink struct {
	mu     sync.Mutex
	cond   *sync.Cond
	open   bool
	fail   bool
	got    []string
	closed bool
}

func newFakeSink(open bool) *fakeSink {
	f := &fakeSink{open: open}
	f.cond = sync.NewCond(&f.mu)
	return f
}

func (f *fakeSink) send(m message, deadline time.Time) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := time.AfterFunc(time.Until(deadline), f.cond.Broadcast)
	defer t.Stop()
	for !f.open && !f.fail && time.Now().Before(deadline) {
		f.cond.Wait()
	}
	if !f.open {
		return errors.New("the receiver hangs")
	}
	f.got = append(f.got, string(m.text))
	return nil
}

func (f *fakeSink) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
}

func (f *fakeSink) set(open bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open = open
	f.cond.Broadcast()
}

func (f *fakeSink) text() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.got, " ")
}

func put(q *queue, words ...string) {
	for _, w := range words {
		q.put([]message{{stream: Stdout, at: time.Now(), text: []byte(w), lines: 1}})
	}
}

func testQueue(t *testing.T, s *fakeSink, mode string, places int64) (*queue, func() string) {
	var mu sync.Mutex
	var warned []string
	q := newQueue(&Options{Mode: mode, Buffer: places * (overhead + 1)}, s, func(err error) {
		mu.Lock()
		defer mu.Unlock()
		warned = append(warned, err.Error())
	}, &atomic.Uint64{})
	t.Cleanup(func() { s.set(true); q.close(); <-q.done })
	return q, func() string { mu.Lock(); defer mu.Unlock(); return strings.Join(warned, "\n") }
}

func ended(t *testing.T, q *queue) {
	t.Helper()
	q.close()
	select {
	case <-q.done:
	case <-time.After(grace + 2*sendTime):
		t.Fatal("the queue does not end")
	}
}

func TestAllArriveInOrder(t *testing.T) {
	for _, mode := range []string{"", ModeBlocking, ModeNonBlocking} {
		s := newFakeSink(true)
		q, warned := testQueue(t, s, mode, 100)
		put(q, "a", "b", "c")
		if mode == ModeBlocking && s.text() != "a b c" {
			t.Errorf("put returned before it was sent: %q", s.text())
		}
		ended(t, q)
		if s.text() != "a b c" || !s.closed || warned() != "" {
			t.Errorf("%q: %q, closed %v, %s", mode, s.text(), s.closed, warned())
		}
	}
}

// TestAHangingReceiverHoldsUpNobodyForever: what does not fit is counted, and said where it is missing.
func TestAHangingReceiverHoldsUpNobodyForever(t *testing.T) {
	for mode, slow := range map[string]bool{"": true, ModeNonBlocking: false} {
		s := newFakeSink(false)
		q, warned := testQueue(t, s, mode, 3)
		q.wait = 200 * time.Millisecond
		start := time.Now()
		put(q, "a")
		for { // a is being sent
			q.mu.Lock()
			n := len(q.list)
			q.mu.Unlock()
			if n == 0 {
				break
			}
			time.Sleep(time.Millisecond)
		}
		put(q, "b", "c", "d", "e", "f", "g", "h")
		took := time.Since(start)
		if took > 2*time.Second || slow && took < q.wait { // it waits once, and not for each
			t.Errorf("%q: it took %v", mode, took)
		}
		s.set(true)
		for s.text() != "a b c d" && !strings.Contains(s.text(), "lost") {
			time.Sleep(time.Millisecond)
		}
		put(q, "i")
		ended(t, q)
		want := "a b c d brig: 4 lines of this container were lost here: its log took them too slowly i"
		if s.text() != want {
			t.Errorf("%q: %q, want %q", mode, s.text(), want)
		}
		if !strings.Contains(warned(), "4 lines did not reach the log") {
			t.Errorf("%q: warned %q", mode, warned())
		}
	}
}

// TestBlockingWaitsUntilTheProcessEnds, which nothing holds up.
func TestBlockingWaitsUntilTheProcessEnds(t *testing.T) {
	s := newFakeSink(false)
	s.fail = true
	q, warned := testQueue(t, s, ModeBlocking, 2)
	q.wait = time.Millisecond
	done := make(chan struct{})
	go func() { defer close(done); put(q, "a", "b") }()
	select {
	case <-done:
		t.Fatal("it did not wait")
	case <-time.After(300 * time.Millisecond):
	}
	q.end()
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		t.Fatal("the end of the process does not free it")
	}
	start := time.Now()
	ended(t, q)
	if took := time.Since(start); took > grace+time.Second {
		t.Errorf("the rest was tried for %v", took)
	}
	if !strings.Contains(warned(), "the receiver hangs") || !strings.Contains(warned(), "2 lines did not reach the log") {
		t.Errorf("warned: %q", warned())
	}
}

// TestAReceiverThatComesBackGetsTheRest, also when that is after the end of the container.
func TestAReceiverThatComesBackGetsTheRest(t *testing.T) {
	s := newFakeSink(false)
	s.fail = true
	q, _ := testQueue(t, s, "", 100)
	put(q, "a", "b")
	time.Sleep(400 * time.Millisecond)
	q.close()
	s.set(true)
	<-q.done
	if s.text() != "a b" {
		t.Errorf("%q", s.text())
	}
}

func TestFilesOfANonBlockingLogAreCompleteAtItsEnd(t *testing.T) {
	for _, driver := range []string{DriverJSON, DriverLocal} {
		l := New(t.TempDir()+"/log", Options{Driver: driver, MaxSize: 1 << 20, MaxFiles: 2, Mode: ModeNonBlocking, Buffer: 1 << 20},
			Source{})
		l.Begin()
		want := ""
		for i := range 500 {
			line := fmt.Sprintf("line %d\n", i)
			want += line
			if err := l.Append(Stdout, time.Now(), []byte(line)); err != nil {
				t.Fatal(err)
			}
		}
		l.Ending()
		l.End()
		if got := text(t, l, both(-1)); got != want {
			t.Errorf("%s: %d bytes of %d", driver, len(got), len(want))
		}
	}
}
