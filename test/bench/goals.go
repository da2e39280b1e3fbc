package main

import (
	"fmt"
	"time"

	"github.com/brig-engine/brig/test/room"
)

// goal is one thing that Brig must cost at most, or reach at least. have is 0 where it was not measured, and below 0
// where other work on the machine was larger than what was to be measured.
type goal struct {
	what        string
	format      string // of have and limit
	have, limit float64
	least       bool // limit is a lower one
}

// goals lists what the design promises, with what this run found.
func (r *report) goals() []goal {
	brig, docker, runc := r.named("brig"), r.named("docker.io"), r.named("runc")
	g := []goal{
		{"`run --rm IMAGE true`, median", "%.1f ms", millis(brig.once.median()), 8, false},
		{"the same, as part of docker.io's", "%.3f", ratio(brig.once, docker.once), 1.0 / 20, false},
		{"the same, as part of a bare `runc run`", "%.3f", ratio(brig.once, runc.once), 1.0 / 2, false},
		{fmt.Sprintf("`run -d`, median; limit: 8 ms + one fsync (%s)", ms(r.fsync.median())), "%.1f ms",
			millis(brig.detach.median()), 8 + millis(r.fsync.median()), false},
		{"`exec C true`, median", "%.1f ms", millis(brig.exec.median()), 6, false},
		{"starts per second, 8 at a time, best window: first release", "%.0f", brig.rates[8].best(), 150, true},
		{"starts per second, 8 at a time, best window: design", "%.0f", brig.rates[8].best(), 250, true},
	}
	bare, crun := r.named("brig-oci"), r.named("crun")
	g = append(g,
		goal{"a bare `brig-oci run`, as part of `runc run`", "%.3f", ratio(bare.once, runc.once), 1.0 / 3, false},
		goal{"the same, as part of `crun run`", "%.3f", ratio(bare.once, crun.once), 1, false})
	if brig.idle != nil {
		g = append(g,
			goal{"memory per idle container, our processes: first release", "%.0f KB", brig.idle.pss, 100, false},
			goal{"memory per idle container, our processes: design", "%.0f KB", brig.idle.pss, 40, false},
			goal{"memory per idle container, whole machine", "%.0f KB", brig.idle.machine, 512, false})
	}
	if r.large > 0 {
		g = append(g,
			goal{"a local archive to its first run, in times of decompressing it", "%.2f",
				ratio(brig.load, r.gunzip), 1.2, false},
			goal{"the same, as part of moby's", "%.2f", ratio(brig.load, r.named("moby").load), 1.0 / 2, false})
	}
	return g
}

func (r *report) goalTable() *room.Table {
	t := &room.Table{Words: 1, Head: []string{"goal", "limit", "here", "met"}}
	for _, g := range r.goals() {
		sign := "≤ "
		if g.least {
			sign = "≥ "
		}
		t.Add(g.what, sign+fmt.Sprintf(g.format, g.limit), figure(g.have, g.format), g.met())
	}
	return t
}

// met compares what was measured, not what is printed of it.
func (g goal) met() string {
	switch {
	case g.have <= 0:
		return "not measured"
	case g.least && g.have >= g.limit, !g.least && g.have <= g.limit:
		return "yes"
	}
	return "no"
}

func millis(d time.Duration) float64 { return d.Seconds() * 1000 }

// ratio is that of two medians, 0 if one is missing.
func ratio(a, b sample) float64 {
	if b.median() == 0 {
		return 0
	}
	return a.median().Seconds() / b.median().Seconds()
}
