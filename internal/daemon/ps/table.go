package ps

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/brig-engine/brig/internal/wire"
)

// Host is what the texts are set against.
type Host struct {
	Range       uint32 // first host id of the container: ids are shown as they are inside
	User, Group func(id uint64) string
	Now         time.Time
	Up          time.Duration // since the machine was started
	Memory      int64         // of the machine, bytes
}

// Table makes titles and one row a process, by number. A process whose texts do not parse has just ended.
func Table(columns []Column, texts []wire.ProcTexts, h *Host) (titles []string, rows [][]string) {
	for _, c := range columns {
		titles = append(titles, c.title)
	}
	var list []process
	for i := range texts {
		if p, ok := parse(&texts[i]); ok {
			list = append(list, p)
		}
	}
	slices.SortFunc(list, func(a, b process) int { return cmp.Compare(a.pid, b.pid) })
	rows = [][]string{}
	for i := range list {
		row := make([]string, 0, len(columns))
		for _, c := range columns {
			row = append(row, c.value(&list[i], h))
		}
		rows = append(rows, row)
	}
	return titles, rows
}

// idsPerContainer is how many ids a container has.
const idsPerContainer = 1 << 16

// inside is an id as the container sees it; one that is not the container's is nobody's there.
func (h *Host) inside(id uint64) uint64 {
	if n := id - uint64(h.Range); n < idsPerContainer {
		return n
	}
	return 65534
}

// name is what the image calls an id, or its number.
func name(id uint64, names func(uint64) string) string {
	if names != nil {
		if s := names(id); s != "" {
			return clean(s)
		}
	}
	return strconv.FormatUint(id, 10)
}

const ticksPerSecond = 100

// elapsed is how many seconds a process has been there.
func (h *Host) elapsed(p *process) uint64 {
	up := uint64(max(h.Up, 0) / time.Second)
	return up - min(up, p.start/ticksPerSecond)
}

func (h *Host) started(p *process) time.Time {
	return h.Now.Add(-time.Duration(h.elapsed(p)) * time.Second)
}

// share is the processor time in the given parts of all that there was since the process began.
func (h *Host) share(p *process, parts uint64) uint64 {
	n := h.elapsed(p)
	if n == 0 {
		return 0
	}
	return p.ticks * parts / ticksPerSecond / n
}

// stime is a clock time today, a day of this year, or a year.
func (h *Host) stime(p *process) string {
	t := h.started(p)
	switch {
	case t.Year() != h.Now.Year():
		return t.Format("2006")
	case t.YearDay() != h.Now.YearDay():
		return t.Format("Jan02")
	}
	return t.Format("15:04")
}

func (h *Host) recent(p *process) string {
	if h.elapsed(p) < 24*60*60 {
		return h.started(p).Format("15:04:05")
	}
	return h.started(p).Format("Jan 02")
}

// clock is [[DD-]HH:]MM:SS; hours says that they are always there.
func clock(seconds uint64, hours bool) string {
	days, h, m, s := seconds/86400, seconds/3600%24, seconds/60%60, seconds%60
	switch {
	case days > 0:
		return fmt.Sprintf("%d-%02d:%02d:%02d", days, h, m, s)
	case hours || h > 0:
		return fmt.Sprintf("%02d:%02d:%02d", h, m, s)
	}
	return fmt.Sprintf("%02d:%02d", m, s)
}

// tenths writes 123 as 12.3.
func tenths(n uint64) string { return fmt.Sprintf("%d.%d", n/10, n%10) }

// memory is a process's part of the machine's memory in thousandths, below one.
func (h *Host) memory(p *process) uint64 {
	if h.Memory <= 0 {
		return 0
	}
	return min(p.rss*uint64(os.Getpagesize())/1024*1000/max(uint64(h.Memory)/1024, 1), 999)
}
