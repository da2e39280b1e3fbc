package policy

import (
	"slices"
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/blkiodev"
	"github.com/moby/moby/api/types/container"

	"github.com/brig-engine/brig/internal/wire"
)

// Bounds that every container has unless it asks for others.
const (
	defaultPids   = 2048
	defaultShares = 1024
	defaultShm    = 64 << 20
	defaultTmpfs  = 64 << 20
	defaultPeriod = 100_000 // µs
	minMemory     = 6 << 20
	nofileSoft    = 1024
	nofileHard    = 524_288
	unlimited     = ^uint64(0)
)

// resources turns the bounds of a request into those of the spec; what is not asked for gets a default.
func (c *collector) resources(h *container.HostConfig, host Host) wire.Resources {
	r := wire.Resources{Pids: defaultPids, CPUShares: defaultShares}
	c.memory(&r, h, host)
	c.cpu(&r, h, host)
	if p := h.PidsLimit; p != nil && *p != 0 {
		r.Pids = *p
		switch {
		case *p < 0:
			c.refuse(true, "HostConfig.PidsLimit=-1", decimal(*p))
		case host.PidMax > 0 && *p > host.PidMax/2:
			c.invalid("--pids-limit", strconv.FormatInt(*p, 10), "more than half of the host's %d process ids", host.PidMax)
		}
	}
	if w := h.BlkioWeight; w != 0 {
		r.BlkioWeight = w
		if w < 10 || w > 1000 {
			c.invalid("--blkio-weight", strconv.Itoa(int(w)), "must be between 10 and 1000")
		}
	}
	r.Rates = c.disks(h)
	return r
}

// disks gives the rates of single disks, and refuses weights. A rate of 0 is none, as in Docker.
func (c *collector) disks(h *container.HostConfig) (list []wire.Rate) {
	for _, d := range h.BlkioWeightDevice {
		if d != nil {
			c.refuse(true, "HostConfig.BlkioWeightDevice", d.String())
		}
	}
	for _, l := range []struct {
		option, kind string
		rates        []*blkiodev.ThrottleDevice
	}{
		{"--device-read-bps", "rbps", h.BlkioDeviceReadBps}, {"--device-write-bps", "wbps", h.BlkioDeviceWriteBps},
		{"--device-read-iops", "riops", h.BlkioDeviceReadIOps}, {"--device-write-iops", "wiops", h.BlkioDeviceWriteIOps},
	} {
		for _, d := range l.rates {
			switch {
			case d == nil:
			case !strings.HasPrefix(d.Path, "/dev/") || strings.ContainsRune(d.Path, 0):
				c.invalid(l.option, d.String(), "a disk below /dev is needed")
			case d.Rate > 0:
				list = append(list, wire.Rate{Source: d.Path, Kind: l.kind, Most: d.Rate})
			}
		}
	}
	return list
}

func (c *collector) memory(r *wire.Resources, h *container.HostConfig, host Host) {
	r.Memory, r.MemorySwap, r.MemoryReservation = h.Memory, h.MemorySwap, h.MemoryReservation
	switch {
	case h.Memory == 0:
		r.Memory = host.MemoryTotal / 2
	case h.Memory < minMemory:
		c.invalid("-m", strconv.FormatInt(h.Memory, 10), "the least is %d bytes (6m)", minMemory)
	case host.MemoryTotal > 0 && h.Memory > host.MemoryTotal:
		c.invalid("-m", strconv.FormatInt(h.Memory, 10), "the host has %d bytes", host.MemoryTotal)
	}
	switch {
	case h.MemorySwap < 0:
		c.refuse(true, "HostConfig.MemorySwap=-1", decimal(h.MemorySwap))
	case h.MemorySwap > 0 && h.Memory == 0:
		c.invalid("--memory-swap", strconv.FormatInt(h.MemorySwap, 10), "needs -m as well")
	case h.MemorySwap > 0 && h.MemorySwap < h.Memory:
		c.invalid("--memory-swap", strconv.FormatInt(h.MemorySwap, 10), "is memory and swap together, so not less than -m")
	}
	if v := h.MemoryReservation; v < 0 || v > r.Memory && r.Memory > 0 {
		c.invalid("--memory-reservation", strconv.FormatInt(v, 10), "must be between 0 and the limit of %d", r.Memory)
	}
	if s := h.MemorySwappiness; s != nil && *s != -1 {
		c.refuse(true, "HostConfig.MemorySwappiness", decimal(*s))
	}
	if k := h.OomKillDisable; k != nil && *k {
		c.refuse(true, "HostConfig.OomKillDisable", "")
	}
}

