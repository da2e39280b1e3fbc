package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// serve runs Serve with the handler on one end and returns the other; Serve has ended when the test has.
func serve(t *testing.T, handle Handler) *Conn {
	t.Helper()
	a, b := newPair(t)
	done := make(chan error, 1)
	go func() { done <- Serve(b, Known, handle) }()
	t.Cleanup(func() {
		a.Close()
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			t.Error("Serve does not end with its connection")
		}
	})
	return a
}

// ask sends one request and waits for its answer.
func ask(t *testing.T, c *Conn, f Frame, fds ...int) (*Frame, []int) {
	t.Helper()
	if err := c.Send(&f, fds); err != nil {
		t.Fatal(err)
	}
	got, came, err := c.Receive()
	if err != nil {
		t.Fatal(err)
	}
	if got.ID != f.ID {
		t.Errorf("the answer to %d is for %d", f.ID, got.ID)
	}
	return got, came
}

// TestServeRefusesBeforeTheHandler what is not in the list, not built, or comes with descriptors too many or too few.
func TestServeRefusesBeforeTheHandler(t *testing.T) {
	var calls atomic.Int32
	c := serve(t, func(*Request) (Reply, error) { calls.Add(1); return Reply{}, nil })
	before := openFDs(t)
	for _, x := range []struct {
		op    Op
		fds   []int
		class string
		text  string
	}{
		{"", nil, "invalid_argument", "unknown operation"},
		{"container.eat", nil, "invalid_argument", `unknown operation "container.eat"`},
		{"Hello", nil, "invalid_argument", "unknown operation"},
		{"lsm.load", []int{0}, "invalid_argument", `unknown operation "lsm.load"`},
		{OpHello, []int{0}, "invalid_argument", "hello came with 1 descriptors"},
		{OpExecStart, []int{0, 1, 2}, "invalid_argument", "exec.start came with 3 descriptors"},
		{OpContainerCopy, nil, "invalid_argument", "container.copy came with 0 descriptors"},
		{OpContainerCopy, []int{0, 1, 2}, "invalid_argument", "container.copy came with 3 descriptors"},
		{OpWorkerStart, nil, "invalid_argument", "worker.start came with 0 descriptors"},
		{OpWorkerStart, []int{0, 1}, "invalid_argument", "worker.start came with 2 descriptors"},
		{OpContainerStart, []int{0, 1}, "invalid_argument", "container.start came with 2 descriptors"},
	} {
		f, fds := ask(t, c, Frame{ID: 9, Op: x.op}, x.fds...)
		if f.Error == nil || f.Error.Class != x.class || !strings.Contains(f.Error.Text, x.text) || len(fds) != 0 {
			t.Errorf("%q with %d descriptors: %+v, %v", x.op, len(x.fds), f.Error, fds)
		}
	}
	if n := calls.Load(); n != 0 {
		t.Errorf("the handler was called %d times", n)
	}
	settle(t, before)
}

// settle waits until as many descriptors are open as before: the serving side closes after it has answered.
func settle(t *testing.T, want int) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		got := openFDs(t)
		if got == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d descriptors are open, %d were before", got, want)
		}
	}
}

// TestEveryOperationReachesTheHandler with the descriptors that its comment names.
func TestEveryOperationReachesTheHandler(t *testing.T) {
	with := map[Op][]int{OpWorkerStart: {1}, OpContainerStart: {0, 1}, OpContainerPlan: {0, 1}, OpContainerCopy: {1, 2}}
	c := serve(t, func(r *Request) (Reply, error) { return Reply{Body: fmt.Sprint(r.Op, len(r.FDs))}, nil })
	for op := range Known {
		counts := with[op]
		if counts == nil {
			counts = []int{0}
		}
		for _, n := range counts {
			f, _ := ask(t, c, Frame{ID: 1, Op: op}, make([]int, n)...)
			if want := fmt.Sprintf("%q", fmt.Sprint(op, n)); string(f.Body) != want {
				t.Errorf("%s with %d descriptors: %s, %+v", op, n, f.Body, f.Error)
			}
		}
	}
}

// TestDescriptorsOfARequestAreClosedUnlessTaken, also when the handler fails.
func TestDescriptorsOfARequestAreClosedUnlessTaken(t *testing.T) {
	taken := make(chan int, 1)
	c := serve(t, func(r *Request) (Reply, error) {
		var o ObjectRef
		if err := r.Decode(&o); err != nil {
			return Reply{}, err
		}
		if o.Digest == "take" {
			taken <- r.FDs[0]
			r.FDs[0] = -1
		}
		return Reply{}, nil
	})
	before := openFDs(t)
	for body, class := range map[string]string{
		`{}`: "", `{"digest":"take"}`: "", `{"uid":0}`: "invalid_argument", `[]`: "invalid_argument",
	} {
		f, _ := ask(t, c, Frame{ID: 1, Op: OpWorkerStart, Body: json.RawMessage(body)}, 0)
		if got := f.Error; class == "" && got != nil || class != "" && (got == nil || got.Class != class) {
			t.Errorf("%s: %+v", body, got)
		}
	}
	settle(t, before+1)
	unix.Close(<-taken)
	settle(t, before)
}

