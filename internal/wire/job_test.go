package wire

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
)

// jobPair gives the two ends of a connection between brigd and a worker.
func jobPair(t *testing.T) (daemon, worker *Conn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]*Conn
	for i, fd := range fds {
		if ends[i], err = FileConn(fd, "test"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ends[i].Close() })
	}
	return ends[0], ends[1]
}

var exportJob = &Job{Kind: JobExport, Export: &JobExportParams{DataSize: 4096}}

// TestJobCarriesFilesAndProgress: descriptors go with the job and on request, progress comes back, then the result.
func TestJobCarriesFilesAndProgress(t *testing.T) {
	daemon, worker := jobPair(t)
	go func() {
		task, err := ReadJob(worker, func() {})
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
		task.Done(&JobResult{Export: &JobExportResult{DiffID: string(b), Size: 3}}, err)
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
	var progress []JobProgress
	r, err := RunJob(context.Background(), daemon, exportJob, []int{int(first.Fd())}, JobHost{
		Progress: func(p JobProgress) { progress = append(progress, p) },
		File: func(f JobFile) (int, error) {
			if f == (JobFile{"more", 7}) {
				return int(more.Fd()), nil
			}
			return -1, fmt.Errorf("no %s: %w", f.Name, errdefs.ErrNotFound)
		},
	})
	if err != nil || r.Export.DiffID != "first more" {
		t.Fatalf("%+v, %v", r, err)
	}
	if len(progress) != 1 || progress[0] != (JobProgress{1, 2}) {
		t.Errorf("progress %v", progress)
	}
}

// TestLargeResultsArrive: a result over the size of a packet travels in a memory file; one over the limit is an error.
func TestLargeResultsArrive(t *testing.T) {
	for size, ok := range map[int]bool{10: true, MaxInline: true, 3 << 20: true, MaxBody: false} {
		daemon, worker := jobPair(t)
		go func() {
			task, err := ReadJob(worker, func() {})
			if err == nil {
				err = task.Done(&JobResult{Export: &JobExportResult{DiffID: strings.Repeat("x", size)}}, nil)
			}
			if err != nil {
				t.Error(err)
			}
		}()
		r, err := RunJob(context.Background(), daemon, exportJob, nil, JobHost{})
		if ok && (err != nil || len(r.Export.DiffID) != size) || !ok && !errdefs.IsResourceExhausted(err) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

// TestConqueredWorkerGetsNothing: a worker that breaks the protocol ends its job with an error, and nothing else.
func TestConqueredWorkerGetsNothing(t *testing.T) {
	raw := func(v any) json.RawMessage { b, _ := json.Marshal(v); return b }
	for name, frames := range map[string][]frame{
		"silence":              {},
		"another operation":    {{Op: OpHello}},
		"an unknown operation": {{Op: "job.own"}},
		"another kind":         {{Op: opJobDone, Body: raw(JobResult{Check: &JobCheckResult{}})}},
		"two kinds":            {{Op: opJobDone, Body: raw(JobResult{Check: &JobCheckResult{}, Export: &JobExportResult{}})}},
		"no result":            {{Op: opJobDone, Body: raw(JobResult{})}},
		"no body":              {{Op: opJobDone}},
		"unknown fields":       {{Op: opJobDone, Body: []byte(`{"export":{"diffID":"","size":0,"extra":1}}`)}},
		"malformed progress":   {{Op: opJobProgress, Body: []byte(`{"done":"x"}`)}},
		"malformed request":    {{Op: opJobFile, Body: []byte(`[]`)}},
	} {
		daemon, worker := jobPair(t)
		go func() {
			if _, fds, err := worker.receive(); err == nil {
				CloseAll(fds)
			}
			for i := range frames {
				worker.send(&frames[i], nil)
			}
			worker.Close()
		}()
		if r, err := RunJob(context.Background(), daemon, exportJob, nil, JobHost{}); err == nil {
			t.Errorf("%s: passed with %+v", name, r)
		}
	}
}

// TestFileRequestsAreBounded: a worker cannot make brigd open files for ever.
func TestFileRequestsAreBounded(t *testing.T) {
	daemon, worker := jobPair(t)
	go func() {
		task, err := ReadJob(worker, func() {})
		for n := 0; err == nil && n < maxJobRequests+10; n++ {
			if _, ferr := task.File("x", 0); ferr != nil && !errdefs.IsInvalidArgument(ferr) {
				err = ferr
			}
		}
	}()
	count := 0
	_, err := RunJob(context.Background(), daemon, exportJob, nil, JobHost{File: func(JobFile) (int, error) {
		count++
		return -1, errdefs.ErrInvalidArgument
	}})
	if err == nil || count > maxJobRequests {
		t.Errorf("%d requests, %v", count, err)
	}
}

// TestCancelledJobEndsTheWorker: the worker notices that its connection is gone.
func TestCancelledJobEndsTheWorker(t *testing.T) {
	daemon, worker := jobPair(t)
	gone := make(chan bool, 1)
	go func() {
		if _, err := ReadJob(worker, func() { gone <- true }); err != nil {
			t.Error(err)
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := RunJob(ctx, daemon, exportJob, nil, JobHost{}); !errors.Is(err, context.DeadlineExceeded) {
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
		j, err := DecodeJob([]byte(body))
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
		j, err := DecodeJob(b)
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
		again, err := DecodeJob(first)
		second, _ := json.Marshal(again)
		if err != nil || !bytes.Equal(first, second) {
			t.Errorf("%s became %s (%v)", first, second, err)
		}
	})
}
