package cgroup

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/control"
	"github.com/brig-engine/brig/internal/wire"
)

// setting is one bound in both versions. One with an empty value is not written.
type setting struct {
	controller string
	// usual marks a default that nobody asked for: where the kernel lacks the file it is left out (and wire.Groups.Missing
	// says so). Everything else is refused there.
	usual  bool
	v1, v2 knob
}

type knob struct{ file, value string }

// settings gives the files to write, in the order that the kernel needs in a new group. bfq tells whether version 2 has
// the BFQ scheduler's weights, which have the scale of version 1 (10 to 1000); those of iocost go from 1 to 10000. What version 2 has in place of
// shares, quota and weight, brigd has computed.
func settings(res wire.Resources, bfq bool) []setting {
	both := cmp.Or(res.MemorySwap, res.Memory)
	swap := strconv.FormatInt(both-res.Memory, 10)
	io := knob{"io.weight", number(res.IOWeight)}
	if bfq {
		io = knob{"io.bfq.weight", number(res.BlkioWeight)}
	}
	limit, pids := number(res.Memory), knob{"pids.max", number(res.Pids)}
	cpus, mems := knob{"cpuset.cpus", res.CpusetCpus}, knob{"cpuset.mems", res.CpusetMems}
	list := []setting{
		{"memory", true, knob{"memory.limit_in_bytes", limit}, knob{"memory.max", limit}},
		{"memory", both == res.Memory, knob{"memory.memsw.limit_in_bytes", number(both)},
			knob{"memory.swap.max", swap}},
		{"memory", false, knob{"memory.soft_limit_in_bytes", number(res.MemoryReservation)},
			knob{"memory.low", number(res.MemoryReservation)}},
		{"cpu", res.CPUShares == 1024, knob{"cpu.shares", number(res.CPUShares)}, knob{"cpu.weight", number(res.CPUWeight)}},
		{"cpu", false, knob{"cpu.cfs_period_us", number(res.CPUPeriod)}, knob{}},
		{"cpu", false, knob{"cpu.cfs_quota_us", number(res.CPUQuota)}, knob{"cpu.max", res.CPUMax}},
		{"pids", true, pids, pids},
		{"cpuset", false, cpus, cpus},
		{"cpuset", false, mems, mems},
		{"blkio", false, knob{"blkio.bfq.weight", number(res.BlkioWeight)}, io},
	}
	for _, r := range res.Rates {
		most := number(r.Most)
		list = append(list, setting{"blkio", false, knob{"blkio.throttle." + rates[r.Kind], r.Disk + " " + most},
			knob{"io.max", r.Disk + " " + r.Kind + "=" + most}})
	}
	return list
}

// rates are the files of version 1.
var rates = map[string]string{"rbps": "read_bps_device", "wbps": "write_bps_device", "riops": "read_iops_device",
	"wiops": "write_iops_device"}

// number is "" for 0: nothing was asked.
func number[T uint16 | uint64 | int64](n T) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}

// bound writes every bound of res, also behind one that is refused, and gives the first refusal.
func (g *Group) bound(res wire.Resources) error {
	var err error
	io := g.p.find("blkio")
	bfq := res.BlkioWeight != 0 && io != nil && unix.Faccessat(io.fd, "io.bfq.weight", unix.F_OK, 0) == nil
	for _, s := range settings(res, bfq) {
		err = cmp.Or(err, g.set(s))
	}
	return err
}

func (g *Group) set(s setting) error {
	h := g.p.find(s.controller)
	c := s.v1
	if h != nil && h.v2 {
		c = s.v2
	}
	if c.value == "" {
		return nil
	}
	err := error(unix.ENOENT)
	if h != nil {
		err = control.Write(h.fd, g.id+"/"+c.file, c.value, g.p.extra)
	}
	switch {
	case !errors.Is(err, unix.ENOENT):
		return class(err)
	case s.usual:
		return nil
	}
	return fmt.Errorf("the control groups of this kernel have no %s: %w", c.file, errdefs.ErrNotImplemented)
}

// OOMKills counts the processes of the group that the kernel killed for want of memory. In one that is gone, or that no
// controller counts for, there were none.
func (g *Group) OOMKills() int64 {
	h, file := g.p.find("memory"), "memory.oom_control"
	if h == nil {
		return 0
	}
	if h.v2 {
		file = "memory.events"
	}
	s, _ := control.Read(h.fd, g.id+"/"+file)
	_, n, _ := strings.Cut("\n"+s, "\noom_kill ")
	n, _, _ = strings.Cut(n, "\n")
	kills, _ := strconv.ParseInt(n, 10, 64)
	return kills
}
