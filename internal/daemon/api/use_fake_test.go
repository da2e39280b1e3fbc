package api

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/wire"
)

// fakeUse is what the fake warden knows of pauses, bounds and readings. Real processes stand still.
type fakeUse struct {
	frozen   map[string]bool
	bounds   map[string][]wire.Resources // that were asked for, in order
	refuse   func(wire.Resources) error
	readings map[string]string // by name of a file
	procs    []wire.ProcTexts  // instead of the real ones
}

func newFakeUse() fakeUse {
	return fakeUse{frozen: map[string]bool{}, bounds: map[string][]wire.Resources{}}
}

func (f *fakeWarden) useOf(r *wire.Request) (wire.Reply, error) {
	var q wire.ContainerFreeze
	var u wire.ContainerUpdate
	var ref wire.ContainerLook
	var err error
	switch r.Op {
	case wire.OpContainerFreeze:
		err = r.Decode(&q)
	case wire.OpContainerUpdate:
		err = r.Decode(&u)
	default:
		err = r.Decode(&ref)
	}
	if q.ID+u.ID != "" {
		ref.ID = q.ID + u.ID
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.procs[ref.ID]
	if err != nil || p == nil {
		return wire.Reply{}, fmt.Errorf("container %s is not running: %w", ref.ID, errdefs.ErrConflict)
	}
	switch r.Op {
	case wire.OpContainerFreeze:
		f.use.frozen[ref.ID] = q.Frozen
		signal := map[bool]syscall.Signal{true: unix.SIGSTOP, false: unix.SIGCONT}[q.Frozen]
		return wire.Reply{}, p.process.Signal(signal)
	case wire.OpContainerUpdate:
		f.use.bounds[ref.ID] = append(f.use.bounds[ref.ID], u.Resources)
		if f.use.refuse != nil {
			return wire.Reply{}, f.use.refuse(u.Resources)
		}
		return wire.Reply{}, nil
	case wire.OpContainerStats:
		return f.readings()
	case wire.OpContainerView:
		const net = "net/dev"
		if len(ref.Names) != 1 || ref.Names[0] != net {
			return wire.Reply{}, fmt.Errorf("a look at %q: %w", ref.Names, errdefs.ErrInvalidArgument)
		}
		return wire.Reply{Body: wire.ContainerView{net: f.use.readings[net]}}, nil
	}
	list := f.use.procs
	if list == nil {
		list = []wire.ProcTexts{realTexts(p.process.Pid)}
	}
	return wire.Reply{Body: wire.ContainerProcs(list)}, nil
}

func (f *fakeWarden) readings() (wire.Reply, error) {
	var reply wire.Reply
	var names []string
	for name, text := range f.use.readings {
		if name == "net/dev" {
			continue
		}
		path := filepath.Join(f.dir, "reading")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return reply, err
		}
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return reply, err
		}
		os.Remove(path)
		names, reply.FDs = append(names, name), append(reply.FDs, fd)
	}
	reply.Body = wire.ContainerStats(names)
	return reply, nil
}

func realTexts(pid int) (t wire.ProcTexts) {
	for name, to := range map[string]*string{"stat": &t.Stat, "status": &t.Status, "cmdline": &t.Cmdline} {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
		*to = strings.ToValidUTF8(string(b), "?")
	}
	return t
}

// unheard sends a request whose answer nobody will hear.
func unheard(socket, path, body string) {
	c, err := net.Dial("unix", socket)
	if err != nil {
		return
	}
	defer c.Close()
	fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: brig\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body)
	_, _ = io.Copy(io.Discard, c) // it ends when brigd is killed
}
