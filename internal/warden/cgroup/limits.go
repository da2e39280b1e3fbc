package cgroup

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/wire"
)

// setting is one value of one control file.
type setting struct {
	controller, file, value string
	// fallback is the default of a bound that nobody asked for: where the kernel lacks the file it is left out (and
	// Host.Missing says so). Everything else is refused there.
	fallback bool
}

// validate holds res against what the kernel takes. all: memory and pids must be bounded; else zero means "as it is".
func validate(res wire.Resources, all bool) error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf(format+": %w", append(args, errdefs.ErrInvalidArgument)...)
	}
	list := func(s string) bool { return len(s) <= 1024 && strings.Trim(s, "0123456789,-") == "" }
	switch {
	case res.Memory < 0 || all && res.Memory == 0:
		return bad("memory limit of %d bytes: it must be positive", res.Memory)
	case res.Pids < 0 || all && res.Pids == 0:
		return bad("limit of %d processes: it must be positive", res.Pids)
	case res.MemorySwap < -1 || res.MemorySwap > 0 && res.MemorySwap < res.Memory:
		return bad("memory and swap of %d bytes: it includes memory (%d), and -1 is no bound on swap",
			res.MemorySwap, res.Memory)
	case res.MemoryReservation < 0:
		return bad("memory reservation of %d bytes: it must be positive", res.MemoryReservation)
	case res.CPUShares == 1 || res.CPUShares > 262144:
		return bad("CPU shares of %d: 2 to 262144 are possible", res.CPUShares)
	case res.CPUQuota < -1 || res.CPUQuota >= 0 && res.CPUQuota < 1000 && res.CPUQuota != 0:
		return bad("CPU quota of %d µs: 1000 and more are possible, -1 is no quota", res.CPUQuota)
	case res.CPUPeriod != 0 && (res.CPUPeriod < 1000 || res.CPUPeriod > 1000000):
		return bad("CPU period of %d µs: 1000 to 1000000 are possible", res.CPUPeriod)
	case !list(res.CpusetCpus) || !list(res.CpusetMems):
		return bad("list of processors %q or memory nodes %q: only digits, commas and dashes",
			res.CpusetCpus, res.CpusetMems)
	case res.BlkioWeight != 0 && (res.BlkioWeight < 10 || res.BlkioWeight > 1000):
		return bad("block device weight of %d: 10 to 1000 are possible", res.BlkioWeight)
	}
	return checkDevices(res.Devices)
}

// settings gives the files to write, in order, for every field of res that is not zero.
func (p *Parent) settings(res wire.Resources) []setting {
	v2 := func(controller string) bool {
		h := p.host.find(controller)
		return h != nil && h.v2
	}
	out := memorySettings(res, v2("memory"))
	out = append(out, cpuSettings(res, v2("cpu"))...)
	add := func(on bool, s setting) {
		if on {
			out = append(out, s)
		}
	}
	add(res.Pids != 0, setting{"pids", "pids.max", strconv.FormatInt(res.Pids, 10), true})
	add(res.CpusetCpus != "", setting{"cpuset", "cpuset.cpus", res.CpusetCpus, false})
	add(res.CpusetMems != "", setting{"cpuset", "cpuset.mems", res.CpusetMems, false})
	if res.BlkioWeight != 0 {
		out = append(out, p.blkioSetting(uint64(res.BlkioWeight), v2("blkio")))
	}
	return out
}

// blkioSetting: the BFQ scheduler has the scale of version 1 (10 to 1000) in both; iocost has 1 to 10000.
func (p *Parent) blkioSetting(w uint64, v2 bool) setting {
	s := setting{"blkio", "blkio.bfq.weight", strconv.FormatUint(w, 10), false}
	if !v2 {
		return s
	}
	s.file = "io.bfq.weight"
	if unix.Faccessat(p.host.find("blkio").fd, s.file, unix.F_OK, 0) != nil {
		s.file, s.value = "io.weight", strconv.FormatUint(1+(w-10)*9999/990, 10)
	}
	return s
}

