package cgroup

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/bpf"
	"github.com/brig-engine/brig/internal/kernel/control"
	"github.com/brig-engine/brig/internal/kernel/path"
	"github.com/brig-engine/brig/internal/wire"
)

// Group is one container's group: a directory of the same name in each hierarchy. It holds no descriptor (traps 12).
type Group struct {
	p  *Parent
	id string
}

func validID(id string) bool {
	return len(id) >= 1 && len(id) <= 64 && strings.Trim(id,
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") == ""
}

// Open names an existing group, one that Create made or List found; whether it exists still is found out by using it
// (errdefs.ErrNotFound).
func (p *Parent) Open(id string) *Group { return &Group{p, id} }

// Create makes a group and sets every bound of res. It leaves nothing behind when it fails.
func (p *Parent) Create(id string, res wire.Resources) (*Group, error) {
	if !validID(id) {
		return nil, fmt.Errorf("control group %q: not a name: %w", id, errdefs.ErrInvalidArgument)
	}
	g, err := p.Open(id), error(nil)
	var made []int
	for _, h := range p.hierarchies {
		if h.lazy() && res.CpusetCpus == "" && res.CpusetMems == "" {
			continue
		}
		if err = unix.Mkdirat(h.fd, id, 0o755); err != nil {
			err = class(err)
			break
		}
		made = append(made, h.fd)
		if err = p.inherit(h, id); err != nil {
			break
		}
	}
	if err == nil {
		err = g.bound(res)
	}
	if err == nil {
		err = g.refuseDevices(p.prog, -1)
	}
	if err != nil {
		for _, fd := range made {
			unix.Unlinkat(fd, id, unix.AT_REMOVEDIR)
		}
		return nil, fmt.Errorf("control group %s: %w", id, err)
	}
	return g, nil
}

// refuseDevices leaves the group what prog allows: the devices of every container, if it is that of all.
func (g *Group) refuseDevices(prog, old int) error {
	dir, err := control.Dir(g.p.unified().fd, g.id)
	if err != nil {
		return class(err)
	}
	defer unix.Close(dir)
	return bpf.AttachDevice(dir, prog, old)
}

// Device is one that a group may use beside those of every container; Access has bits of BPF_DEVCG_ACC.
type Device struct{ Major, Minor, Access uint32 }

// Allow lets the group use more devices. Each is a block of eight instructions in front of the decisions of the program, with
// operands that are the device's (dist/embed/devices).
func (g *Group) Allow(more []Device) error {
	if len(more) == 0 {
		return nil
	}
	const decisions, block, access, major, minor = 6 * 8, 8 * 8, 2*8 + 4, 4*8 + 4, 5*8 + 4
	end := len(g.p.device) - block
	code := slices.Clone(g.p.device[:decisions])
	for _, d := range more {
		code = append(code, g.p.device[end:]...)
		at := code[len(code)-block:]
		binary.LittleEndian.PutUint32(at[access:], ^d.Access)
		binary.LittleEndian.PutUint32(at[major:], d.Major)
		binary.LittleEndian.PutUint32(at[minor:], d.Minor)
	}
	prog, err := bpf.LoadProgram(bpf.CgroupDevice, "brig_devices", append(code, g.p.device[decisions:end]...))
	if err != nil {
		return err
	}
	defer unix.Close(prog)
	return g.refuseDevices(prog, g.p.prog)
}

// Attach opens what a new process needs to enter the group, close-on-exec: the directory in version 2, for
// CLONE_INTO_CGROUP, and the tasks files of version 1 for writing: the single-threaded child writes "0" to each (a
// process that writes another's id waits milliseconds for a grace period).
func (g *Group) Attach() (dir int, tasks []int, err error) {
	dir, err = control.Dir(g.p.unified().fd, g.id)
	if err != nil {
		return -1, nil, fmt.Errorf("control group %s: %w", g.id, class(err))
	}
	for _, h := range g.p.hierarchies[1:] {
		fd, err := unix.Openat(h.fd, g.id+"/tasks", unix.O_WRONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
		switch {
		case err == nil:
			tasks = append(tasks, fd)
		case err != unix.ENOENT || !h.lazy():
			wire.CloseAll(append(tasks, dir))
			return -1, nil, fmt.Errorf("control group %s in %v: %w", g.id, h.Used, class(err))
		}
	}
	return dir, tasks, nil
}

// Tasks is the number of hierarchies of version 1 that every process enters.
func (p *Parent) Tasks() int {
	return len(slices.DeleteFunc(slices.Clone(p.hierarchies[1:]), (*hierarchy).lazy))
}

// Kill has the kernel send SIGKILL to every process of the group and of those below, frozen or forking or not. It does
// not wait for their end. Nobody is in a group that is not there.
func (g *Group) Kill() error {
	if err := control.Write(g.p.unified().fd, g.id+"/cgroup.kill", "1", 0); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("kill control group %s: %w", g.id, class(err))
	}
	return nil
}

// Remove removes the group and all below it, in every hierarchy. The kernel may take a while to let go of the last
// process: it is tried again for as long as patience lasts. Page cache is not reclaimed first (traps 37): most of it is the
// image's, which the next container reads from there instead of from the disk. A group that is not there is no error.
func (g *Group) Remove(patience time.Duration) (failed error) {
	end := time.Now().Add(patience)
	for _, h := range g.p.hierarchies {
		err := unix.Unlinkat(h.fd, g.id, unix.AT_REMOVEDIR)
		for pause := 200 * time.Microsecond; err == unix.EBUSY && time.Now().Before(end); {
			time.Sleep(pause)
			pause = min(2*pause, 50*time.Millisecond)
			err = removeAll(h.fd, g.id)
		}
		if err != nil && err != unix.ENOENT {
			failed = errors.Join(failed, fmt.Errorf("remove control group %s in %v: %w", g.id, h.Used, err))
		}
	}
	return failed
}

// removeAll removes a group and those that were made in it, the deepest first; it gives the error of the first named.
func removeAll(dir int, name string) error {
	var groups []string
	filepath.WalkDir(path.Proc(dir)+"/"+name, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			groups = append(groups, path)
		}
		return nil // what cannot be read keeps the group above it from going
	})
	err := error(unix.ENOENT)
	for _, group := range slices.Backward(groups) {
		err = unix.Rmdir(group)
	}
	return err
}

// List names every group of the engine that exists in any hierarchy, for the sweep after a crash.
func (p *Parent) List() ([]string, error) {
	var ids []string
	for _, h := range p.hierarchies {
		entries, err := os.ReadDir(path.Proc(h.fd))
		if err != nil {
			return nil, fmt.Errorf("list control groups in %v: %w", h.Used, err)
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
