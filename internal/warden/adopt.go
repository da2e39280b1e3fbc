package warden

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/wire"
)

// adopt finds the containers that an earlier warden left, running or ended since, and sweeps what has no record.
func (w *Warden) adopt(have map[string]int) error {
	ids, err := w.onDisk()
	if err != nil {
		return err
	}
	for _, id := range ids {
		if base, err := w.rangeOf(id); err == nil {
			w.ranges.hold(base, 1)
		}
	}
	list, err := w.notes.all()
	if err != nil {
		return err
	}
	for _, n := range list {
		w.adoptContainer(n, have)
	}
	if w.noRouter() == nil {
		if err := w.router.tell(wire.OpRouterSync, nil, nil); err != nil {
			w.router.failed(err)
		}
	}
	for key, fd := range have {
		unix.Close(fd)
		if id, _, _ := strings.Cut(key, "."); w.live[id] == nil {
			w.keep.drop(key)
		}
	}
	return w.sweep()
}

func (w *Warden) adoptContainer(n *note, have map[string]int) {
	c := w.locked(n.ID)
	defer c.mu.Unlock()
	c.note = n
	n.adopt(n.ID, have)
	for id, p := range n.Execs {
		p.adopt(key(n.ID, id), have)
	}
	for i := range n.Started.Ports {
		n.ports = append(n.ports, take(have, key(n.ID, portName(i))))
	}
	if len(n.ports) > 0 && n.ports[0] < 0 { // another keeper: the network ended with the one that held it
		n.Started.Ports, n.ports = nil, nil
	}
	if n.pidfd >= 0 {
		n.hold()
	}
	switch {
	case n.Exit != nil:
		n.Started.Endpoint = nil // this router never heard of it, and may have given its number to another
		w.takeDown(n)            // the earlier warden may not have come to it
	case n.Started.Endpoint != nil && w.noRouter() == nil:
		if err := w.router.use(wire.OpEndpointAdopt, n.Started.Endpoint, n.Started.Ports); err != nil {
			w.log("container %s: %v", short(n.ID), err)
			n.Started.Endpoint = nil // its number may be another's by now
		}
	}
}

// adopt finds what a process has beside its note.
func (p *process) adopt(name string, have map[string]int) {
	p.key, p.pidfd, p.pty = name, findProcess(p), take(have, key(name, "pty"))
}

func take(have map[string]int, key string) int {
	fd, ok := have[key]
	if !ok {
		return -1
	}
	delete(have, key)
	return fd
}

// findProcess opens the process of a note, or gives -1 if it is gone: a pid with another start time is another process.
// The order matters: the descriptor is opened first, and then names whatever the start time was read from.
func findProcess(p *process) int {
	if p.Exit != nil {
		return -1
	}
	fd, err := unix.PidfdOpen(p.Started.PID, 0)
	if err != nil {
		return -1
	}
	if start, err := wire.StartTime(p.Started.PID); err != nil || start != p.Started.StartTime {
		unix.Close(fd)
		return -1
	}
	return fd
}

// sweep removes what a crash left without a record: control groups, named pipes, notes of ends, half-deleted directories.
func (w *Warden) sweep() error {
	groups, err := w.parent.List()
	for _, id := range groups {
		if c := w.live[id]; id != "brig-router" && (c == nil || c.note.Exit != nil) { // that one is this warden's own
			w.removeGroup(id)
		}
	}
	ends := map[string]bool{}
	for _, c := range w.live {
		ends[filepath.Base(w.exitPath(&c.note.process))] = true
		for _, p := range c.note.Execs {
			ends[filepath.Base(w.exitPath(p))] = true
		}
	}
	for dir, needed := range map[string]func(name string) bool{
		filepath.Join(w.cfg.Run, "fifo"):  func(name string) bool { return w.live[name] != nil },
		filepath.Join(w.cfg.Run, "exits"): func(name string) bool { return ends[name] },
		w.disk.Base + "/trash":            func(string) bool { return false },
	} {
		entries, rerr := os.ReadDir(dir)
		err = errors.Join(err, rerr)
		for _, e := range entries {
			if !needed(e.Name()) {
				if rerr := w.disk.Remove(filepath.Join(dir, e.Name())); rerr != nil { // a container can make what cannot be removed
					w.log("%v", rerr)
				}
			}
		}
	}
	return err
}

// orphanExecs forgets what an earlier brigd had executed when it ends: nobody asks for it any more.
func (w *Warden) orphanExecs() {
	for _, c := range w.all() {
		c, err := w.known(c.id)
		if err != nil {
			continue
		}
		for id, p := range c.note.Execs {
			if p.orphan {
				continue
			}
			p.orphan = true
			ends, _ := dup(p.pidfd) // -1 for one that has ended
			w.background.Go(func() {
				defer wire.CloseAll([]int{ends})
				if ends < 0 || await(ends) == nil {
					w.finish(wire.ProcessRef{ID: c.id, Exec: id})
				}
			})
		}
		c.mu.Unlock()
	}
}

// containerAttach gives a new brigd what the one before had of a container.
func (w *Warden) containerAttach(c *container, _ wire.ContainerRef) (r wire.Reply, err error) {
	n := c.note
	r.Body = n.Started
	add := func(fd int, ferr error) {
		r.FDs = append(r.FDs, fd)
		err = errors.Join(err, ferr)
	}
	if n.pidfd >= 0 {
		add(dup(n.pidfd))
	} else { // It ended while nobody was there: this looks like the pidfd of a process that has ended.
		add(unix.Eventfd(1, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK))
	}
	dir := w.streamDir(n.key)
	switch {
	case n.Started.Terminal:
		add(dup(n.pty))
	case n.Started.Stdin:
		fd, serr := unix.Open(filepath.Join(dir, "in"), unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if serr == unix.ENXIO { // a program that has ended reads nothing more
			fd, serr = unix.Open("/dev/null", unix.O_WRONLY|unix.O_CLOEXEC, 0)
		}
		add(fd, serr)
		fallthrough
	default:
		for _, name := range streamNames[1:] {
			add(unix.Open(filepath.Join(dir, name), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0))
		}
	}
	for _, fd := range n.ports {
		add(dup(fd))
	}
	return r, err
}
