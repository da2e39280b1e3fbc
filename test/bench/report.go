package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/brig-engine/brig/test/room"
)

// report is everything that is printed.
type report struct {
	command string // that made it
	machine room.Machine
	idle    int // containers when memory was read
	large   int // MB
	list    []*contender
	fsync   sample // of 4 KiB on the disk of the engines
	gunzip  sample // of the large image's layer, result dropped
	still   stillness
}

func (s *session) report() *report {
	return &report{
		command: "go run ./test/bench " + strings.Join(os.Args[1:], " "), machine: room.ThisMachine(),
		idle: s.o.idle, large: s.o.large, list: s.list, fsync: s.fsync, gunzip: s.gunzip,
		still: *s.still,
	}
}

// markdown is the whole report.
func (r *report) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# What it costs\n\nMade by `%s`.\nMachine: %s.\n", r.command, r.machine)
	b.WriteString("The engines took turns in one run; test/bench/doc.go says what is measured and how. " +
		"A ratio is an engine's\nmedian divided by Brig's.\n" + r.still.String())
	section := func(head string, t fmt.Stringer) { fmt.Fprintf(&b, "\n## %s\n\n%s", head, t) }
	section("Engines", r.engines())
	section("Command line to exit: `run --rm IMAGE true`", r.onceTable())
	section("Detached start, and `exec C true`", r.detachTable())
	section(fmt.Sprintf("Starts per second, by starts at a time: the best of %d windows", windows), r.ratesTable())
	if r.idle > 0 {
		section(fmt.Sprintf("Memory per idle container, at %d", r.idle), r.memoryTable())
	}
	if r.large > 0 {
		section(fmt.Sprintf("A local archive of %d MB and %d files, to the end of the first run", r.large, largeFiles),
			r.loadTable())
	}
	section("Goals", r.goalTable())
	b.WriteString("\nNot measured here: the speed of system calls, files and network inside a container.\n")
	return b.String()
}

func (r *report) engines() *room.Table {
	t := &room.Table{Words: 3, Head: []string{"engine", "version", "remarks"}}
	for _, c := range r.list {
		version := c.version
		if version == "" {
			version = "—"
		}
		remark := c.failure
		if remark == "" && c.client != "" {
			remark = "asked with docker " + c.client
		}
		t.Add(c.Name, version, room.Cell(remark))
	}
	return t
}

func (r *report) onceTable() *room.Table {
	t := &room.Table{Words: 1, Head: []string{"engine", "median", "min", "p90", "ratio"}}
	brig := r.named("brig").once.median()
	for _, c := range r.list {
		t.Add(c.Name, ms(c.once.median()), ms(c.once.min()), ms(c.once.quantile(0.9)), times(c.once.median(), brig))
	}
	return t
}

func (r *report) detachTable() *room.Table {
	t := &room.Table{Words: 1, Head: []string{"engine", "`run -d` median", "p90", "ratio", "`exec` median", "p90", "ratio"}}
	brig := r.named("brig")
	for _, c := range r.list {
		if c.Bare {
			continue
		}
		t.Add(c.Name, ms(c.detach.median()), ms(c.detach.quantile(0.9)), times(c.detach.median(), brig.detach.median()),
			ms(c.exec.median()), ms(c.exec.quantile(0.9)), times(c.exec.median(), brig.exec.median()))
	}
	return t
}

func (r *report) ratesTable() *room.Table {
	t := &room.Table{Words: 1, Head: []string{"engine"}}
	for _, w := range workers {
		t.Head = append(t.Head, fmt.Sprint(w))
	}
	most := workers[len(workers)-1]
	t.Head = append(t.Head, fmt.Sprintf("%d, median", most))
	for _, c := range r.list {
		if c.Bare {
			continue
		}
		row := []string{c.Name}
		for _, w := range workers {
			row = append(row, figure(c.rates[w].best(), "%.1f"))
		}
		row = append(row, figure(c.rates[most].median(), "%.1f"))
		t.Add(row...)
	}
	return t
}

func (r *report) memoryTable() *room.Table {
	t := &room.Table{Words: 1, Head: []string{"engine", "its processes, PSS", "private", "whole machine", "processes"}}
	for _, c := range r.list {
		if c.Bare {
			continue
		}
		if c.idle == nil {
			t.Add(c.Name, "—", "—", "—", "—")
			continue
		}
		t.Add(c.Name, kb(c.idle.pss), kb(c.idle.private), kb(c.idle.machine), fmt.Sprint(c.idle.processes))
	}
	return t
}

func (r *report) loadTable() *room.Table {
	t := &room.Table{Words: 1, Head: []string{"engine", "median", "min", "ratio", "of decompressing"}}
	brig, gunzip := r.named("brig").load.median(), r.gunzip.median()
	for _, c := range r.list {
		if len(c.Load) > 0 {
			t.Add(c.Name, ms(c.load.median()), ms(c.load.min()), times(c.load.median(), brig),
				times(c.load.median(), gunzip))
		}
	}
	t.Add("gzip in Go, to nowhere", ms(gunzip), ms(r.gunzip.min()), times(gunzip, brig), "")
	return t
}

// named finds an engine; one that did not take part has no measurements.
func (r *report) named(name string) *contender {
	for _, c := range r.list {
		if c.Name == name {
			return c
		}
	}
	return &contender{}
}

// ms, kb, times and figure write a measurement, or a dash where there is none.
func ms(d time.Duration) string { return figure(d.Seconds()*1000, "%.1f ms") }

func kb(v float64) string { return fmt.Sprintf("%.0f KB", v) }

func times(d, of time.Duration) string {
	if of == 0 {
		return "—"
	}
	return figure(d.Seconds()/of.Seconds(), "%.1f")
}

func figure(v float64, format string) string {
	if v == 0 {
		return "—"
	}
	return fmt.Sprintf(format, v)
}
