package cgroup

import (
	"os"
	"strconv"
	"strings"
)

// Stats is what a container uses, in the shape that runc prints it.
type Stats struct {
	CPU struct {
		Usage struct {
			Total  uint64 `json:"total"`
			Kernel uint64 `json:"kernel"`
			User   uint64 `json:"user"`
		} `json:"usage"`
		Throttling struct {
			Periods          uint64 `json:"periods,omitempty"`
			ThrottledPeriods uint64 `json:"throttledPeriods,omitempty"`
			ThrottledTime    uint64 `json:"throttledTime,omitempty"`
		} `json:"throttling"`
	} `json:"cpu"`
	Memory struct {
		Cache uint64            `json:"cache,omitempty"`
		Usage Entry             `json:"usage"`
		Swap  Entry             `json:"swap"`
		Raw   map[string]uint64 `json:"raw,omitempty"`
	} `json:"memory"`
	Pids struct {
		Current uint64 `json:"current,omitempty"`
		Limit   uint64 `json:"limit,omitempty"`
	} `json:"pids"`
	Blkio struct {
		ServiceBytes []IO `json:"ioServiceBytesRecursive,omitempty"`
		Serviced     []IO `json:"ioServicedRecursive,omitempty"`
	} `json:"blkio"`
}

// Entry is an amount of memory.
type Entry struct {
	Limit   uint64 `json:"limit"`
	Usage   uint64 `json:"usage,omitempty"`
	Max     uint64 `json:"max,omitempty"`
	Failcnt uint64 `json:"failcnt"`
}

// IO is what went to or from a device.
type IO struct {
	Major uint64 `json:"major,omitempty"`
	Minor uint64 `json:"minor,omitempty"`
	Op    string `json:"op,omitempty"`
	Value uint64 `json:"value,omitempty"`
}

// Stats reads what is used. What this machine does not count is 0.
func (g *Group) Stats() *Stats {
	s := &Stats{}
	g.cpuStats(s)
	g.memoryStats(s)
	if d := g.find("pids"); d != nil {
		s.Pids.Current, s.Pids.Limit = d.number("pids.current"), d.number("pids.max")
	}
	if d := g.find("blkio"); d != nil {
		s.Blkio.ServiceBytes, s.Blkio.Serviced = d.io()
	}
	return s
}

func (g *Group) cpuStats(s *Stats) {
	if d := g.find("cpuacct"); d != nil && !d.V2() {
		s.CPU.Usage.Total = d.number("cpuacct.usage")
		s.CPU.Usage.User, s.CPU.Usage.Kernel = d.number("cpuacct.usage_user"), d.number("cpuacct.usage_sys")
	}
	d := g.find("cpu")
	if d == nil {
		return
	}
	values := d.table("cpu.stat")
	s.CPU.Throttling.Periods, s.CPU.Throttling.ThrottledPeriods = values["nr_periods"], values["nr_throttled"]
	if d.V2() {
		s.CPU.Usage.Total, s.CPU.Usage.User = values["usage_usec"]*1000, values["user_usec"]*1000
		s.CPU.Usage.Kernel, s.CPU.Throttling.ThrottledTime = values["system_usec"]*1000, values["throttled_usec"]*1000
	} else {
		s.CPU.Throttling.ThrottledTime = values["throttled_time"]
	}
}

func (g *Group) memoryStats(s *Stats) {
	d := g.find("memory")
	if d == nil {
		return
	}
	m := &s.Memory
	m.Raw = d.table("memory.stat")
	if d.V2() {
		m.Cache = m.Raw["file"]
		m.Usage = Entry{Limit: d.number("memory.max"), Usage: d.number("memory.current"), Max: d.number("memory.peak"),
			Failcnt: d.table("memory.events")["max"]}
		m.Swap = Entry{Limit: d.number("memory.swap.max"), Usage: d.number("memory.swap.current")}
		return
	}
	m.Cache = m.Raw["cache"]
	entry := func(prefix string) Entry {
		return Entry{Limit: d.number(prefix + ".limit_in_bytes"), Usage: d.number(prefix + ".usage_in_bytes"),
			Max: d.number(prefix + ".max_usage_in_bytes"), Failcnt: d.number(prefix + ".failcnt")}
	}
	m.Usage, m.Swap = entry("memory"), entry("memory.memsw")
}

// OOMKills counts the processes that were killed for want of memory.
func (g *Group) OOMKills() uint64 {
	d := g.find("memory")
	if d == nil {
		return 0
	}
	if d.V2() {
		return d.table("memory.events")["oom_kill"]
	}
	return d.table("memory.oom_control")["oom_kill"]
}

func (d *Dir) number(file string) uint64 {
	b, err := os.ReadFile(d.file(file))
	text := strings.TrimSpace(string(b))
	if err == nil && text == "max" {
		return ^uint64(0)
	}
	n, _ := strconv.ParseUint(text, 10, 64)
	return n
}

// table reads lines of a name and a number.
func (d *Dir) table(file string) map[string]uint64 {
	values := map[string]uint64{}
	b, _ := os.ReadFile(d.file(file))
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) == 2 {
			values[f[0]], _ = strconv.ParseUint(f[1], 10, 64)
		}
	}
	return values
}

// io reads lines of 8:0 Read 4096, or in version 2 of 8:0 rbytes=4096 wbytes=0 rios=1 wios=0.
func (d *Dir) io() (bytes, count []IO) {
	read := func(file string, each func(device IO, word, value string)) {
		b, _ := os.ReadFile(d.file(file))
		for line := range strings.Lines(string(b)) {
			f := strings.Fields(line)
			if len(f) < 2 {
				continue
			}
			major, minor, _ := strings.Cut(f[0], ":")
			var at IO
			at.Major, _ = strconv.ParseUint(major, 10, 64)
			at.Minor, _ = strconv.ParseUint(minor, 10, 64)
			if d.V2() {
				for _, pair := range f[1:] {
					key, value, _ := strings.Cut(pair, "=")
					each(at, key, value)
				}
			} else if len(f) == 3 {
				each(at, f[1], f[2])
			}
		}
	}
	if d.V2() {
		names := map[string]string{"rbytes": "Read", "wbytes": "Write", "rios": "Read", "wios": "Write"}
		read("io.stat", func(at IO, word, value string) {
			at.Op = names[word]
			at.Value, _ = strconv.ParseUint(value, 10, 64)
			switch {
			case strings.HasSuffix(word, "bytes") && at.Op != "":
				bytes = append(bytes, at)
			case at.Op != "":
				count = append(count, at)
			}
		})
		return bytes, count
	}
	keep := func(list *[]IO) func(IO, string, string) {
		return func(at IO, word, value string) {
			at.Op = word
			at.Value, _ = strconv.ParseUint(value, 10, 64)
			*list = append(*list, at)
		}
	}
	read("blkio.throttle.io_service_bytes", keep(&bytes))
	read("blkio.throttle.io_serviced", keep(&count))
	return bytes, count
}
