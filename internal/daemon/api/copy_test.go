package api

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/wire"
	"github.com/brig-engine/brig/internal/wire/jobs"
)

// copy answers as a worker would, which has ended by then.
func (f *fakeWarden) copy(r *wire.Request) (wire.Reply, error) {
	var q wire.ContainerStart
	if err := r.Decode(&q); err != nil {
		return wire.Reply{}, err
	}
	f.mu.Lock()
	asked, copier := f.asked, f.copier
	f.mu.Unlock()
	if asked != nil {
		asked()
	}
	if copier == nil {
		return wire.Reply{}, fmt.Errorf("nothing looks into containers here: %w", errdefs.ErrNotImplemented)
	}
	f.mu.Lock()
	f.gone[q.ID] = true // it has a directory from now on
	f.mu.Unlock()
	job := r.FDs[0]
	r.FDs[0] = -1
	conn, err := wire.FileConn(job, "brigd")
	if err != nil {
		return wire.Reply{}, err
	}
	if copier == nil { // for who asks for sizes, which are unknown then
		copier = func(string, *jobs.Task) (*jobs.Result, error) { return nil, errors.New("this test copies nothing") }
	}
	go func() {
		defer conn.Close()
		task, err := jobs.Read(conn, func() {})
		if err != nil {
			return
		}
		r, err := copier(q.ID, task)
		for _, file := range task.Files {
			file.Close()
		}
		_ = task.Done(r, err) // brigd may not wait for it
	}()
	worker := exec.Command("true")
	if err := worker.Start(); err != nil {
		return wire.Reply{}, err
	}
	fd, err := unix.PidfdOpen(worker.Process.Pid, 0)
	_ = worker.Wait()
	return wire.Reply{FDs: []int{fd}}, err
}

func copied() (*jobs.Result, error) {
	return &jobs.Result{Tree: &jobs.TreeResult{Stat: &jobs.PathStat{}}}, nil
}

// later does a request and tells its status.
func later(t *testing.T, socket, method, path string) <-chan int {
	done := make(chan int, 1)
	go func() {
		code, _ := call(t, socket, method, path, "")
		done <- code
	}()
	return done
}

// A commit is of one moment: two of one container do not share a pause that ends with the first, and one whose container was
// let go on, or started, meanwhile is no commit.
func TestACommitIsOfOneMoment(t *testing.T) {
	f := newFakeWarden(t)
	s := startDaemon(t, f, t.TempDir()).socket
	id := create(t, s, "sleep 100", "")
	at, commit := "/containers/"+id, "/commit?container="+id
	must(t, s, 204, "POST", at+"/start", "")
	began, end := make(chan bool), make(chan bool)
	f.copier = func(id string, _ *jobs.Task) (*jobs.Result, error) {
		f.mu.Lock()
		frozen := f.use.frozen[id]
		f.mu.Unlock()
		began <- frozen
		<-end
		f.mu.Lock()
		frozen = frozen && f.use.frozen[id]
		f.mu.Unlock()
		if !frozen {
			return nil, fmt.Errorf("it moves")
		}
		return copied()
	}
	first := later(t, s, "POST", commit)
	<-began
	second := later(t, s, "POST", commit)
	select {
	case <-began:
		t.Error("two commits read at once, and only one of them has paused")
	case <-time.After(200 * time.Millisecond):
	}
	end <- true
	if code := <-first; code != 201 {
		t.Errorf("the first commit: %d", code)
	}
	if frozen := <-began; !frozen {
		t.Error("the second commit reads a container that moves")
	}
	end <- true
	if code := <-second; code != 201 {
		t.Errorf("the second commit: %d", code)
	}
	f.mu.Lock()
	f.copier = func(string, *jobs.Task) (*jobs.Result, error) {
		began <- true
		<-end
		return copied()
	}
	f.mu.Unlock()
	during := func(what string, want int, state string, do func()) {
		t.Helper()
		c := later(t, s, "POST", commit)
		<-began
		do()
		end <- true
		if code, now := <-c, string(inspected(t, s, id).State.Status); code != want || now != state {
			t.Errorf("%s during a commit: status %d, and it is %s", what, code, now)
		}
	}
	unpause := func() { must(t, s, 204, "POST", at+"/unpause", "") }
	pause := func() { must(t, s, 204, "POST", at+"/pause", "") }
	during("nothing", 201, "running", func() {})
	during("unpause", 409, "running", unpause)
	during("unpause and pause", 409, "paused", func() { unpause(); pause() })
	during("nothing, while it is paused,", 201, "paused", func() {})
	during("unpause of what was paused before", 409, "running", unpause)
	must(t, s, 204, "POST", at+"/kill", "")
	eventually(t, "its end", func() bool { return inspected(t, s, id).State.Status == "exited" })
	during("start", 409, "running", func() { must(t, s, 204, "POST", at+"/start", "") })
}

