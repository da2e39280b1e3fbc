package use

import (
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/container"
)

// Texts are the contents of files by name. Those of version 1 of control groups begin with "v1/".
type Texts map[string]string

// Stats gives every counter that the texts hold. Bounds, names and times are not in them.
func (t Texts) Stats() container.StatsResponse {
	return container.StatsResponse{
		CPUStats: t.cpu(), MemoryStats: t.memory(), PidsStats: container.PidsStats{Current: t.either("pids.current")},
		BlkioStats: t.blkio(), Networks: networks(t["net/dev"]),
	}
}

// either reads a number from a file that has the same name in both versions.
func (t Texts) either(name string) uint64 {
	if s, ok := t[name]; ok {
		return number(s)
	}
	return number(t["v1/"+name])
}

// cpu takes the time from version 2, which counts it whatever controllers there are, and what was throttled from where
// the controller is.
func (t Texts) cpu() (c container.CPUStats) {
	v2 := pairs(t["cpu.stat"])
	c.CPUUsage = container.CPUUsage{TotalUsage: v2["usage_usec"] * 1000, UsageInUsermode: v2["user_usec"] * 1000,
		UsageInKernelmode: v2["system_usec"] * 1000}
	c.ThrottlingData = container.ThrottlingData{Periods: v2["nr_periods"], ThrottledPeriods: v2["nr_throttled"],
		ThrottledTime: v2["throttled_usec"] * 1000}
	if text, ok := t["v1/cpu.stat"]; ok {
		v1 := pairs(text)
		c.ThrottlingData = container.ThrottlingData{Periods: v1["nr_periods"], ThrottledPeriods: v1["nr_throttled"],
			ThrottledTime: v1["throttled_time"]}
	}
	for s := range strings.FieldsSeq(t["v1/cpuacct.usage_percpu"]) {
		c.CPUUsage.PercpuUsage = append(c.CPUUsage.PercpuUsage, number(s))
	}
	c.SystemUsage, c.OnlineCPUs = machine(t["stat"])
	return c
}

// machine is the time that all processors of the machine have had, in nanoseconds, and how many they are. Docker's clients
// set a container's time against it, and count seven columns of the first line, as Docker does.
func machine(stat string) (total uint64, cpus uint32) {
	const perTick = 1e9 / 100
	for line := range strings.Lines(stat) {
		f := strings.Fields(line)
		if len(f) < 8 || !strings.HasPrefix(f[0], "cpu") {
			break // those of processors come first
		}
		if f[0] != "cpu" {
			cpus++
			continue
		}
		for _, s := range f[1:8] {
			total += number(s) * perTick
		}
	}
	return total, cpus
}

func (t Texts) memory() (m container.MemoryStats) {
	if _, ok := t["memory.current"]; ok {
		m.Usage, m.Failcnt = number(t["memory.current"]), pairs(t["memory.events"])["oom"]
		m.Stats = pick(pairs(t["memory.stat"]), memory2)
		return m
	}
	if _, ok := t["v1/memory.usage_in_bytes"]; ok {
		m.Usage, m.MaxUsage = number(t["v1/memory.usage_in_bytes"]), number(t["v1/memory.max_usage_in_bytes"])
		m.Failcnt = number(t["v1/memory.failcnt"])
		m.Stats = pick(pairs(t["v1/memory.stat"]), memory1)
	}
	return m
}

// What Docker shows of memory.stat, of version 1 and of version 2.
const (
	memory1 = "cache rss rss_huge mapped_file dirty writeback pgpgin pgpgout pgfault pgmajfault inactive_anon active_anon " +
		"inactive_file active_file unevictable hierarchical_memory_limit hierarchical_memsw_limit total_cache total_rss " +
		"total_rss_huge total_mapped_file total_dirty total_writeback total_pgpgin total_pgpgout total_pgfault " +
		"total_pgmajfault total_inactive_anon total_active_anon total_inactive_file total_active_file total_unevictable"
	memory2 = "anon file kernel_stack slab sock shmem file_mapped file_dirty file_writeback anon_thp inactive_anon " +
		"active_anon inactive_file active_file unevictable slab_reclaimable slab_unreclaimable pgfault pgmajfault " +
		"workingset_refault workingset_activate workingset_nodereclaim pgrefill pgscan pgsteal pgactivate pgdeactivate " +
		"pglazyfree pglazyfreed thp_fault_alloc thp_collapse_alloc"
)

// pick gives every name a value; what the kernel does not count is 0, as in Docker.
func pick(all map[string]uint64, names string) map[string]uint64 {
	m := map[string]uint64{}
	for name := range strings.FieldsSeq(names) {
		m[name] = all[name]
	}
	return m
}

// pairs reads lines of a name and a number.
func pairs(text string) map[string]uint64 {
	m := map[string]uint64{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " "); ok {
			m[name] = number(value)
		}
	}
	return m
}

// number reads a decimal number. What is none ("max", an empty text) is 0.
func number(s string) uint64 {
	n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 64)
	if err != nil {
		return 0
	}
	return n
}
