package api

import (
	"fmt"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/wire"
	"github.com/brig-engine/brig/internal/wire/jobs"
)

// fakeWarden runs processes of the host where the real one runs containers; everything that brigd sees of it is the
// same:
// named pipes that survive brigd, pidfds, terminals, exit statuses that are asked for.
type fakeWarden struct {
	dir string
	t   testing.TB

	mu      sync.Mutex
	procs   map[string]*fakeProc // by id, or id.exec
	gone    map[string]bool      // ids that have a directory but do not run
	ends    map[string]wire.Exit // of containers: told as often as somebody asks, until the next start or the removal
	volumes map[string]bool
	calls   map[wire.Op]int
	specs   map[string]wire.Spec
	callers int   // starts that came with a connection
	refuse  error // of a change of networks
	use     fakeUse
	copier  func(id string, t *jobs.Task) (*jobs.Result, error) // is every worker that copies
	asked   func()                                              // before one is made
	before  func(wire.Op)                                       // it is carried out
	noted   func(id string)                                     // an end was, and is about to be told
}

type fakeProc struct {
	process *os.Process
	pidfd   int
	started wire.Started
	fifo    string
	stdin   int // the writer that the keeper would hold
	master  int
	readers []int
	ended   chan struct{}
	state   *os.ProcessState
}

func newFakeWarden(t testing.TB) *fakeWarden {
	f := &fakeWarden{dir: t.TempDir(), t: t, procs: map[string]*fakeProc{}, gone: map[string]bool{},
		ends: map[string]wire.Exit{}, volumes: map[string]bool{},
		calls: map[wire.Op]int{}, specs: map[string]wire.Spec{}, use: newFakeUse()}
	t.Cleanup(f.killAll)
	return f
}

func (f *fakeWarden) killAll() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range f.procs {
		_ = p.process.Kill() // it may have ended
		<-p.ended
	}
}

// connect gives brigd's end of a connection and serves the other.
func (f *fakeWarden) connect() int {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		f.t.Fatal(err)
	}
	conn, err := wire.FileConn(pair[0], "brigd")
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { conn.Close() })
	go func() {
		_ = wire.Serve(conn, wire.Known, f.handle) // it ends with the connection
		conn.Close()
	}()
	return pair[1]
}

func (f *fakeWarden) count(op wire.Op) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[op]
}

func (f *fakeWarden) handle(r *wire.Request) (wire.Reply, error) {
	f.mu.Lock()
	f.calls[r.Op]++
	before := f.before
	f.mu.Unlock()
	if before != nil {
		before(r.Op)
	}
	switch r.Op {
	case wire.OpHello:
		return wire.Reply{Body: wire.HelloReply{Subnet: "172.30.0.0/16", Gateway: "172.30.0.1", Machine: wire.Machine{Groups: wire.Groups{Instance: "brig"},
			Missing: []string{"swap accounting: a container's use of swap has no bound of its own"}}}}, nil
	case wire.OpContainerStart:
		return f.start(r)
	case wire.OpExecStart:
		return f.execStart(r)
	case wire.OpContainerCopy:
		return f.copy(r)
	case wire.OpVolumeCreate, wire.OpVolumeRemove, wire.OpVolumeList:
		return f.volume(r)
	case wire.OpContainerList:
		return f.list()
	case wire.OpNetworkJoin:
		var q wire.NetworkJoin
		if err := r.Decode(&q); err != nil {
			return wire.Reply{}, err
		}
		return wire.Reply{}, f.join(q)
	case wire.OpContainerFreeze, wire.OpContainerUpdate, wire.OpContainerStats, wire.OpContainerView, wire.OpContainerProcs:
		return f.useOf(r)
	case wire.OpProcessFinish, wire.OpProcessCloseStdin:
		var ref wire.ProcessRef
		if err := r.Decode(&ref); err != nil {
			return wire.Reply{}, err
		}
		if ref.Exec != "" {
			ref.ID += "." + ref.Exec
		}
		return f.simple(r.Op, ref.ID, 0)
	case wire.OpContainerSignal:
		var s wire.ContainerSignal
		if err := r.Decode(&s); err != nil {
			return wire.Reply{}, err
		}
		return f.simple(r.Op, s.ID, s.Signal)
	}
	var ref wire.ContainerRef
	if err := r.Decode(&ref); err != nil {
		return wire.Reply{}, err
	}
	return f.simple(r.Op, ref.ID, 0)
}

func (f *fakeWarden) join(q wire.NetworkJoin) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.procs[q.ID] == nil {
		return fmt.Errorf("nothing is called %s: %w", q.ID, errdefs.ErrNotFound)
	}
	spec := f.specs[q.ID]
	spec.Network.Membership = q.Membership
	f.specs[q.ID] = spec
	return f.refuse
}

// membership is what the warden has of a container.
func (f *fakeWarden) membership(id string) wire.Membership {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.specs[id].Network.Membership
}

