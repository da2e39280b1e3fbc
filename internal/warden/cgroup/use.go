package cgroup

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/control"
	"github.com/brig-engine/brig/internal/wire"
)

// readings are the files that tell what a group uses, of either version. Bounds are not among them: brigd knows them.
var readings = []string{"memory.current", "memory.events", "memory.stat", "memory.usage_in_bytes", "memory.max_usage_in_bytes",
	"memory.failcnt", "cpu.stat", "cpuacct.usage_percpu", "pids.current", "io.stat",
	"blkio.throttle.io_service_bytes_recursive", "blkio.throttle.io_serviced_recursive"}

// Readings opens those that this kernel has, for reading. The name of a file of version 1 begins with "v1/": cpu.stat is
// in both, and only version 2 counts time whatever controllers there are.
func (g *Group) Readings() (names []string, fds []int) {
	for _, h := range g.p.hierarchies {
		prefix := map[bool]string{false: "v1/"}[h.v2]
		for _, file := range readings {
			fd, err := unix.Openat(h.fd, g.id+"/"+file, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
			if err == nil {
				names, fds = append(names, prefix+file), append(fds, fd)
			}
		}
	}
	return names, fds
}

// Processes are the numbers of those in the group.
func (g *Group) Processes() ([]string, error) {
	list, err := control.Read(g.p.unified().fd, g.id+"/cgroup.procs")
	return strings.Fields(list), class(err)
}

// freezePatience is for processes that wait for a disk.
const freezePatience = 10 * time.Second

// Freeze stops every process of the group, or lets them go on, and waits until that is so.
func (g *Group) Freeze(frozen bool) error { return cmp.Or(g.Tell(frozen), g.Await(frozen)) }

// Tell has every process of the group stand still soon, or go on.
func (g *Group) Tell(frozen bool) error {
	return class(control.Write(g.p.unified().fd, g.id+"/cgroup.freeze", standing(frozen), 0))
}

// Await waits until what Tell said is so.
func (g *Group) Await(frozen bool) error {
	err := error(nil)
	for end := time.Now().Add(freezePatience); err == nil && time.Now().Before(end); time.Sleep(time.Millisecond) {
		var state string
		if state, err = control.Read(g.p.unified().fd, g.id+"/cgroup.events"); strings.Contains(state, "frozen "+standing(frozen)) {
			return nil
		}
	}
	return fmt.Errorf("freeze control group %s: %w", g.id, class(cmp.Or(err, error(unix.ETIMEDOUT))))
}

func standing(frozen bool) string { return map[bool]string{true: "1", false: "0"}[frozen] }

// Frozen tells whether the group was told to stand still. Nothing can be born in it then.
func (g *Group) Frozen() bool {
	s, _ := control.Read(g.p.unified().fd, g.id+"/cgroup.freeze")
	return s == "1"
}

// Update sets every bound of res anew. A bound may be refused before another one has moved out of its way (memory, and
// memory with swap): what counts is the second round.
func (g *Group) Update(res wire.Resources) error {
	for _, h := range g.p.hierarchies {
		if h.lazy() && (res.CpusetCpus != "" || res.CpusetMems != "") {
			if err := g.follow(h); err != nil {
				return fmt.Errorf("control group %s in %v: %w", g.id, h.Used, class(err))
			}
		}
	}
	_ = g.bound(res)
	return g.bound(res)
}

// follow moves the processes into a hierarchy in which they may have had no group so far. Meanwhile they stand still: a
// child that is born between a look and a move would stay outside.
func (g *Group) follow(h *hierarchy) error {
	if err := unix.Mkdirat(h.fd, g.id, 0o755); err != nil && err != unix.EEXIST {
		return err
	}
	if err := g.p.inherit(h, g.id); err != nil { // nothing may enter it as it is
		unix.Unlinkat(h.fd, g.id, unix.AT_REMOVEDIR)
		return err
	}
	if !g.Frozen() {
		defer g.Freeze(false)
	}
	err := g.Freeze(true)
	pids, perr := g.Processes()
	for _, pid := range pids {
		if moved := control.Write(h.fd, g.id+"/cgroup.procs", pid, 0); err == nil && !errors.Is(moved, unix.ESRCH) {
			err = moved
		}
	}
	return cmp.Or(err, perr)
}
