package cgroup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/wire"
)

// Group is one container's group: a directory of the same name in each hierarchy. It holds no descriptor (traps 12).
type Group struct {
	p  *Parent
	id string
}

// maxDepth bounds the walk through groups that a container has made inside its own.
const maxDepth = 32

func validID(id string) bool {
	return len(id) >= 1 && len(id) <= 64 && strings.Trim(id,
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") == ""
}

// Open names an existing group; whether it exists is found out by using it (errdefs.ErrNotFound).
func (p *Parent) Open(id string) (*Group, error) {
	if !validID(id) {
		return nil, fmt.Errorf("control group %q: not a name: %w", id, errdefs.ErrInvalidArgument)
	}
	return &Group{p, id}, nil
}

// Create makes a group and sets every bound of res. It leaves nothing behind when it fails.
func (p *Parent) Create(id string, res wire.Resources) (*Group, error) {
	g, err := p.Open(id)
	if err != nil {
		return nil, err
	}
	if err := validate(res, true); err != nil {
		return nil, fmt.Errorf("control group %s: %w", id, err)
	}
	var made []*hierarchy
	for _, h := range p.host.hierarchies {
		if h.lazy() && res.CpusetCpus == "" && res.CpusetMems == "" {
			continue
		}
		if err = g.mkdir(h); err != nil {
			break
		}
		made = append(made, h)
	}
	if err == nil {
		err = g.apply(p.settings(res))
	}
	if err == nil {
		err = g.allowDevices(res.Devices)
	}
	if err != nil {
		for _, h := range made {
			unix.Unlinkat(h.fd, id, unix.AT_REMOVEDIR)
		}
		return nil, fmt.Errorf("control group %s: %w", id, err)
	}
	return g, nil
}

// lazy tells whether containers need a group here only if they ask for it.
func (h *hierarchy) lazy() bool {
	return !h.v2 && len(h.controllers) == 1 && h.controllers[0] == "cpuset"
}

func (g *Group) mkdir(h *hierarchy) error {
	if err := unix.Mkdirat(h.fd, g.id, 0o755); err != nil {
		return fmt.Errorf("make it in %s: %w", h.mount, class(err))
	}
	if h.v2 || !slices.Contains(h.controllers, "cpuset") {
		return nil
	}
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		above, err := readAt(h.fd, file)
		if err == nil {
			err = writeAt(h.fd, g.id+"/"+file, above, g.p.extra)
		}
		if err != nil {
			unix.Unlinkat(h.fd, g.id, unix.AT_REMOVEDIR)
			return err
		}
	}
	return nil
}

// Attach is what a birth inherits to enter a group. Close it after the birth.
type Attach struct {
	// Tasks are the tasks files of version 1, open for writing: the single-threaded child writes "0" to each (a process
	// that writes another's id waits milliseconds for a grace period).
	Tasks []int
	// Dir is the directory in version 2, for CLONE_INTO_CGROUP; -1 without.
	Dir int
}

// Close closes all descriptors.
func (a *Attach) Close() {
	for _, fd := range a.Tasks {
		unix.Close(fd)
	}
	if a.Dir >= 0 {
		unix.Close(a.Dir)
	}
	a.Tasks, a.Dir = nil, -1
}

