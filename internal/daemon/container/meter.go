package container

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/daemon/use"
	"github.com/brig-engine/brig/internal/wire"
)

// maxReading bounds one text in bytes: what is read of the longest (stat of a machine with many processors) is in it.
const maxReading = 64 << 10

// buffers are for one text at a time: an idle stream has none.
var buffers = sync.Pool{New: func() any { return new([maxReading]byte) }}

// Meter reads what one run of a container uses, again and again, from descriptors that it holds until Close. Who has one
// closes it when Ended says so.
type Meter struct {
	c   *Container
	run *session
	fds map[string]int
}

// Meter asks the warden for the descriptors; errdefs.ErrConflict when the container does not run.
func (c *Container) Meter(ctx context.Context) (*Meter, error) {
	c.mu.Lock()
	run, state := c.run, c.rec.State
	c.mu.Unlock()
	if state != Running {
		return nil, errNotRunning(c)
	}
	var files wire.ContainerStats
	fds, err := c.e.cfg.Warden.Call(ctx, wire.OpContainerStats, wire.ContainerRef{ID: c.id}, &files)
	if err != nil {
		return nil, err
	}
	if len(fds) != len(files) {
		wire.CloseAll(fds)
		return nil, fmt.Errorf("the warden sent %d descriptors instead of %d: %w", len(fds), len(files), errdefs.ErrInternal)
	}
	m := &Meter{c: c, run: run, fds: map[string]int{}}
	for i, name := range files {
		m.fds[name] = fds[i]
	}
	const machine = "stat" // whose time brigd reads itself
	if _, given := m.fds[machine]; given || len(m.fds) != len(fds) {
		wire.CloseAll(fds)
		return nil, fmt.Errorf("the warden sent two files of one name, or one that is none of the container's: %q: %w", files, errdefs.ErrInternal)
	}
	if m.fds[machine], err = unix.FcntlInt(c.e.time.Fd(), unix.F_DUPFD_CLOEXEC, 3); err != nil {
		wire.CloseAll(fds)
		return nil, fmt.Errorf("hold the machine's time: %w", err)
	}
	return m, nil
}

// Close gives the descriptors up.
func (m *Meter) Close() {
	for _, fd := range m.fds {
		unix.Close(fd)
	}
	m.fds = nil
}

// Ended is closed when the run has ended.
func (m *Meter) Ended() <-chan struct{} { return m.run.dying }

// Read gives the counters as they are now.
func (m *Meter) Read() container.StatsResponse {
	texts := use.Texts{}
	buf := buffers.Get().(*[maxReading]byte)
	defer buffers.Put(buf)
	for name, fd := range m.fds {
		if b := readText(fd, buf[:]); b != nil {
			texts[name] = string(b)
		}
	}
	const net = "net/dev"
	var view wire.ContainerView // without an answer there are no counters of a network
	_, _ = m.c.e.cfg.Warden.Call(context.Background(), wire.OpContainerView, wire.ContainerLook{ID: m.c.id, Names: []string{net}}, &view)
	texts[net] = view[net]
	s := texts.Stats()
	m.c.mu.Lock()
	bounds, memory := m.c.rec.Spec.Resources, m.c.e.cfg.Host.MemoryTotal
	m.c.mu.Unlock()
	if s.MemoryStats.Stats != nil {
		s.MemoryStats.Limit = uint64(min(bounds.Memory, memory))
	}
	if s.PidsStats.Current > 0 {
		s.PidsStats.Limit = uint64(bounds.Pids)
	}
	m.c.Named(&s)
	s.Read = time.Now().UTC()
	return s
}

// Named fills in what the counters of a container that does not run have too.
func (c *Container) Named(s *container.StatsResponse) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.ID, s.Name, s.OSType = c.id, "/"+c.rec.Name, "linux"
}

// readText gives a whole text, in as many parts as the kernel gives it in; nil when it cannot be read any more.
func readText(fd int, buf []byte) []byte {
	n := 0
	for n < len(buf) {
		k, err := unix.Pread(fd, buf[n:], int64(n))
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil
		}
		if k == 0 {
			break
		}
		n += k
	}
	return buf[:n]
}

// Gone is closed when the container was removed.
func (c *Container) Gone() <-chan struct{} { return c.removed }

// Processes asks the kernel, through the warden, for the processes of a running container.
func (c *Container) Processes(ctx context.Context) ([]wire.ProcTexts, error) {
	if c.state() != Running {
		return nil, errNotRunning(c)
	}
	var list wire.ContainerProcs
	if _, err := c.e.cfg.Warden.Call(ctx, wire.OpContainerProcs, wire.ContainerRef{ID: c.id}, &list); err != nil {
		return nil, fmt.Errorf("list the processes of container %s: %w", c.id[:12], err)
	}
	return list, nil
}

// Shown publishes that somebody looked at a container.
func (e *Engine) Shown(c *Container, action events.Action) { c.publish(action) }

// NamesIn gives what the image of a container calls its user and group ids.
func (e *Engine) NamesIn(v *View) (user, group func(uint64) string) {
	users, groups := map[uint64]string{}, map[uint64]string{}
	img, err := e.cfg.Images.Lookup(v.ImageID)
	if err == nil {
		for _, u := range img.Users {
			if _, named := users[uint64(u.UID)]; !named { // the first one counts, as in ps
				users[uint64(u.UID)] = u.Name
			}
		}
		for _, g := range img.Groups {
			if _, named := groups[uint64(g.GID)]; !named {
				groups[uint64(g.GID)] = g.Name
			}
		}
	}
	return func(id uint64) string { return users[id] }, func(id uint64) string { return groups[id] }
}
