package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Setting is one value in both versions; a file that is "" is one that this version does not have.
type Setting struct {
	field      string // of the configuration, for errors
	controller string
	v1, v2     control
}

type control struct{ file, value string }

// Settings are what is to be written for resources of a configuration, in their order; what it does not name stays as it is.
func (g *Group) Settings(r *specs.LinuxResources) ([]Setting, error) {
	if r == nil {
		return nil, nil
	}
	list, err := g.memory(r.Memory)
	if err != nil {
		return nil, err
	}
	list = append(append(list, g.cpu(r.CPU)...), rest(r)...)
	list = append(list, g.blkio(r.BlockIO)...)
	for _, file := range slices.Sorted(maps.Keys(r.Unified)) {
		if g.unified() == nil || file != filepath.Base(file) {
			return nil, fmt.Errorf("resources.unified: %s: there is no such file of version 2", file)
		}
		list = append(list, Setting{"unified", "", control{}, control{file, r.Unified[file]}})
	}
	return list, nil
}

// Write writes settings. The sum of memory and swap is never below memory alone: when that is raised, the sum comes first.
func (g *Group) Write(list []Setting) error {
	for i, s := range list {
		err := g.set(s)
		if err != nil && s.field == "memory.limit" && i+1 < len(list) && list[i+1].field == "memory.swap" {
			if err = g.set(list[i+1]); err == nil {
				err = g.set(s)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// pick finds the controller, and which of the two it is.
func (g *Group) pick(s Setting) (*Dir, control) {
	d := g.find(s.controller)
	if s.field == "unified" {
		d = g.unified()
	}
	if d != nil && d.V2() {
		return d, s.v2
	}
	return d, s.v1
}

func (g *Group) set(s Setting) error {
	d, c := g.pick(s)
	if d == nil {
		return fmt.Errorf("resources.%s: the control groups of this machine have no controller %s", s.field, s.controller)
	}
	if c.file == "" {
		return fmt.Errorf("resources.%s: version 2 of control groups has no such thing", s.field)
	}
	err := write(d.file(c.file), c.value)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("resources.%s: the control groups of this kernel have no %s", s.field, c.file)
	}
	if err != nil {
		return fmt.Errorf("resources.%s: %w", s.field, err)
	}
	return nil
}

func write(file, value string) error {
	fd, err := unix.Open(file, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err == nil {
		for err = unix.EINTR; err == unix.EINTR; {
			_, err = unix.Write(fd, []byte(value))
		}
		unix.Close(fd)
	}
	if err != nil {
		return fmt.Errorf("write %q to %s: %w", value, filepath.Base(file), err)
	}
	return nil
}

func number[T int64 | uint64 | uint32 | uint16](n *T) string { return fmt.Sprint(*n) }

// limit spells a bound in version 2, where below zero is none.
func limit(n int64) string {
	if n < 0 {
		return "max"
	}
	return strconv.FormatInt(n, 10)
}

func (g *Group) memory(m *specs.LinuxMemory) (list []Setting, err error) {
	if m == nil {
		return nil, nil
	}
	if m.Limit != nil {
		list = append(list, Setting{"memory.limit", "memory", control{"memory.limit_in_bytes", number(m.Limit)},
			control{"memory.max", limit(*m.Limit)}})
	}
	if m.Swap != nil {
		swap := *m.Swap
		if d := g.find("memory"); d != nil && d.V2() && swap > 0 {
			memory := int64(-1)
			if m.Limit != nil {
				memory = *m.Limit
			} else if n, err := strconv.ParseInt(g.now("memory", "memory.max"), 10, 64); err == nil {
				memory = n // which holds already
			}
			if memory <= 0 || swap < memory {
				return nil, fmt.Errorf("resources.memory.swap: %d is memory and swap together, and no less than memory.limit", swap)
			}
			swap -= memory
		}
		s := Setting{"memory.swap", "memory", control{"memory.memsw.limit_in_bytes", number(m.Swap)},
			control{"memory.swap.max", limit(swap)}}
		if !g.lacksSwap(m) {
			list = append(list, s)
		}
	}
	if m.Reservation != nil {
		list = append(list, Setting{"memory.reservation", "memory", control{"memory.soft_limit_in_bytes", number(m.Reservation)},
			control{"memory.low", limit(*m.Reservation)}})
	}
	if m.KernelTCP != nil {
		list = append(list, Setting{"memory.kernelTCP", "memory", control{"memory.kmem.tcp.limit_in_bytes", number(m.KernelTCP)}, control{}})
	}
	if m.Swappiness != nil {
		list = append(list, Setting{"memory.swappiness", "memory", control{"memory.swappiness", number(m.Swappiness)}, control{}})
	}
	if m.DisableOOMKiller != nil && *m.DisableOOMKiller {
		list = append(list, Setting{"memory.disableOOMKiller", "memory", control{"memory.oom_control", "1"}, control{}})
	}
	return list, nil
}

// lacksSwap: no swap beyond memory is what holds where the kernel does not count it and has none.
func (g *Group) lacksSwap(m *specs.LinuxMemory) bool {
	d := g.find("memory")
	if d == nil || m.Swap == nil {
		return false
	}
	file := "memory.memsw.limit_in_bytes"
	if d.V2() {
		file = "memory.swap.max"
	}
	_, err := os.Lstat(d.file(file))
	swaps, readErr := os.ReadFile("/proc/swaps")
	return err != nil && readErr == nil && strings.Count(string(swaps), "\n") <= 1
}

func (g *Group) cpu(c *specs.LinuxCPU) (list []Setting) {
	if c == nil {
		return nil
	}
	add := func(field, controller string, v1, v2 control) {
		list = append(list, Setting{"cpu." + field, controller, v1, v2})
	}
	if c.Idle != nil {
		add("idle", "cpu", control{"cpu.idle", number(c.Idle)}, control{"cpu.idle", number(c.Idle)})
	}
	if c.Shares != nil && *c.Shares != 0 {
		add("shares", "cpu", control{"cpu.shares", number(c.Shares)}, control{"cpu.weight", fmt.Sprint(weight(*c.Shares))})
	}
	if c.Burst != nil {
		add("burst", "cpu", control{"cpu.cfs_burst_us", number(c.Burst)}, control{"cpu.max.burst", number(c.Burst)})
	}
	if c.Period != nil && *c.Period != 0 {
		add("period", "cpu", control{"cpu.cfs_period_us", number(c.Period)}, g.bandwidth(c))
	}
	if c.Quota != nil && *c.Quota != 0 {
		add("quota", "cpu", control{"cpu.cfs_quota_us", number(c.Quota)}, g.bandwidth(c))
	}
	if c.RealtimePeriod != nil && *c.RealtimePeriod != 0 {
		add("realtimePeriod", "cpu", control{"cpu.rt_period_us", number(c.RealtimePeriod)}, control{})
	}
	if c.RealtimeRuntime != nil && *c.RealtimeRuntime != 0 {
		add("realtimeRuntime", "cpu", control{"cpu.rt_runtime_us", number(c.RealtimeRuntime)}, control{})
	}
	if c.Cpus != "" {
		add("cpus", "cpuset", control{"cpuset.cpus", c.Cpus}, control{"cpuset.cpus", c.Cpus})
	}
	if c.Mems != "" {
		add("mems", "cpuset", control{"cpuset.mems", c.Mems}, control{"cpuset.mems", c.Mems})
	}
	return list
}

// bandwidth is version 2's pair of quota and period. Of what is not asked for it keeps what holds.
func (g *Group) bandwidth(c *specs.LinuxCPU) control {
	quota, period := "max", "100000"
	if now := strings.Fields(g.now("cpu", "cpu.max")); len(now) == 2 {
		quota, period = now[0], now[1]
	}
	if c.Quota != nil && *c.Quota > 0 {
		quota = number(c.Quota)
	} else if c.Quota != nil && *c.Quota < 0 {
		quota = "max"
	}
	if c.Period != nil && *c.Period != 0 {
		period = number(c.Period)
	}
	return control{"cpu.max", quota + " " + period}
}

// now is what a file of version 2 says, or nothing.
func (g *Group) now(controller, file string) string {
	d := g.find(controller)
	if d == nil || !d.V2() {
		return ""
	}
	return d.text(file)
}

func (d *Dir) text(file string) string {
	b, _ := os.ReadFile(d.file(file))
	return strings.TrimSpace(string(b))
}

// weight converts shares (2 to 262144, default 1024) to a weight of version 2 (1 to 10000, default 100) by the curve that
// engines agreed upon: 10 to the power of (l²+125l)/612 − 7/34, where l is the binary logarithm.
func weight(shares uint64) uint64 {
	switch {
	case shares <= 2:
		return 1
	case shares >= 262144:
		return 10000
	}
	l := math.Log2(float64(shares))
	return uint64(math.Ceil(math.Pow(10, (l*l+125*l)/612-7.0/34)))
}

// rest is what has one file each.
func rest(r *specs.LinuxResources) (list []Setting) {
	if p := r.Pids; p != nil && p.Limit != nil {
		value := "max"
		if *p.Limit > 0 {
			value = number(p.Limit)
		}
		list = append(list, Setting{"pids.limit", "pids", control{"pids.max", value}, control{"pids.max", value}})
	}
	for _, h := range r.HugepageLimits {
		value := fmt.Sprint(h.Limit)
		list = append(list, Setting{"hugepageLimits", "hugetlb", control{"hugetlb." + h.Pagesize + ".limit_in_bytes", value},
			control{"hugetlb." + h.Pagesize + ".max", value}})
	}
	if n := r.Network; n != nil {
		if n.ClassID != nil {
			list = append(list, Setting{"network.classID", "net_cls", control{"net_cls.classid", number(n.ClassID)}, control{}})
		}
		for _, p := range n.Priorities {
			list = append(list, Setting{"network.priorities", "net_prio",
				control{"net_prio.ifpriomap", fmt.Sprintf("%s %d", p.Name, p.Priority)}, control{}})
		}
	}
	for _, device := range slices.Sorted(maps.Keys(r.Rdma)) {
		value := device
		if h := r.Rdma[device].HcaHandles; h != nil {
			value += " hca_handle=" + number(h)
		}
		if o := r.Rdma[device].HcaObjects; o != nil {
			value += " hca_object=" + number(o)
		}
		list = append(list, Setting{"rdma", "rdma", control{"rdma.max", value}, control{"rdma.max", value}})
	}
	return list
}