// TestDescriptorsOfAReplyAreClosed after they were sent.
func TestDescriptorsOfAReplyAreClosed(t *testing.T) {
	c := serve(t, func(r *Request) (Reply, error) {
		fd, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 3)
		return Reply{FDs: []int{fd}}, err
	})
	before := openFDs(t)
	_, fds := ask(t, c, Frame{ID: 1, Op: OpExecStart})
	if len(fds) != 1 {
		t.Errorf("%d descriptors", len(fds))
	}
	CloseAll(fds)
	settle(t, before)
}

// TestReplyThatCannotBeSentIsAnError, not silence, and the connection lives on.
func TestReplyThatCannotBeSentIsAnError(t *testing.T) {
	c := serve(t, func(r *Request) (Reply, error) {
		switch r.Op {
		case OpContainerUpdate:
			return Reply{Body: strings.Repeat("x", MaxBody)}, nil
		case OpContainerList:
			return Reply{FDs: slices.Repeat([]int{-1}, MaxFDs+1)}, nil
		case OpVolumeList:
			return Reply{Body: func() {}}, nil
		case OpExecStart: // a sentence that quotes a stranger
			return Reply{}, fmt.Errorf("%s: %w", strings.Repeat("\x01", MaxBody), errdefs.ErrNotFound)
		}
		return Reply{Body: "fine"}, nil
	})
	for op, want := range map[Op]string{
		OpContainerUpdate: "message too large", OpContainerList: "message too large", OpVolumeList: "unsupported type",
		OpExecStart: "\x01\x01",
	} {
		f, fds := ask(t, c, Frame{ID: 3, Op: op})
		if f.Error == nil || !strings.Contains(f.Error.Text, want) || len(fds) != 0 || len(f.Body) != 0 {
			t.Errorf("%s: %d bytes, %+v", op, len(f.Body), f.Error)
		}
		if op == OpExecStart && f.Error != nil && f.Error.Class != "not_found" {
			t.Errorf("a long error loses its class: %s", f.Error.Class)
		}
	}
	if f, _ := ask(t, c, Frame{ID: 4, Op: OpHello}); string(f.Body) != `"fine"` {
		t.Errorf("afterwards: %s, %+v", f.Body, f.Error)
	}
}

// TestServeEndsAtABrokenPacket: a peer that breaks the rules is not served any more.
func TestServeEndsAtABrokenPacket(t *testing.T) {
	a, b := newPair(t)
	done := make(chan error, 1)
	go func() { done <- Serve(b, Known, func(*Request) (Reply, error) { return Reply{}, nil }) }()
	raw(t, a, []byte(`{"id":1,"op":"hello","uid":0}`))
	select {
	case err := <-done:
		if err == nil || !strings.Contains(err.Error(), "unknown field") {
			t.Errorf("ended with %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("Serve goes on")
	}
}

// TestRequestsUnderWayAreBounded, and one that takes long does not hold up the others before that.
func TestRequestsUnderWayAreBounded(t *testing.T) {
	var now, most atomic.Int32
	release := make(chan struct{})
	c := serve(t, func(r *Request) (Reply, error) {
		if n := now.Add(1); n > most.Load() {
			most.Store(n)
		}
		<-release
		now.Add(-1)
		return Reply{}, nil
	})
	const all = maxUnderWay + 20
	for i := range all {
		if err := c.Send(&Frame{ID: uint64(i), Op: OpHello}, nil); err != nil {
			t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(10 * time.Second); now.Load() < maxUnderWay && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(20 * time.Millisecond) // for one too many to start
	close(release)
	for range all {
		if _, _, err := c.Receive(); err != nil {
			t.Fatal(err)
		}
	}
	if got := most.Load(); got != maxUnderWay {
		t.Errorf("%d requests were under way at once, want %d", got, maxUnderWay)
	}
}

// TestHandlerThatPanicsEndsTheProcess: nothing recovers it, for a state half changed must not be worked on.
func TestHandlerThatPanicsEndsTheProcess(t *testing.T) {
	if os.Getenv("BRIG_TEST_PANIC") != "" {
		c := serve(t, func(*Request) (Reply, error) { panic("the handler's own") })
		ask(t, c, Frame{ID: 1, Op: OpHello})
		return
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestHandlerThatPanicsEndsTheProcess$")
	cmd.Env = append(os.Environ(), "BRIG_TEST_PANIC=1")
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 2 || !strings.Contains(string(out), "panic: the handler's own") {
		t.Errorf("the process ended with %v:\n%s", err, out)
	}
}