func (c *collector) cpu(r *wire.Resources, h *container.HostConfig, host Host) {
	if s := h.CPUShares; s != 0 {
		r.CPUShares = uint64(s)
		if s < 2 || s > 262_144 {
			c.invalid("-c", strconv.FormatInt(s, 10), "must be between 2 and 262144")
		}
	}
	if n := h.NanoCPUs; n != 0 {
		r.CPUPeriod, r.CPUQuota = defaultPeriod, n*defaultPeriod/1_000_000_000
		most := int64(host.CPUs) * 1_000_000_000
		switch {
		case h.CPUQuota != 0 || h.CPUPeriod != 0:
			c.invalid("--cpus", nanos(n), "cannot be combined with --cpu-quota or --cpu-period")
		case n < 10_000_000 || n > most:
			c.invalid("--cpus", nanos(n), "must be between 0.01 and the host's %d.00", host.CPUs)
		}
	} else {
		c.quota(r, h)
	}
	r.CpusetCpus = c.cpuset("--cpuset-cpus", h.CpusetCpus, host.CpusetCpus)
	r.CpusetMems = c.cpuset("--cpuset-mems", h.CpusetMems, "")
	c.refuse(h.CPURealtimePeriod != 0, "HostConfig.CpuRealtimePeriod", decimal(h.CPURealtimePeriod))
	c.refuse(h.CPURealtimeRuntime != 0, "HostConfig.CpuRealtimeRuntime", decimal(h.CPURealtimeRuntime))
	c.refuse(h.CPUCount != 0, "HostConfig.CpuCount", decimal(h.CPUCount))
	c.refuse(h.CPUPercent != 0, "HostConfig.CpuPercent", decimal(h.CPUPercent))
	c.refuse(h.IOMaximumIOps != 0, "HostConfig.IOMaximumIOps", strconv.FormatUint(h.IOMaximumIOps, 10))
	c.refuse(h.IOMaximumBandwidth != 0, "HostConfig.IOMaximumBandwidth", strconv.FormatUint(h.IOMaximumBandwidth, 10))
}

func (c *collector) quota(r *wire.Resources, h *container.HostConfig) {
	if p := h.CPUPeriod; p != 0 {
		r.CPUPeriod = uint64(p)
		if p < 1000 || p > 1_000_000 {
			c.invalid("--cpu-period", strconv.FormatInt(p, 10), "must be between 1000 and 1000000 microseconds")
		}
	}
	// -1 is how clients spell "no quota".
	if q := h.CPUQuota; q != 0 && q != -1 {
		r.CPUQuota = q
		if r.CPUPeriod == 0 {
			r.CPUPeriod = defaultPeriod
		}
		if q < 1000 {
			c.invalid("--cpu-quota", strconv.FormatInt(q, 10), "must be at least 1000 microseconds")
		}
	}
}

func nanos(n int64) string { return strconv.FormatFloat(float64(n)/1e9, 'f', -1, 64) }

