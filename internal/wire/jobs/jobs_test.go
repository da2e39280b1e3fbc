package jobs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/wire"
	"github.com/brig-engine/brig/internal/wire/client"
)

// jobPair gives the two ends of a connection between brigd and a worker.
func jobPair(t *testing.T) (daemon, worker *wire.Conn) {
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
		t.Cleanup(func() { ends[i].Close() })
	}
	return ends[0], ends[1]
}

var exportJob = &Job{Kind: Export, Export: &ExportParams{DataSize: 4096}}

// TestJobCarriesFilesAndProgress: descriptors go with the job and on request, progress comes back, then the result.
func TestJobCarriesFilesAndProgress(t *testing.T) {
	daemon, worker := jobPair(t)
	go func() {
		task, err := Read(worker, func() {})
		if err != nil {
			t.Error(err)
			return
		}
		task.Progress(1, 2)
		f, err := task.File("more", 7)
		if err != nil || len(task.Files) != 1 {
			task.Done(nil, fmt.Errorf("%v, %d files", err, len(task.Files)))
			return
		}
		defer f.Close()
		if _, err := task.File("never", 0); !errdefs.IsNotFound(err) {
			task.Done(nil, fmt.Errorf("a refusal came as %v", err))
			return
		}
		b, err := io.ReadAll(io.MultiReader(task.Files[0], f))
		task.Done(&Result{Export: &ExportResult{DiffID: string(b), Size: 3}}, err)
	}()
	file := func(text string) *os.File {
		f, err := os.CreateTemp(t.TempDir(), "f")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		f.WriteString(text)
		f.Seek(0, io.SeekStart)
		return f
	}
	first, more := file("first "), file("more")
	var progress []Progress
	r, err := Run(context.Background(), daemon, exportJob, []int{int(first.Fd())}, Host{
		Progress: func(p Progress) { progress = append(progress, p) },
		File: func(f File) (int, error) {
			if f == (File{Name: "more", Size: 7}) {
				return int(more.Fd()), nil
			}
			return -1, fmt.Errorf("no %s: %w", f.Name, errdefs.ErrNotFound)
		},
	})
	if err != nil || r.Export.DiffID != "first more" {
		t.Fatalf("%+v, %v", r, err)
	}
	if len(progress) != 1 || progress[0] != (Progress{1, 2}) {
		t.Errorf("progress %v", progress)
	}
}

