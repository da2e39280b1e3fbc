package cgroup

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/wire"
)

// Stats reads the group: bytes, nanoseconds, counts. What the kernel does not count is zero; no limit is MaxInt64.
func (g *Group) Stats() (wire.Stats, error) {
	kills, err := g.OOMKills()
	if err != nil {
		return wire.Stats{}, err
	}
	usage, limit := "memory.usage_in_bytes", "memory.limit_in_bytes"
	if h := g.p.find("memory"); h != nil && h.v2 {
		usage, limit = "memory.current", "memory.max"
	}
	return wire.Stats{
		MemoryUsage: g.number("memory", usage), MemoryLimit: g.number("memory", limit), OOMKills: kills,
		CPUUsage: 1000 * keyed(g.read(g.p.unified(), "cpu.stat"), "usage_usec"),
		Pids:     g.number("pids", "pids.current"), PidsLimit: g.number("pids", "pids.max"),
	}, nil
}

// OOMKills counts the processes of the group that the kernel killed for want of memory.
func (g *Group) OOMKills() (int64, error) {
	if err := unix.Faccessat(g.p.unified().fd, g.id, unix.F_OK, 0); err != nil {
		return 0, fmt.Errorf("control group %s: %w", g.id, class(err))
	}
	h := g.p.find("memory")
	file := "memory.oom_control"
	if h != nil && h.v2 {
		file = "memory.events"
	}
	return keyed(g.read(h, file), "oom_kill"), nil
}

// read gives a file's content, "" where the kernel has none.
func (g *Group) read(h *hierarchy, file string) string {
	if h == nil {
		return ""
	}
	s, err := readAt(h.fd, g.id+"/"+file)
	if err != nil {
		return ""
	}
	return s
}

func (g *Group) number(controller, file string) int64 {
	s := g.read(g.p.find(controller), file)
	if s == "" {
		return 0
	}
	return int64(min(parseNumber(s), math.MaxInt64))
}

// keyed finds the number in the line "key number".
func keyed(s, key string) int64 {
	for line := range strings.Lines(s) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == key {
			return int64(min(parseNumber(f[1]), math.MaxInt64))
		}
	}
	return 0
}

// parseNumber reads what control files hold; "max" and everything unreadable is the largest number.
func parseNumber(s string) uint64 {
	n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 64)
	if err != nil {
		return math.MaxUint64
	}
	return n
}