func memorySettings(res wire.Resources, v2 bool) []setting {
	var out []setting
	add := func(on bool, file string, value int64, fallback bool) {
		s := strconv.FormatInt(value, 10)
		if value < 0 && v2 {
			s = "max"
		}
		if on {
			out = append(out, setting{"memory", file, s, fallback})
		}
	}
	both := res.MemorySwap
	if both == 0 {
		both = res.Memory
	}
	asked := res.MemorySwap != 0 && res.MemorySwap != res.Memory
	if !v2 {
		add(res.Memory != 0, "memory.limit_in_bytes", res.Memory, true)
		add(both != 0, "memory.memsw.limit_in_bytes", both, !asked)
		add(res.MemoryReservation != 0, "memory.soft_limit_in_bytes", res.MemoryReservation, false)
		return out
	}
	swap := int64(-1)
	if both >= 0 {
		swap = both - res.Memory
	}
	add(res.Memory != 0, "memory.max", res.Memory, true)
	add(both != 0, "memory.swap.max", swap, !asked)
	add(res.MemoryReservation != 0, "memory.low", res.MemoryReservation, false)
	return out
}

func cpuSettings(res wire.Resources, v2 bool) []setting {
	var out []setting
	usual := res.CPUShares == 1024
	if !v2 {
		if res.CPUShares != 0 {
			out = append(out, setting{"cpu", "cpu.shares", strconv.FormatUint(res.CPUShares, 10), usual})
		}
		if res.CPUPeriod != 0 {
			out = append(out, setting{"cpu", "cpu.cfs_period_us", strconv.FormatUint(res.CPUPeriod, 10), false})
		}
		if res.CPUQuota != 0 {
			out = append(out, setting{"cpu", "cpu.cfs_quota_us", strconv.FormatInt(res.CPUQuota, 10), false})
		}
		return out
	}
	if res.CPUShares != 0 {
		out = append(out, setting{"cpu", "cpu.weight", strconv.FormatUint(weight(res.CPUShares), 10), usual})
	}
	if res.CPUQuota != 0 || res.CPUPeriod != 0 {
		quota := "max"
		if res.CPUQuota > 0 {
			quota = strconv.FormatInt(res.CPUQuota, 10)
		}
		period := res.CPUPeriod
		if period == 0 {
			period = 100000
		}
		out = append(out, setting{"cpu", "cpu.max", fmt.Sprintf("%s %d", quota, period), false})
	}
	return out
}

// weight converts shares (2 to 262144, default 1024) to a weight of version 2 (1 to 10000, default 100) by the curve
// through these three points that all engines agreed upon: 10 to the power of (l²+125l)/612 − 7/34, where l is the
// binary logarithm.
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

