package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/wire"
	"github.com/brig-engine/brig/internal/wire/objects"
)

// newPair makes a client and the warden's end of its connection.
func newPair(t *testing.T) (*Client, *wire.Conn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]*wire.Conn
	for i, fd := range fds {
		if ends[i], err = wire.FileConn(fd, "test"); err != nil {
			t.Fatal(err)
		}
	}
	c := New(ends[0], "the warden")
	t.Cleanup(func() {
		ends[1].Close()
		select {
		case <-c.Done:
		case <-time.After(10 * time.Second):
			t.Error("the client does not notice the end of its connection")
		}
	})
	return c, ends[1]
}

// receive reads the next request; its descriptors are closed.
func receive(t *testing.T, warden *wire.Conn) *wire.Frame {
	t.Helper()
	f, fds, err := warden.Receive()
	wire.CloseAll(fds)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func openFDs(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// settle waits until as many descriptors are open as were before.
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

// TestEachOfManyCallsGetsItsOwnAnswer, in whatever order the answers come.
func TestEachOfManyCallsGetsItsOwnAnswer(t *testing.T) {
	c, warden := newPair(t)
	const calls = 100
	var wg sync.WaitGroup
	for i := range calls {
		wg.Go(func() {
			var got wire.VolumeRef
			name := fmt.Sprint("v", i)
			fds, err := c.Call(context.Background(), wire.OpVolumeCreate, wire.VolumeRef{Name: name}, &got)
			if err != nil || got.Name != name || len(fds) != 0 {
				t.Errorf("%s got %q with %v, %v", name, got.Name, fds, err)
			}
		})
	}
	var asked []*wire.Frame
	for range calls {
		asked = append(asked, receive(t, warden))
	}
	for i := len(asked) - 1; i >= 0; i-- {
		if err := warden.Send(&wire.Frame{ID: asked[i].ID, Body: asked[i].Body}, nil); err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
}

// TestErrorOfTheWardenKeepsItsClass, and descriptors that came with it are closed.
func TestErrorOfTheWardenKeepsItsClass(t *testing.T) {
	c, warden := newPair(t)
	before := openFDs(t)
	go func() {
		f, _, err := warden.Receive()
		if err == nil {
			e := wire.ToError(fmt.Errorf("no such container: %w", errdefs.ErrNotFound))
			warden.Send(&wire.Frame{ID: f.ID, Error: e}, []int{0})
		}
	}()
	fds, err := c.Call(context.Background(), wire.OpContainerRemove, wire.ContainerRef{}, nil)
	if !errdefs.IsNotFound(err) || !strings.HasPrefix(err.Error(), "no such container") || fds != nil {
		t.Errorf("%v, %v", fds, err)
	}
	settle(t, before)
}

// TestAnswerOfAnotherShapeIsAnError, and descriptors that came with it are closed.
func TestAnswerOfAnotherShapeIsAnError(t *testing.T) {
	c, warden := newPair(t)
	before := openFDs(t)
	go func() {
		for _, body := range []string{`{"digest":"x","owner":0}`, `[]`, ``} {
			f, _, err := warden.Receive()
			if err != nil {
				return
			}
			warden.Send(&wire.Frame{ID: f.ID, Body: json.RawMessage(body)}, []int{0})
		}
	}()
	for range 3 {
		if fds, err := c.Call(context.Background(), objects.Open, nil, &objects.Object{}); err == nil || fds != nil {
			t.Errorf("%v, %v", fds, err)
		}
	}
	settle(t, before)
}

// TestLateAnswersDescriptorsAreClosed: the caller gave up, and nobody else gets what was for it.
func TestLateAnswersDescriptorsAreClosed(t *testing.T) {
	c, warden := newPair(t)
	before := openFDs(t)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		_, err := c.Call(ctx, objects.Create, nil, nil)
		ended <- err
	}()
	late := receive(t, warden)
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the call ended with %v", err)
	}
	for _, id := range []uint64{late.ID, late.ID, 0, 99} { // late, twice, and for calls that never were
		if err := warden.Send(&wire.Frame{ID: id}, []int{0, 1}); err != nil {
			t.Fatal(err)
		}
	}
	go func() {
		f, _, err := warden.Receive()
		if err == nil {
			warden.Send(&wire.Frame{ID: f.ID}, []int{0})
		}
	}()
	fds, err := c.Call(context.Background(), objects.Create, nil, nil)
	if err != nil || len(fds) != 1 {
		t.Errorf("the next call: %v, %v", fds, err)
	}
	wire.CloseAll(fds)
	settle(t, before)
}

// TestAnswerAndEndOfTheContextAtOnceLeakNothing, whoever wins.
func TestAnswerAndEndOfTheContextAtOnceLeakNothing(t *testing.T) {
	c, warden := newPair(t)
	before := openFDs(t)
	for range 200 {
		ctx, cancel := context.WithCancel(context.Background())
		go func() {
			f, _, err := warden.Receive()
			if err == nil {
				go cancel()
				warden.Send(&wire.Frame{ID: f.ID}, []int{0})
			}
		}()
		fds, err := c.Call(ctx, objects.Create, nil, nil)
		if err != nil && !errors.Is(err, context.Canceled) || (err == nil) != (len(fds) == 1) {
			t.Fatalf("%v, %v", fds, err)
		}
		wire.CloseAll(fds)
		cancel()
	}
	settle(t, before)
}

// TestEndOfTheConnectionFailsEveryCall under way and every later one as unavailable.
func TestEndOfTheConnectionFailsEveryCall(t *testing.T) {
	c, warden := newPair(t)
	ended := make(chan error, 10)
	for range cap(ended) {
		go func() {
			_, err := c.Call(context.Background(), wire.OpProcessFinish, wire.ProcessRef{ID: "x"}, &wire.Exit{})
			ended <- err
		}()
	}
	for range cap(ended) {
		receive(t, warden)
	}
	warden.Close()
	for range cap(ended) {
		if err := <-ended; !errdefs.IsUnavailable(err) || !strings.Contains(err.Error(), "the warden is gone") {
			t.Errorf("a call under way ended with %v", err)
		}
	}
	<-c.Done
	if _, err := c.Call(context.Background(), wire.OpHello, nil, nil); !errdefs.IsUnavailable(err) {
		t.Errorf("a later call: %v", err)
	}
}

// TestGivenDescriptorsAreClosedInAnyCase, and those of Call stay open: the warden refuses to seal a file with a writer.
func TestGivenDescriptorsAreClosedInAnyCase(t *testing.T) {
	c, warden := newPair(t)
	dup := func() int {
		fd, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			t.Fatal(err)
		}
		return fd
	}
	closed := func(fd int) bool {
		_, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		return err != nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	given, lent := dup(), dup()
	defer unix.Close(lent)
	go func() {
		f, fds, err := warden.Receive()
		wire.CloseAll(fds)
		if err != nil || len(fds) != 1 {
			t.Errorf("sent with %v, %v", fds, err)
			return
		}
		for deadline := time.Now().Add(5 * time.Second); !closed(given); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Error("what was given is open while the answer is awaited")
				break
			}
		}
		warden.Send(&wire.Frame{ID: f.ID}, nil)
		_, fds, _ = warden.Receive()
		wire.CloseAll(fds)
		cancel()
	}()
	before := openFDs(t)
	if _, err := c.Give(context.Background(), objects.Seal, wire.ObjectRef{}, nil, given); err != nil {
		t.Error(err)
	}
	settle(t, before-1)
	_, err := c.Call(ctx, objects.Seal, wire.ObjectRef{}, nil, lent)
	if !errors.Is(err, context.Canceled) || closed(lent) {
		t.Errorf("%v; what was lent is closed: %v", err, closed(lent))
	}
	for name, request := range map[string]any{
		"cannot be encoded": func() {}, "too large": strings.Repeat("x", wire.MaxBody),
	} {
		before := openFDs(t)
		if _, err := c.Give(context.Background(), objects.Seal, request, nil, dup()); err == nil {
			t.Errorf("%s: sent", name)
		}
		settle(t, before)
	}
	warden.Close()
	<-c.Done
	before = openFDs(t)
	if _, err := c.Give(context.Background(), objects.Seal, nil, nil, dup()); !errdefs.IsUnavailable(err) {
		t.Errorf("after the end: %v", err)
	}
	settle(t, before)
}