func (f *fakeWarden) simple(op wire.Op, id string, signal int) (wire.Reply, error) {
	f.mu.Lock()
	p := f.procs[id]
	exit, over := f.ends[id]
	f.mu.Unlock()
	if op == wire.OpContainerRemove {
		f.mu.Lock()
		defer f.mu.Unlock()
		if p != nil {
			return wire.Reply{}, fmt.Errorf("container %s is running: %w", id, errdefs.ErrConflict)
		}
		delete(f.gone, id)
		delete(f.ends, id)
		return wire.Reply{}, nil
	}
	if p == nil && over {
		switch op {
		case wire.OpProcessFinish:
			return wire.Reply{Body: exit}, nil
		case wire.OpProcessCloseStdin:
			return wire.Reply{}, nil
		}
		return wire.Reply{}, fmt.Errorf("container %s is not running: %w", id, errdefs.ErrConflict)
	}
	if p == nil {
		return wire.Reply{}, fmt.Errorf("nothing is called %s: %w", id, errdefs.ErrNotFound)
	}
	switch op {
	case wire.OpContainerSignal:
		return wire.Reply{}, p.process.Signal(syscall.Signal(signal))
	case wire.OpProcessCloseStdin:
		f.mu.Lock()
		defer f.mu.Unlock()
		if p.stdin >= 0 {
			unix.Close(p.stdin)
			p.stdin = -1
		}
		return wire.Reply{}, nil
	case wire.OpContainerAttach:
		f.mu.Lock()
		p.started.Endpoint.Membership = f.specs[id].Network.Membership
		f.mu.Unlock()
		return p.handOver()
	case wire.OpProcessFinish:
		reply, err := f.finish(id, p)
		f.mu.Lock()
		noted := f.noted
		f.mu.Unlock()
		if noted != nil {
			noted(id)
		}
		return reply, err
	}
	return wire.Reply{}, fmt.Errorf("%s: %w", op, errdefs.ErrNotImplemented)
}

// finish notes the end of a container before it tells it, as the warden does: a brigd that is killed before it could write
// the answer down leaves the question to the next, which gets the same answer.
func (f *fakeWarden) finish(id string, p *fakeProc) (wire.Reply, error) {
	<-p.ended
	f.mu.Lock()
	defer f.mu.Unlock()
	if exit, over := f.ends[id]; over && f.procs[id] != p { // two asked
		return wire.Reply{Body: exit}, nil
	}
	ws := p.state.Sys().(syscall.WaitStatus)
	exit := wire.Exit{Code: ws.ExitStatus(), At: time.Now().UnixNano()}
	if ws.Signaled() {
		exit.Code, exit.Signal = 128+int(ws.Signal()), int(ws.Signal())
	}
	if f.procs[id] == p {
		delete(f.procs, id)
		f.gone[id] = true
		if len(id) == 64 { // of what was executed in one nobody asks twice
			f.ends[id] = exit
		}
		unix.Close(p.pidfd)
		wire.CloseAll(append(p.readers, p.stdin, p.master))
	}
	return wire.Reply{Body: exit}, nil
}

func (f *fakeWarden) list() (wire.Reply, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := wire.ContainerList{}
	for id := range f.procs {
		if len(id) == 64 {
			l[id] = true
		}
	}
	for id := range f.gone {
		if f.procs[id] == nil && len(id) == 64 {
			_, l[id] = f.ends[id] // known, and asked about once more
		}
	}
	return wire.Reply{Body: l}, nil
}

func (f *fakeWarden) volume(r *wire.Request) (wire.Reply, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r.Op == wire.OpVolumeList {
		var l wire.VolumeList
		for n := range f.volumes {
			l = append(l, n)
		}
		return wire.Reply{Body: l}, nil
	}
	var ref wire.VolumeRef
	if err := r.Decode(&ref); err != nil {
		return wire.Reply{}, err
	}
	if r.Op == wire.OpVolumeCreate {
		f.volumes[ref.Name] = true
	} else {
		delete(f.volumes, ref.Name)
	}
	return wire.Reply{}, nil
}

func (f *fakeWarden) start(r *wire.Request) (wire.Reply, error) {
	var q wire.ContainerStart
	if err := r.Decode(&q); err != nil {
		return wire.Reply{}, err
	}
	if len(r.FDs) == 1 {
		fd := r.FDs[0]
		if _, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED); err != nil {
			return wire.Reply{}, fmt.Errorf("the caller: %w", err)
		}
	}
	f.mu.Lock()
	f.specs[q.ID] = q.Spec
	if len(r.FDs) == 1 {
		f.callers++
	}
	f.mu.Unlock()
	p, err := f.run(q.ID, &q.Spec.Process)
	if err != nil {
		return wire.Reply{}, err
	}
	return p.handOver()
}

func (f *fakeWarden) execStart(r *wire.Request) (wire.Reply, error) {
	var q wire.ExecStart
	if err := r.Decode(&q); err != nil {
		return wire.Reply{}, err
	}
	p, err := f.run(q.ID+"."+q.Exec, &q.Process)
	if err != nil {
		return wire.Reply{}, err
	}
	return p.handOver()
}