// A copy that comes to the warden after the removal of its container makes it anew there: brigd has it removed again.
func TestACopyBringsNoContainerBack(t *testing.T) {
	f := newFakeWarden(t)
	s := startDaemon(t, f, t.TempDir()).socket
	id := create(t, s, "true", "")
	asked, goOn := make(chan bool), make(chan bool)
	f.gone[id] = true
	f.asked = func() { asked <- true; <-goOn }
	f.copier = func(string, *jobs.Task) (*jobs.Result, error) { return copied() }
	done := later(t, s, "HEAD", "/containers/"+id+"/archive?path=/x")
	<-asked
	must(t, s, 204, "DELETE", "/containers/"+id, "")
	eventually(t, "its removal", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return !f.gone[id]
	})
	goOn <- true
	<-done
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.gone[id] {
		t.Error("the warden still has it")
	}
}

func TestCopiesWaitForAPlace(t *testing.T) {
	f := newFakeWarden(t)
	s := startDaemon(t, f, t.TempDir()).socket
	var now, most atomic.Int32
	f.copier = func(string, *jobs.Task) (*jobs.Result, error) {
		n := now.Add(1)
		defer now.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		time.Sleep(100 * time.Millisecond)
		return copied()
	}
	var waiting []<-chan int
	for i := range 12 {
		id := create(t, s, "sleep 100", "")
		must(t, s, 204, "POST", "/containers/"+id+"/start", "")
		for range 4 {
			waiting = append(waiting, later(t, s, "GET", "/containers/"+id+"/changes"))
		}
		if i > 0 {
			continue
		}
		for _, w := range waiting {
			<-w
		}
		if n := most.Load(); n != maxOfOne {
			t.Errorf("%d copies of one container at once", n)
		}
		waiting = nil
	}
	for _, w := range waiting {
		if code := <-w; code != 200 {
			t.Errorf("status %d", code)
		}
	}
	if n := most.Load(); n != maxOfAll {
		t.Errorf("%d copies at once", n)
	}
}

// What internal/daemon/container has.
const maxOfAll, maxOfOne = 8, 2

// A client that takes nothing, sends nothing, or sends without end, keeps a worker for a while, and no longer.
func TestAClientThatStallsIsCutOff(t *testing.T) {
	before, spill := stalled, spillFor
	stalled, spillFor = 200*time.Millisecond, 200*time.Millisecond
	t.Cleanup(func() { stalled, spillFor = before, spill })
	f := newFakeWarden(t)
	s := startDaemon(t, f, t.TempDir()).socket
	id := create(t, s, "sleep 100", "")
	must(t, s, 204, "POST", "/containers/"+id+"/start", "")
	ended := make(chan error, 1)
	dial := func(request string) net.Conn {
		c, err := net.Dial("unix", s)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		fmt.Fprintf(c, request, id)
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		return c
	}
	over := func(what string) {
		t.Helper()
		select {
		case <-ended:
		case <-time.After(5 * time.Second):
			t.Errorf("%s keeps its worker", what)
		}
	}
	f.copier = func(_ string, task *jobs.Task) (*jobs.Result, error) {
		_, err := task.Files[0].Write(make([]byte, 16<<20))
		ended <- err
		return copied()
	}
	dial("GET /containers/%s/export HTTP/1.1\r\nHost: x\r\n\r\n")
	over("one that takes nothing")
	f.mu.Lock()
	f.copier = func(_ string, task *jobs.Task) (*jobs.Result, error) {
		_, err := io.ReadAll(task.Files[0])
		ended <- err
		return copied()
	}
	f.mu.Unlock()
	c := dial("PUT /containers/%s/archive?path=/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nbegin")
	over("one that sends nothing")
	if b := make([]byte, 1000); true {
		n, err := c.Read(b)
		if !strings.HasPrefix(string(b[:n]), "HTTP/1.1 400") {
			t.Errorf("it was told %q %v", b[:n], err)
		}
	}
	f.mu.Lock()
	f.copier = func(string, *jobs.Task) (*jobs.Result, error) { return copied() }
	f.mu.Unlock()
	c = dial("PUT /containers/%s/archive?path=/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
	go func() {
		for {
			if _, err := fmt.Fprintf(c, "5\r\nhello\r\n"); err != nil {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
	if b := make([]byte, 1000); true {
		if n, err := c.Read(b); !strings.HasPrefix(string(b[:n]), "HTTP/1.1 200") {
			t.Errorf("one that sends without end was told %q %v", b[:n], err)
		}
	}
}

// Nobody can look after a container that stands still: that it does is no sign of illness.
func TestAPauseIsNoIllness(t *testing.T) {
	f := newFakeWarden(t)
	s := startDaemon(t, f, t.TempDir()).socket
	id, file := checked(t, s, "")
	touch(t, file)
	must(t, s, 204, "POST", "/containers/"+id+"/start", "")
	eventually(t, "it is healthy", func() bool { return healthNow(t, s, id) == "healthy" })
	must(t, s, 204, "POST", "/containers/"+id+"/pause", "")
	time.Sleep(time.Second)
	if h := inspected(t, s, id).State.Health; h.Status != "healthy" || h.FailingStreak != 0 {
		t.Errorf("while it is paused: %+v", h)
	}
	must(t, s, 204, "POST", "/containers/"+id+"/unpause", "")
	log := inspected(t, s, id).State.Health.Log
	eventually(t, "the next probe", func() bool {
		now := inspected(t, s, id).State.Health
		return now.Status == "healthy" && now.Log[len(now.Log)-1].Start.After(log[len(log)-1].Start)
	})
}