// Attach opens what a new process of the group needs; all descriptors are close-on-exec.
func (g *Group) Attach() (*Attach, error) {
	a := &Attach{Dir: -1}
	for _, h := range g.p.host.hierarchies {
		path, flags := g.id+"/tasks", unix.O_WRONLY
		if h.v2 {
			path, flags = g.id, unix.O_RDONLY|unix.O_DIRECTORY
		}
		fd, err := unix.Openat(h.fd, path, flags|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
		switch {
		case err == unix.ENOENT && h.lazy():
		case err != nil:
			a.Close()
			return nil, fmt.Errorf("control group %s in %s: %w", g.id, h.mount, class(err))
		case h.v2:
			a.Dir = fd
		default:
			a.Tasks = append(a.Tasks, fd)
		}
	}
	return a, nil
}

// Procs lists the processes of the group and of the groups below it, in the caller's pid namespace.
func (g *Group) Procs() ([]int, error) {
	h := g.p.host.primary()
	var pids []int
	err := walk(h.fd, g.id, maxDepth, func(dir int, name string) error {
		s, err := readAt(dir, name+"/cgroup.procs")
		if err == unix.EOPNOTSUPP { // a threaded group: its processes are listed above it
			return nil
		}
		for f := range strings.FieldsSeq(s) {
			if pid, err := strconv.Atoi(f); err == nil && pid > 0 {
				pids = append(pids, pid)
			}
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("processes of control group %s: %w", g.id, class(err))
	}
	return pids, nil
}

// walk calls fn for the groups below name and then for name itself. Groups that vanish meanwhile are no error, save
// the first.
func walk(dir int, name string, depth int, fn func(dir int, name string) error) error {
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	entries, err := f.ReadDir(-1)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		if depth == 0 {
			return fmt.Errorf("more than %d groups within each other: %w", maxDepth, unix.ELOOP)
		}
		if err := walk(fd, e.Name(), depth-1, fn); err != nil && err != unix.ENOENT {
			return err
		}
	}
	return fn(dir, name)
}

// Remove removes the group and all below it, in every hierarchy. The kernel may take a while to let go of the last
// process: it is tried again until ctx ends. Call it off the path of a start or stop: it first has page cache
// reclaimed, so that what is left of it does not keep the dead group in memory (traps 37). A group that is not there
// is no error.
func (g *Group) Remove(ctx context.Context) error {
	g.reclaim()
	var errs []error
	for _, h := range g.p.host.hierarchies {
		err := retry(ctx, func() error {
			err := walk(h.fd, g.id, maxDepth, func(dir int, name string) error {
				return unix.Unlinkat(dir, name, unix.AT_REMOVEDIR)
			})
			if err == unix.ENOENT {
				return nil
			}
			return err
		})
		if err != nil {
			errs = append(errs, fmt.Errorf("remove control group %s in %s: %w", g.id, h.mount, err))
		}
	}
	return errors.Join(errs...)
}

// reclaim is an attempt: a page that others use too stays, and removal does not depend on it.
func (g *Group) reclaim() {
	h := g.p.host.find("memory")
	switch {
	case h == nil:
	case !h.v2:
		_ = writeAt(h.fd, g.id+"/memory.force_empty", "0", 0)
	default:
		if used, err := readAt(h.fd, g.id+"/memory.current"); err == nil {
			_ = writeAt(h.fd, g.id+"/memory.reclaim", used, 0)
		}
	}
}

// maxWait bounds every wait for the kernel, whatever the caller's context says.
const maxWait = 30 * time.Second

// retry repeats try while it fails with EBUSY or EAGAIN, from 0.2 to 50 ms apart, until ctx ends.
func retry(ctx context.Context, try func() error) error {
	ctx, cancel := context.WithTimeout(ctx, maxWait)
	defer cancel()
	for pause := 200 * time.Microsecond; ; pause = min(2*pause, 50*time.Millisecond) {
		err := try()
		if !errors.Is(err, unix.EBUSY) && !errors.Is(err, unix.EAGAIN) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w (%w)", err, ctx.Err())
		case <-time.After(pause):
		}
	}
}

// List names every group of the engine that exists in any hierarchy, for the sweep after a crash.
func (p *Parent) List() ([]string, error) {
	var ids []string
	for _, h := range p.host.hierarchies {
		fd, err := unix.Openat(h.fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return nil, fmt.Errorf("list control groups in %s: %w", h.mount, err)
		}
		f := os.NewFile(uintptr(fd), h.base)
		entries, err := f.ReadDir(-1)
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("list control groups in %s: %w", h.mount, err)
		}
		for _, e := range entries {
			if e.IsDir() && validID(e.Name()) {
				ids = append(ids, e.Name())
			}
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

// class gives an errno the class by which callers tell people about it.
func class(err error) error {
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENODEV):
		return fmt.Errorf("%w: %w", errdefs.ErrNotFound, err)
	case errors.Is(err, unix.EEXIST):
		return fmt.Errorf("%w: %w", errdefs.ErrAlreadyExists, err)
	}
	return err
}

// writeAt writes value to a control file in one call.
func writeAt(dir int, path, value string, extra int) error {
	fd, err := unix.Openat(dir, path, unix.O_WRONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW|extra, 0o600)
	if err == nil {
		_, err = unix.Write(fd, []byte(value))
		unix.Close(fd)
	}
	if err != nil {
		return fmt.Errorf("write %q to %s: %w", value, path, err)
	}
	return nil
}

// readAt reads a whole control file, without the white space around it.
func readAt(dir int, path string) (string, error) {
	fd, err := unix.Openat(dir, path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return "", err
	}
	f := os.NewFile(uintptr(fd), path)
	defer f.Close()
	b, err := io.ReadAll(f)
	var pe *os.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return strings.TrimSpace(string(b)), err
}
