package image_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/wire"
	"github.com/brig-engine/brig/internal/wire/client"
	"github.com/brig-engine/brig/internal/wire/jobs"
	"github.com/brig-engine/brig/internal/wire/objects"
	"github.com/brig-engine/brig/internal/worker"
)

// fakeWarden is brig-store as well: it keeps objects as files and runs workers as goroutines; the code of the workers is the real one.
type fakeWarden struct {
	dir     string
	mu      sync.Mutex
	indexes map[string][]string
	layers  atomic.Int64 // layer workers that were started
	running atomic.Int64 // workers that have not ended
	full    atomic.Bool  // the disk
	// twist may change the result of a layer worker.
	twist func(*jobs.Result)
}

func newWarden(t *testing.T) *fakeWarden {
	return &fakeWarden{dir: t.TempDir(), indexes: map[string][]string{}}
}

// client connects to the fake over a real socket.
func (f *fakeWarden) client(t *testing.T) *client.Client {
	a, b := socketPair(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		both := maps.Clone(wire.Known)
		maps.Copy(both, objects.Known)
		_ = wire.Serve(a, both, f.handle) // ends with the connection
	}()
	c := client.New(b, "the warden")
	t.Cleanup(func() {
		c.Close()
		<-done
	})
	return c
}

func socketPair(t *testing.T) (a, b *wire.Conn) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	var conns []*wire.Conn
	for _, fd := range pair {
		c, err := wire.FileConn(fd, "pair")
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	return conns[0], conns[1]
}