// apply writes settings in order. The kernel takes some pairs (memory and memory+swap, period and quota) in one order
// only, which depends on what is there: after EINVAL the next one is written first.
func (g *Group) apply(list []setting) error {
	for i := 0; i < len(list); i++ {
		err := g.set(list[i])
		if errors.Is(err, unix.EINVAL) && i+1 < len(list) && list[i+1].controller == list[i].controller {
			if g.set(list[i+1]) == nil {
				err = g.set(list[i])
				i++
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (g *Group) set(s setting) error {
	h := g.p.host.find(s.controller)
	if h == nil {
		if s.fallback {
			return nil
		}
		return fmt.Errorf("this kernel has no control group %q, which %s needs: %w",
			s.controller, s.file, errdefs.ErrNotImplemented)
	}
	err := g.write(h, s.file, s.value)
	if errors.Is(err, unix.ENOENT) {
		if s.fallback {
			return nil
		}
		return fmt.Errorf("the control group %q of this kernel has no %s: %w",
			s.controller, s.file, errdefs.ErrNotImplemented)
	}
	return err
}

func (g *Group) write(h *hierarchy, file, value string) error {
	return writeAt(h.fd, g.id+"/"+file, value, g.p.extra)
}

// Update changes the bounds that are not zero in res, of a group with processes in it. Devices are fixed at birth. A
// memory limit below what is in use is refused (errdefs.ErrFailedPrecondition) after an attempt to reclaim: it would
// have to kill.
func (g *Group) Update(res wire.Resources) error {
	err := g.update(res)
	if errors.Is(err, unix.EBUSY) {
		err = fmt.Errorf("more memory is in use: %w: %w", errdefs.ErrFailedPrecondition, err)
	}
	if err != nil {
		return fmt.Errorf("update control group %s: %w", g.id, err)
	}
	return nil
}

func (g *Group) update(res wire.Resources) error {
	if len(res.Devices) > 0 {
		return fmt.Errorf("devices of a running container cannot be changed: %w", errdefs.ErrInvalidArgument)
	}
	if err := validate(res, false); err != nil {
		return err
	}
	if h := g.p.host.find("memory"); h != nil && h.v2 {
		if res.Memory == 0 && res.MemorySwap > 0 { // the limit of swap is a difference
			s, err := readAt(h.fd, g.id+"/memory.max")
			if err != nil {
				return class(err)
			}
			res.Memory = int64(min(parseNumber(s), math.MaxInt64))
			if err := validate(res, false); err != nil {
				return err
			}
		}
		if err := g.shrink(h, res.Memory); err != nil {
			return err
		}
	}
	if h := g.p.host.find("cpu"); h != nil && h.v2 && res.CPUPeriod != 0 && res.CPUQuota == 0 {
		s, err := readAt(h.fd, g.id+"/cpu.max")
		if err != nil {
			return class(err)
		}
		quota, _, _ := strings.Cut(s, " ")
		res.CPUQuota = int64(min(parseNumber(quota), math.MaxInt64))
		if res.CPUQuota == math.MaxInt64 {
			res.CPUQuota = -1
		}
	}
	if h := g.p.host.find("cpuset"); h != nil && h.lazy() && (res.CpusetCpus != "" || res.CpusetMems != "") {
		if err := g.enter(h); err != nil {
			return err
		}
	}
	return g.apply(g.p.settings(res))
}

// shrink refuses a limit (bytes) that version 2 would enforce by killing.
func (g *Group) shrink(h *hierarchy, limit int64) error {
	for _, last := range []bool{false, true} {
		s, err := readAt(h.fd, g.id+"/memory.current")
		used := parseNumber(s)
		switch {
		case limit == 0 || err == nil && used <= uint64(limit):
			return nil
		case err != nil:
			return class(err)
		case last:
			return fmt.Errorf("%d bytes, and %d cannot be reclaimed: %w", limit, used-uint64(limit), unix.EBUSY)
		}
		_ = g.write(h, "memory.reclaim", strconv.FormatUint(used-uint64(limit), 10)) // judged by the second reading
	}
	return nil
}

// enter makes the group in a hierarchy that its processes are not in yet, and moves them there.
func (g *Group) enter(h *hierarchy) error {
	if err := g.mkdir(h); err != nil && !errors.Is(err, errdefs.ErrAlreadyExists) {
		return err
	}
	for range 100 {
		all, err := g.Procs()
		if err != nil {
			return err
		}
		in, err := readAt(h.fd, g.id+"/cgroup.procs")
		if err != nil {
			return class(err)
		}
		inside := strings.Fields(in)
		all = slices.DeleteFunc(all, func(pid int) bool { return slices.Contains(inside, strconv.Itoa(pid)) })
		if len(all) == 0 {
			return nil
		}
		for _, pid := range all {
			err := g.write(h, "cgroup.procs", strconv.Itoa(pid))
			if err != nil && !errors.Is(err, unix.ESRCH) {
				return err
			}
		}
	}
	return fmt.Errorf("its processes fork faster than they can be moved: %w", errdefs.ErrFailedPrecondition)
}
