package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/brig-engine/brig/test/room"
)

// page is everything that is printed.
type page struct {
	command string // that made it
	machine room.Machine
	modules []string // mandatory access control of the kernel
	date    time.Time
	results []*result
}

func (p *page) markdown() string {
	var b strings.Builder
	for _, r := range p.results {
		fmt.Fprintln(&b, r.name, r.version, r.also, r.failure, r.took)
		if r.report != nil {
			for _, v := range r.report.Verdicts {
				fmt.Fprintf(&b, "%-14s %s %-16s %s | %s (%.0f)\n", v.Verdict, v.Attack, v.Probe, v.Layer, v.Detail, v.DurationMS)
			}
		}
	}
	return b.String()
}
