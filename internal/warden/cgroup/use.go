package cgroup

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/wire"
)

// readings are the files that tell what a group uses, of either version.
var readings = map[string][]string{
	"memory": {"memory.current", "memory.max", "memory.usage_in_bytes", "memory.limit_in_bytes", "memory.max_usage_in_bytes", "memory.stat"},
	"cpu":    {"cpu.stat", "cpuacct.usage", "cpuacct.usage_percpu", "cpuacct.stat"},
	"pids":   {"pids.current", "pids.max"},
	"blkio":  {"io.stat", "blkio.throttle.io_service_bytes_recursive", "blkio.throttle.io_serviced_recursive"},
}

// Readings opens those that this kernel has, for reading.
func (g *Group) Readings() (names []string, fds []int) {
	for controller, files := range readings {
		h := g.p.find(controller)
		for _, file := range files {
			if h == nil {
				break
			}
			fd, err := unix.Openat(h.fd, g.id+"/"+file, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
			if err == nil {
				names, fds = append(names, file), append(fds, fd)
			}
		}
	}
	return names, fds
}

// Processes are the numbers of those in the group.
func (g *Group) Processes() ([]string, error) {
	list, err := readAt(g.p.unified().fd, g.id+"/cgroup.procs")
	return strings.Fields(list), class(err)
}

// freezePatience is for processes that wait for a disk.
const freezePatience = 10 * time.Second

// Freeze stops every process of the group, or lets them go on, and waits until that is so.
func (g *Group) Freeze(frozen bool) error {
	value, fd := map[bool]string{true: "1", false: "0"}[frozen], g.p.unified().fd
	err := writeAt(fd, g.id+"/cgroup.freeze", value, 0)
	for end := time.Now().Add(freezePatience); err == nil && time.Now().Before(end); time.Sleep(time.Millisecond) {
		if state, _ := readAt(fd, g.id+"/cgroup.events"); strings.Contains(state, "frozen "+value) {
			return nil
		}
	}
	return fmt.Errorf("freeze control group %s: %w", g.id, class(cmp.Or(err, error(unix.ETIMEDOUT))))
}

// Update sets every bound of res anew. A bound may be refused before another one has moved out of its way (memory, and
// memory with swap): what counts is the second round.
func (g *Group) Update(res wire.Resources) error {
	_ = g.bound(res)
	return g.bound(res)
}