// TestLargeResultsArrive: a result over the size of a packet travels in a memory file; one over the limit is an error.
func TestLargeResultsArrive(t *testing.T) {
	for size, ok := range map[int]bool{10: true, wire.MaxInline: true, 3 << 20: true, wire.MaxBody: false} {
		daemon, worker := jobPair(t)
		go func() {
			task, err := Read(worker, func() {})
			if err == nil {
				err = task.Done(&Result{Export: &ExportResult{DiffID: strings.Repeat("x", size)}}, nil)
			}
			if err != nil {
				t.Error(err)
			}
		}()
		r, err := Run(context.Background(), daemon, exportJob, nil, Host{})
		if ok && (err != nil || len(r.Export.DiffID) != size) || !ok && !errdefs.IsResourceExhausted(err) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

// TestConqueredWorkerGetsNothing: a worker that breaks the protocol ends its job with an error, and nothing else.
func TestConqueredWorkerGetsNothing(t *testing.T) {
	raw := func(v any) json.RawMessage { b, _ := json.Marshal(v); return b }
	for name, frames := range map[string][]wire.Frame{
		"silence":              {},
		"another operation":    {{Op: wire.OpHello}},
		"an unknown operation": {{Op: "job.own"}},
		"another kind":         {{Body: raw(Result{Check: &CheckResult{}})}},
		"two kinds":            {{Body: raw(Result{Check: &CheckResult{}, Export: &ExportResult{}})}},
		"no result":            {{Body: raw(Result{})}},
		"no body":              {{}},
		"unknown fields":       {{Body: []byte(`{"export":{"diffID":"","size":0,"extra":1}}`)}},
		"malformed progress":   {{Op: opProgress, Body: []byte(`{"done":"x"}`)}},
		"malformed request":    {{Op: opFile, Body: []byte(`[]`)}},
	} {
		daemon, worker := jobPair(t)
		go func() {
			if _, fds, err := worker.Receive(); err == nil {
				wire.CloseAll(fds)
			}
			for i := range frames {
				worker.Send(&frames[i], nil)
			}
			worker.Close()
		}()
		if r, err := Run(context.Background(), daemon, exportJob, nil, Host{}); err == nil {
			t.Errorf("%s: passed with %+v", name, r)
		}
	}
}

// TestFileRequestsAreBounded: a worker cannot make brigd open files for ever.
func TestFileRequestsAreBounded(t *testing.T) {
	daemon, worker := jobPair(t)
	go func() {
		task, err := Read(worker, func() {})
		for n := 0; err == nil && n < maxRequests+10; n++ {
			if _, ferr := task.File("x", 0); ferr != nil && !errdefs.IsInvalidArgument(ferr) {
				err = ferr
			}
		}
	}()
	count := 0
	_, err := Run(context.Background(), daemon, exportJob, nil, Host{File: func(File) (int, error) {
		count++
		return -1, errdefs.ErrInvalidArgument
	}})
	if err == nil || count > maxRequests {
		t.Errorf("%d requests, %v", count, err)
	}
}

// TestCancelledJobEndsTheWorker: the worker notices that its connection is gone.
func TestCancelledJobEndsTheWorker(t *testing.T) {
	daemon, worker := jobPair(t)
	gone := make(chan bool, 1)
	go func() {
		if _, err := Read(worker, func() { gone <- true }); err != nil {
			t.Error(err)
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := Run(ctx, daemon, exportJob, nil, Host{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	select {
	case <-gone:
	case <-time.After(5 * time.Second):
		t.Error("the worker was not told")
	}
}

// TestDecodeJobIsStrict: exactly the parameters of the kind, nothing unknown.
func TestDecodeJobIsStrict(t *testing.T) {
	for body, ok := range map[string]bool{
		`{"kind":"export","limits":{},"export":{"dataSize":1}}`:                   true,
		`{"kind":"dns","limits":{},"dns":{"listen":1,"streams":0,"upstreams":1}}`: true,
		`{"kind":"fill","limits":{"maxEntries":5},"fill":{}}`:                     true,
		`{}`:                            false,
		`{"kind":"export","limits":{}}`: false,
		`{"kind":"own","limits":{}}`:    false,
		`{"kind":"export","limits":{},"export":{},"check":{"devices":null}}`: false,
		`{"kind":"export","limits":{},"check":{"devices":null}}`:             false,
		`{"kind":"export","limits":{},"export":{},"more":1}`:                 false,
		`{"kind":"export","limits":{},"export":{}} {}`:                       false,
		`[]`: false,
	} {
		j, err := Decode([]byte(body))
		if (err == nil) != ok {
			t.Errorf("%s: %v", body, err)
		}
		if ok && (j.Limits.MaxBytes <= 0 || j.Limits.MaxEntries <= 0 || j.Limits.MaxIndexBytes <= 0) {
			t.Errorf("%s: limits %+v", body, j.Limits)
		}
	}
}

// FuzzDecodeJob: whatever is accepted has one kind, its parameters, and limits; and means the same when it is sent on.
func FuzzDecodeJob(f *testing.F) {
	f.Add([]byte(`{"kind":"merge","limits":{"maxBytes":-1},"merge":{"layers":[{"dataSize":4096}]}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		j, err := Decode(b)
		if err != nil {
			return
		}
		if j.Limits != j.Limits.WithDefaults() {
			t.Errorf("limits %+v", j.Limits)
		}
		first, err := json.Marshal(j)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Decode(first)
		second, _ := json.Marshal(again)
		if err != nil || !bytes.Equal(first, second) {
			t.Errorf("%s became %s (%v)", first, second, err)
		}
	})
}

// TestErrandsOfTheWardenAreJobs: what the warden sends means the same to a worker, and ends only with its one answer.
func TestErrandsOfTheWardenAreJobs(t *testing.T) {
	for name, tc := range map[string]struct {
		errand wire.Errand
		answer func(*Task) error
		ok     bool
	}{
		"fill": {wire.Errand{Kind: wire.JobFill, Fill: &struct{}{}},
			func(k *Task) error { return k.Done(&Result{}, nil) }, true},
		"error": {wire.Errand{Kind: wire.JobFill, Fill: &struct{}{}},
			func(k *Task) error { return k.Done(nil, errdefs.ErrDataLoss) }, false},
		"a worker that asks": {wire.Errand{Kind: wire.JobFill, Fill: &struct{}{}},
			func(k *Task) error { k.File("more", 0); return nil }, false},
		"silence": {wire.Errand{Kind: wire.JobFill, Fill: &struct{}{}},
			func(k *Task) error { return k.conn.Close() }, false},
	} {
		daemon, worker := jobPair(t)
		go func() {
			task, err := Read(worker, func() {})
			if err == nil && (task.Kind != tc.errand.Kind || task.Limits != Limits{}.WithDefaults()) {
				err = fmt.Errorf("arrived as %+v", task.Job)
			}
			if err == nil {
				err = tc.answer(task)
			}
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}()
		c := client.New(daemon, "the worker")
		if _, err := c.Call(context.Background(), wire.OpJob, tc.errand, nil); (err == nil) != tc.ok {
			t.Errorf("%s: %v", name, err)
		}
		c.Close()
	}
}

// TestSilentWorkerDoesNotHoldTheWarden: an errand ends when its time is over, and the worker sees the end.
func TestSilentWorkerDoesNotHoldTheWarden(t *testing.T) {
	daemon, worker := jobPair(t)
	c := client.New(daemon, "the worker")
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	e := wire.Errand{Kind: wire.JobFill, Fill: &struct{}{}}
	if _, err := c.Call(ctx, wire.OpJob, e, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	c.Close()
	if f, _, err := worker.Receive(); err != nil || f.Op != wire.OpJob {
		t.Errorf("the job arrived as %+v, %v", f, err)
	}
	if f, _, err := worker.Receive(); err == nil {
		t.Errorf("the connection lives on: %+v", f)
	}
}

// TestNamesReachTheForwarderInTheirOrder, and are an error for every other job.
func TestNamesReachTheForwarderInTheirOrder(t *testing.T) {
	for _, job := range []*Job{{Kind: DNS, DNS: &DNSParams{Names: true}}, {Kind: DNS, DNS: &DNSParams{}}, exportJob} {
		daemon, worker := jobPair(t)
		ended := make(chan bool, 1)
		go Run(context.Background(), daemon, job, nil, Host{Names: func(_ context.Context, send func(Names) error) {
			for i := range 3 {
				if err := send(Names{Networks: []NamesIn{{ID: fmt.Sprint(i)}}}); err != nil {
					return
				}
			}
		}})
		task, err := Read(worker, func() { ended <- true })
		if err != nil {
			t.Fatal(err)
		}
		if job.DNS == nil || !job.DNS.Names {
			select {
			case <-ended:
			case <-time.After(5 * time.Second):
				t.Errorf("the job %s took names", job.Kind)
			}
			continue
		}
		for i := range 3 {
			if n := <-task.Names; n.Networks[0].ID != fmt.Sprint(i) {
				t.Errorf("names %v in place of %d", n, i)
			}
		}
		select { // whoever hears no more ends, so that there is another one
		case <-ended:
		case <-time.After(5 * time.Second):
			t.Error("a job goes on without names")
		}
	}
}
