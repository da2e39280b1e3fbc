package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/containerd/errdefs"

	"github.com/brig-engine/brig/internal/wire"
)

// Host is what brigd does for a job while it runs. Both functions are called from one goroutine.
type Host struct {
	// File answers job.file with a descriptor, which stays the host's (it is sent as a copy and not closed here), or a
	// refusal, whose text the worker reports. nil refuses everything.
	File func(File) (fd int, err error)
	// Progress may be nil.
	Progress func(Progress)
	// Names, if it is not nil, runs beside the job, in a goroutine of its own, and sends names until ctx or send ends it.
	Names func(ctx context.Context, send func(Names) error)
}

// maxRequests bounds the files that one job may ask for.
const maxRequests = 8192

// Run gives job and fds (which stay open) to the worker at the other end of conn and waits for its result. It closes
// conn in any case. When ctx ends the connection is closed, upon which the worker ends itself. Errors of the worker are
// *wire.Error values; a worker that ends without a result is errdefs.ErrUnavailable.
func Run(ctx context.Context, conn *wire.Conn, job *Job, fds []int, host Host) (*Result, error) {
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer func() { stop(); conn.Close() }()
	body, err := json.Marshal(job)
	if err != nil {
		return nil, fmt.Errorf("encode job %s: %w", job.Kind, err)
	}
	err = conn.Send(&wire.Frame{Op: wire.OpJob, Body: body}, fds)
	if host.Names != nil && err == nil {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		go func() {
			host.Names(ctx, func(n Names) error { return sendNames(conn, n) })
			conn.Close() // whom it cannot be told of, it would not know for ever
		}()
	}
	for n := 0; err == nil; {
		var f *wire.Frame
		var got []int
		if f, got, err = conn.Receive(); err != nil {
			break
		}
		wire.CloseAll(got) // a worker has nothing to hand out
		switch {
		case f.Op == "" && f.Error != nil:
			return nil, fmt.Errorf("%s: %w", job.Kind, f.Error)
		case f.Op == "":
			return decodeResult(job.Kind, f.Body)
		case f.Op == opProgress:
			err = host.progress(f.Body)
		case f.Op == opFile && n < maxRequests:
			n++
			err = host.file(conn, f)
		default:
			err = fmt.Errorf("a worker sent %q out of turn", f.Op)
		}
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return nil, fmt.Errorf("%s: the worker ended without a result: %w: %w", job.Kind, errdefs.ErrUnavailable, err)
}

func sendNames(conn *wire.Conn, n Names) error {
	body, err := json.Marshal(n)
	if err != nil {
		return err
	}
	return conn.Send(&wire.Frame{Op: opNames, Body: body}, nil)
}

func (h Host) progress(body []byte) error {
	var p Progress
	if err := wire.DecodeStrict(body, &p); err != nil {
		return err
	}
	if h.Progress != nil {
		h.Progress(p)
	}
	return nil
}

func (h Host) file(conn *wire.Conn, f *wire.Frame) error {
	var req File
	if err := wire.DecodeStrict(f.Body, &req); err != nil {
		return err
	}
	out := &wire.Frame{ID: f.ID, Op: opFile}
	if h.File == nil {
		out.Error = &wire.Error{Class: "invalid_argument", Text: "this job gets no more files"}
		return conn.Send(out, nil)
	}
	fd, err := h.File(req)
	if err != nil {
		out.Error = wire.ToError(err)
		return conn.Send(out, nil)
	}
	return conn.Send(out, []int{fd})
}

// decodeResult reads a result and holds it against the kind: a conquered worker must not answer another question.
func decodeResult(kind wire.JobKind, body []byte) (*Result, error) {
	var r Result
	if err := wire.DecodeStrict(body, &r); err != nil {
		return nil, fmt.Errorf("result of %s: %w", kind, err)
	}
	set := map[wire.JobKind]bool{
		Layer: r.Layer != nil, Merge: r.Merge != nil, Check: r.Check != nil,
		Load: r.Load != nil, Export: r.Export != nil, Save: r.Save != nil, Tree: r.Tree != nil,
	}
	for k, is := range set {
		if is != (k == kind) {
			return nil, fmt.Errorf("result of %s: the worker answered for %s: %w", kind, k, errdefs.ErrInvalidArgument)
		}
	}
	return &r, nil
}

// Task is a job as its worker sees it.
type Task struct {
	Job
	// Files are the descriptors of the first packet.
	Files []*os.File
	// Names are those that brigd sends, in their order; whoever is sent them has to take them.
	Names chan Names

	conn    *wire.Conn
	id      uint64 // of the packet with the job
	replies chan reply
	mu      sync.Mutex
	asked   uint64
	told    time.Time
	ended   atomic.Bool // the result is under way; the connection may go
}

type reply struct {
	f   *wire.Frame
	fds []int
}

// Read receives the job. Afterwards gone is called (from another goroutine) when brigd ends the connection; a worker
// then has nobody to work for and should end.
func Read(conn *wire.Conn, gone func()) (*Task, error) {
	f, fds, err := conn.Receive()
	if err != nil {
		return nil, fmt.Errorf("receive the job: %w", err)
	}
	t := &Task{conn: conn, id: f.ID, replies: make(chan reply), Names: make(chan Names)}
	for i, fd := range fds {
		t.Files = append(t.Files, os.NewFile(uintptr(fd), fmt.Sprintf("job descriptor %d", i)))
	}
	if f.Op != wire.OpJob {
		return nil, fmt.Errorf("the first packet is %q, not a job", f.Op)
	}
	if t.Job, err = Decode(f.Body); err != nil {
		return nil, err
	}
	go t.read(gone)
	return t, nil
}

// Decode decodes a job strictly: the kind must be known and exactly its parameters present.
func Decode(body []byte) (Job, error) {
	var j Job
	if err := wire.DecodeStrict(body, &j); err != nil {
		return Job{}, fmt.Errorf("job: %w", err)
	}
	set := map[wire.JobKind]bool{
		Layer: j.Layer != nil, Merge: j.Merge != nil, Check: j.Check != nil,
		Load: j.Load != nil, Export: j.Export != nil, Save: j.Save != nil, DNS: j.DNS != nil,
		wire.JobFill: j.Fill != nil, wire.JobLabel: j.Label != "", Tree: j.Tree != nil,
	}
	if _, known := set[j.Kind]; !known {
		return Job{}, fmt.Errorf("unknown job %q", j.Kind)
	}
	for k, is := range set {
		if is != (k == j.Kind) {
			return Job{}, fmt.Errorf("job %s: parameters of %s are missing or out of place", j.Kind, k)
		}
	}
	j.Limits = j.Limits.WithDefaults()
	return j, nil
}

func (t *Task) read(gone func()) {
	defer close(t.replies)
	defer close(t.Names)
	for {
		f, fds, err := t.conn.Receive()
		if err != nil {
			if !t.ended.Load() {
				gone()
			}
			return
		}
		if f.Op == opNames {
			if err := t.takeNames(f, fds); err != nil {
				gone()
				return
			}
			continue
		}
		t.replies <- reply{f, fds}
	}
}

// takeNames hands on one packet of names. To a job that gets none it is an error.
func (t *Task) takeNames(f *wire.Frame, fds []int) error {
	wire.CloseAll(fds)
	var n Names
	if t.DNS == nil || !t.DNS.Names {
		return fmt.Errorf("names for the job %s", t.Kind)
	}
	if err := wire.DecodeStrict(f.Body, &n); err != nil {
		return err
	}
	t.Names <- n
	return nil
}

// File asks brigd for one more descriptor. Calls are served one at a time.
func (t *Task) File(name string, size int64) (*os.File, error) {
	return t.Ask(File{Name: name, Size: size})
}

// Ask is File for a request that says more.
func (t *Task) Ask(f File) (*os.File, error) {
	name := f.Name
	body, err := json.Marshal(f)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.asked++
	if err := t.conn.Send(&wire.Frame{ID: t.asked, Op: opFile, Body: body}, nil); err != nil {
		return nil, fmt.Errorf("ask for %s: %w", name, err)
	}
	r, ok := <-t.replies
	if !ok {
		return nil, fmt.Errorf("ask for %s: %w", name, io.ErrUnexpectedEOF)
	}
	if r.f.Error != nil || r.f.ID != t.asked || r.f.Op != opFile || len(r.fds) != 1 {
		wire.CloseAll(r.fds)
		if r.f.Error != nil {
			return nil, fmt.Errorf("ask for %s: %w", name, r.f.Error)
		}
		return nil, errors.New("the reply to a request for a file is malformed")
	}
	return os.NewFile(uintptr(r.fds[0]), name), nil
}

// progressEvery is how often progress is sent at most.
const progressEvery = 100 * time.Millisecond

// Progress reports how far the job is; calls that come too soon after another are dropped, so it may be called often,
// by one goroutine. A report that cannot be sent is not an error of the job.
func (t *Task) Progress(done, total int64) {
	now := time.Now()
	if now.Sub(t.told) < progressEvery {
		return
	}
	t.told = now
	if body, err := json.Marshal(Progress{Done: done, Total: total}); err == nil {
		_ = t.conn.Send(&wire.Frame{Op: opProgress, Body: body}, nil)
	}
}

// Done ends the job with a result, or with an error if err is not nil.
func (t *Task) Done(r *Result, err error) error {
	out := &wire.Frame{ID: t.id}
	if err == nil {
		out.Body, err = json.Marshal(r)
	}
	if err == nil && len(out.Body) > wire.MaxBody {
		err = fmt.Errorf("the result of %d bytes is over the limit of %d: %w", len(out.Body), wire.MaxBody,
			errdefs.ErrResourceExhausted)
	}
	if err != nil {
		out.Error, out.Body = wire.ToError(err), nil
	}
	t.ended.Store(true)
	return t.conn.Send(out, nil)
}