func (f *fakeWarden) handle(r *wire.Request) (wire.Reply, error) {
	var ref wire.ObjectRef
	switch r.Op {
	case objects.Create:
		if f.full.Load() {
			return wire.Reply{}, fmt.Errorf("no space left in the engine's directory: %w", errdefs.ErrResourceExhausted)
		}
		fd, err := unix.Open(f.dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
		return wire.Reply{FDs: []int{fd}}, err
	case objects.Seal:
		var q wire.ObjectRef
		if err := r.Decode(&q); err != nil {
			return wire.Reply{}, err
		}
		o, err := f.seal(r, q.Digest)
		return wire.Reply{Body: o}, err
	case objects.SealIndex:
		var q objects.Index
		if err := r.Decode(&q); err != nil {
			return wire.Reply{}, err
		}
		o, err := f.sealIndex(r, q.Data)
		return wire.Reply{Body: o}, err
	case objects.Open:
		if err := r.Decode(&ref); err != nil {
			return wire.Reply{}, err
		}
		return f.open(ref.Digest)
	case objects.Remove, wire.OpIndexRemove:
		if err := r.Decode(&ref); err != nil {
			return wire.Reply{}, err
		}
		return wire.Reply{}, f.remove(r.Op, ref.Digest)
	case objects.List:
		return wire.Reply{Body: f.list()}, nil
	case wire.OpWorkerStart:
		return f.worker(r)
	}
	return wire.Reply{}, fmt.Errorf("unexpected %s", r.Op)
}

func (f *fakeWarden) seal(r *wire.Request, want string) (objects.Object, error) {
	file := os.NewFile(uintptr(must(unix.FcntlInt(uintptr(r.FDs[0]), unix.F_DUPFD_CLOEXEC, 0))), "new")
	defer file.Close()
	b, err := io.ReadAll(io.NewSectionReader(file, 0, 1<<40))
	if err != nil {
		return objects.Object{}, err
	}
	sum := sha256.Sum256(b)
	o := objects.Object{Digest: "sha256:" + hex.EncodeToString(sum[:]), Size: int64(len(b))}
	if want != "" && want != o.Digest {
		return o, fmt.Errorf("the content has digest %s, not %s as announced: %w", o.Digest, want, errdefs.ErrDataLoss)
	}
	return o, os.WriteFile(filepath.Join(f.dir, o.Digest[7:]), b, 0o444)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func (f *fakeWarden) sealIndex(r *wire.Request, data []string) (objects.Object, error) {
	job := &jobs.Job{Kind: jobs.Check, Check: &jobs.CheckParams{}}
	for _, d := range data {
		st, err := os.Stat(filepath.Join(f.dir, d[7:]))
		if err != nil {
			return objects.Object{}, err
		}
		job.Check.Devices = append(job.Check.Devices, st.Size())
	}
	pair := must2(unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0))
	go f.work(pair[1], -1)
	conn, err := wire.FileConn(pair[0], "check")
	if err != nil {
		return objects.Object{}, err
	}
	if _, err := jobs.Run(context.Background(), conn, job, r.FDs[:1], jobs.Host{}); err != nil {
		return objects.Object{}, err
	}
	o, err := f.seal(r, "")
	f.mu.Lock()
	defer f.mu.Unlock()
	f.indexes[o.Digest] = data
	return o, err
}

func must2(v [2]int, err error) [2]int { return must(v, err) }

func (f *fakeWarden) open(digest string) (wire.Reply, error) {
	fd, err := unix.Open(filepath.Join(f.dir, digest[7:]), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return wire.Reply{}, fmt.Errorf("the store has no object %s: %w", digest, errdefs.ErrNotFound)
	}
	return wire.Reply{Body: objects.Object{Digest: digest}, FDs: []int{fd}}, nil
}

func (f *fakeWarden) remove(op wire.Op, digest string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if op == wire.OpIndexRemove {
		delete(f.indexes, digest)
	} else {
		for x, data := range f.indexes {
			if slices.Contains(data, digest) {
				return fmt.Errorf("object %s is needed by index %s: %w", digest, x, errdefs.ErrFailedPrecondition)
			}
		}
	}
	return os.Remove(filepath.Join(f.dir, digest[7:]))
}

func (f *fakeWarden) list() objects.Listing {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := objects.Listing{Objects: []objects.Object{}, Indexes: []string{}}
	for _, e := range must(os.ReadDir(f.dir)) {
		d := "sha256:" + e.Name()
		if _, is := f.indexes[d]; is {
			l.Indexes = append(l.Indexes, d)
		} else {
			l.Objects = append(l.Objects, objects.Object{Digest: d, Size: must(e.Info()).Size()})
		}
	}
	return l
}

// worker gives the read end of a pipe in place of a pidfd: it becomes ready when the worker ends.
func (f *fakeWarden) worker(r *wire.Request) (wire.Reply, error) {
	fd := r.FDs[0]
	r.FDs[0] = -1
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		return wire.Reply{}, err
	}
	f.running.Add(1)
	go func() {
		defer f.running.Add(-1)
		f.work(fd, p[1])
	}()
	return wire.Reply{FDs: []int{p[0]}}, nil
}

func (f *fakeWarden) work(fd, alive int) {
	defer wire.CloseAll([]int{alive})
	conn, err := wire.FileConn(fd, "job")
	if err != nil {
		return
	}
	defer conn.Close()
	task, err := jobs.Read(conn, func() {})
	if err != nil {
		return
	}
	defer func() {
		for _, file := range task.Files {
			file.Close()
		}
	}()
	if task.Kind == jobs.Layer {
		f.layers.Add(1)
	}
	handler := map[wire.JobKind]worker.Handler{jobs.Layer: worker.Layer, jobs.Merge: worker.Merge,
		jobs.Check: worker.Check,
		jobs.Load:  worker.Load, jobs.Save: worker.Save}[task.Kind]
	r, err := handler(task)
	if err == nil && f.twist != nil {
		f.twist(r)
	}
	_ = task.Done(r, err)
}

// objects gives the digests that the fake has.
func (f *fakeWarden) objects() []string {
	var out []string
	for _, e := range must(os.ReadDir(f.dir)) {
		out = append(out, e.Name())
	}
	return out
}

// dial gives an HTTP client's dialer for a unix socket.
func dial(path string) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}
}