// cpuset passes a list of numbers and ranges that has nothing beyond what there is.
func (c *collector) cpuset(option, s, there string) string {
	asked, ok := parseList(s)
	if !ok {
		c.invalid(option, s, "must be a list like 0-2,5")
		return ""
	}
	has, _ := parseList(there)
	for _, r := range asked {
		if there != "" && !has.contains(r) {
			c.invalid(option, s, "the engine may use %s", there)
			return ""
		}
	}
	return s
}

// list is a set of numbers as ranges, both ends included.
type list [][2]uint64

// parseList reads 0-2,5. Numbers have at most 13 bits.
func parseList(s string) (l list, ok bool) {
	if s == "" {
		return nil, true
	}
	for part := range strings.SplitSeq(s, ",") {
		lo, hi, isRange := strings.Cut(part, "-")
		a, err := strconv.ParseUint(lo, 10, 13)
		b := a
		if err == nil && isRange {
			b, err = strconv.ParseUint(hi, 10, 13)
		}
		if err != nil || b < a {
			return nil, false
		}
		l = append(l, [2]uint64{a, b})
	}
	return l, true
}

func (l list) contains(r [2]uint64) bool {
	for n := r[0]; n <= r[1]; n++ {
		if !slices.ContainsFunc(l, func(x [2]uint64) bool { return x[0] <= n && n <= x[1] }) {
			return false
		}
	}
	return true
}

// rlimits gives the asked limits and the defaults of those that were not. RLIMIT_CORE is 1, not 0: a limit of 0 does
// not keep a crash from the host's dump handler, 1 does (CVE-2022-28658, CVE-2025-4598). Who asks for 0 wants no dump,
// and gets 1. Real time and a better priority are nobody's by default, whatever the engine's starter may do.
func (c *collector) rlimits(asked []*container.Ulimit, host Host) []wire.Rlimit {
	core := wire.Rlimit{Type: "core", Soft: 1, Hard: 1}
	hard := uint64(nofileHard)
	if host.NofileHard > 0 {
		hard = min(hard, host.NofileHard)
	}
	nofile := wire.Rlimit{Type: "nofile", Soft: min(nofileSoft, hard), Hard: hard}
	out := []wire.Rlimit{core, nofile, {Type: "nice"}, {Type: "rtprio"}}
	seen := map[string]bool{}
	for _, u := range asked {
		if u == nil {
			continue
		}
		l := wire.Rlimit{Type: strings.ToLower(u.Name), Soft: limit(u.Soft), Hard: limit(u.Hard)}
		if l.Type == "core" && l.Soft|l.Hard == 0 {
			l.Soft, l.Hard = 1, 1
		}
		switch {
		case !knownLimit(l.Type):
			c.invalid("--ulimit", u.Name, "there is no limit of this name")
		case seen[l.Type]:
			c.invalid("--ulimit", u.Name, "is given twice")
		case u.Soft < -1 || u.Hard < -1 || l.Soft > l.Hard:
			c.invalid("--ulimit", u.String(), "must be SOFT[:HARD] with SOFT not above HARD; -1 is unlimited")
		case l.Type == "core" && l != (wire.Rlimit{Type: "core", Soft: 1, Hard: 1}):
			c.refuse(true, "HostConfig.Ulimits=core", u.String())
		case l.Type == "nofile" && host.NofileHard > 0 && l.Hard > host.NofileHard:
			c.invalid("--ulimit", u.String(), "the host allows at most %d open files", host.NofileHard)
		}
		seen[l.Type] = true
		out = replaceLimit(out, l)
	}
	return out
}

func replaceLimit(out []wire.Rlimit, l wire.Rlimit) []wire.Rlimit {
	for i := range out {
		if out[i].Type == l.Type {
			out[i] = l
			return out
		}
	}
	return append(out, l)
}

func limit(v int64) uint64 {
	if v < 0 {
		return unlimited
	}
	return uint64(v)
}

func knownLimit(name string) bool {
	switch name {
	case "as", "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss",
		"rtprio", "rttime", "sigpending", "stack":
		return true
	}
	return false
}
