package cgroup

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Stats are readings of one group. What the kernel does not count is zero; no limit is MaxInt64.
type Stats struct {
	Memory   Memory
	CPU      CPU
	Pids     Pids
	Devices  []Device
	Pressure Pressure
}

// Memory is in bytes; OOMKills counts processes that the kernel killed because the limit was reached.
type Memory struct{ Usage, Limit, Peak, Swap, Anon, File, InactiveFile, OOMKills int64 }

// CPU is in nanoseconds and, for the quota, in periods.
type CPU struct{ Usage, User, System, Periods, ThrottledPeriods, Throttled int64 }

// Pids counts tasks.
type Pids struct{ Current, Limit int64 }

// Device counts what went through one block device, in bytes and operations.
type Device struct{ Major, Minor, ReadBytes, WriteBytes, ReadOps, WriteOps int64 }

// Pressure is the part of the last 10 seconds, in per cent, in which some process waited; zero where the kernel does
// not measure.
type Pressure struct{ CPU, Memory, IO float64 }

// Stats reads the group.
func (g *Group) Stats() (Stats, error) {
	if err := g.exists(); err != nil {
		return Stats{}, err
	}
	return Stats{Memory: g.memory(), CPU: g.cpu(), Pids: g.pids(), Devices: g.devices(), Pressure: g.pressure()}, nil
}

func (g *Group) exists() error {
	if err := unix.Faccessat(g.p.host.primary().fd, g.id, unix.F_OK, 0); err != nil {
		return fmt.Errorf("control group %s: %w", g.id, class(err))
	}
	return nil
}

// OOMKills counts the processes of the group that the kernel killed for want of memory.
func (g *Group) OOMKills() (int64, error) {
	if err := g.exists(); err != nil {
		return 0, err
	}
	file := "memory.oom_control"
	if h := g.p.host.find("memory"); h != nil && h.v2 {
		file = "memory.events"
	}
	return g.keyed("memory", file)["oom_kill"], nil
}

func (g *Group) memory() Memory {
	h := g.p.host.find("memory")
	if h == nil {
		return Memory{}
	}
	n := func(file string) int64 { return g.number("memory", file) }
	kills, _ := g.OOMKills()
	if h.v2 {
		stat := g.keyed("memory", "memory.stat")
		return Memory{n("memory.current"), n("memory.max"), n("memory.peak"), n("memory.swap.current"),
			stat["anon"], stat["file"], stat["inactive_file"], kills}
	}
	stat := g.keyed("memory", "memory.stat")
	return Memory{n("memory.usage_in_bytes"), n("memory.limit_in_bytes"), n("memory.max_usage_in_bytes"),
		stat["total_swap"], stat["total_rss"], stat["total_cache"], stat["total_inactive_file"], kills}
}

// cpu: the time comes from version 2 where that is mounted (it counts without a controller), the quota from the
// controller.
func (g *Group) cpu() CPU {
	var out CPU
	if h := g.p.host.unified; h != nil {
		stat := g.keyedIn(h, "cpu.stat")
		out = CPU{Usage: stat["usage_usec"] * 1000, User: stat["user_usec"] * 1000, System: stat["system_usec"] * 1000}
	} else {
		out.Usage = g.number("cpuacct", "cpuacct.usage")
		out.User, out.System = g.number("cpuacct", "cpuacct.usage_user"), g.number("cpuacct", "cpuacct.usage_sys")
	}
	stat := g.keyed("cpu", "cpu.stat")
	out.Periods, out.ThrottledPeriods = stat["nr_periods"], stat["nr_throttled"]
	out.Throttled = stat["throttled_time"] + stat["throttled_usec"]*1000
	return out
}

func (g *Group) pids() Pids {
	return Pids{g.number("pids", "pids.current"), g.number("pids", "pids.max")}
}

func (g *Group) devices() []Device {
	h := g.p.host.find("blkio")
	if h == nil {
		return nil
	}
	if h.v2 {
		return parseIO(g.read(h, "io.stat"))
	}
	return parseBlkio(g.read(h, "blkio.throttle.io_service_bytes_recursive"),
		g.read(h, "blkio.throttle.io_serviced_recursive"))
}

// parseIO reads lines "8:0 rbytes=1 wbytes=2 rios=3 wios=4 …".
func parseIO(s string) []Device {
	var out []Device
	for line := range strings.Lines(s) {
		f := strings.Fields(line)
		d, ok := device(f)
		if !ok {
			continue
		}
		for _, kv := range f[1:] {
			k, v, _ := strings.Cut(kv, "=")
			n := clamp(v)
			switch k {
			case "rbytes":
				d.ReadBytes = n
			case "wbytes":
				d.WriteBytes = n
			case "rios":
				d.ReadOps = n
			case "wios":
				d.WriteOps = n
			}
		}
		out = append(out, d)
	}
	return out
}

// parseBlkio reads lines "8:0 Read 1" of two files.
func parseBlkio(bytes, ops string) []Device {
	var out []Device
	at := map[string]int{}
	each := func(s, kind string, set func(d *Device, n int64)) {
		for line := range strings.Lines(s) {
			f := strings.Fields(line)
			d, ok := device(f)
			if !ok || len(f) != 3 || f[1] != kind {
				continue
			}
			if _, ok := at[f[0]]; !ok {
				at[f[0]] = len(out)
				out = append(out, d)
			}
			set(&out[at[f[0]]], clamp(f[2]))
		}
	}
	each(bytes, "Read", func(d *Device, n int64) { d.ReadBytes = n })
	each(bytes, "Write", func(d *Device, n int64) { d.WriteBytes = n })
	each(ops, "Read", func(d *Device, n int64) { d.ReadOps = n })
	each(ops, "Write", func(d *Device, n int64) { d.WriteOps = n })
	return out
}

func device(fields []string) (Device, bool) {
	if len(fields) < 2 {
		return Device{}, false
	}
	a, b, _ := strings.Cut(fields[0], ":")
	major, err := strconv.ParseUint(a, 10, 32)
	minor, err2 := strconv.ParseUint(b, 10, 32)
	return Device{Major: int64(major), Minor: int64(minor)}, err == nil && err2 == nil
}

// pressure reads "some avg10=1.23 …".
func (g *Group) pressure() Pressure {
	h := g.p.host.unified
	if h == nil {
		return Pressure{}
	}
	some := func(file string) float64 {
		_, s, _ := strings.Cut(g.read(h, file), "some avg10=")
		s, _, _ = strings.Cut(s, " ")
		f, err := strconv.ParseFloat(s, 64)
		if err != nil {
			return 0
		}
		return f
	}
	return Pressure{some("cpu.pressure"), some("memory.pressure"), some("io.pressure")}
}

// read gives a file's content, "" where the kernel has none.
func (g *Group) read(h *hierarchy, file string) string {
	s, err := readAt(h.fd, g.id+"/"+file)
	if err != nil {
		return ""
	}
	return s
}

func (g *Group) number(controller, file string) int64 {
	h := g.p.host.find(controller)
	if h == nil {
		return 0
	}
	s := g.read(h, file)
	if s == "" {
		return 0
	}
	return clamp(s)
}

func clamp(s string) int64 { return int64(min(parseNumber(s), math.MaxInt64)) }

func (g *Group) keyed(controller, file string) map[string]int64 {
	h := g.p.host.find(controller)
	if h == nil {
		return nil
	}
	return g.keyedIn(h, file)
}

// keyedIn reads lines "key value".
func (g *Group) keyedIn(h *hierarchy, file string) map[string]int64 {
	out := map[string]int64{}
	for line := range strings.Lines(g.read(h, file)) {
		if f := strings.Fields(line); len(f) == 2 {
			out[f[0]] = clamp(f[1])
		}
	}
	return out
}
