package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/brig-engine/brig/test/room"
)

// manyHead begins the last part of the page, which is made by a run of its own: it takes its time.
const manyHead = "\n## Many containers\n"

// page is what this run has measured, with the other part of the page as it is in the file now.
func (r *report) page(file string, crowds bool) (string, error) {
	var old []byte
	if file != "" {
		var err error
		if old, err = os.ReadFile(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	before, after, there := strings.Cut(string(old), manyHead)
	switch {
	case crowds:
		return before + manyHead + r.manyPart(), nil
	case there:
		return r.markdown() + manyHead + after, nil
	}
	return r.markdown(), nil
}

// manyPart is the last part, without its head.
func (r *report) manyPart() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\nMade by `%s`.\nMachine: %s.\n", r.command, r.machine)
	fmt.Fprintf(&b, "One engine after the other; peers get one part in %d of what Brig gets, and in %d of what is started "+
		"and removed.\nContainers are started one after the other. A start is the median of the last %d, the others of 5. "+
		"Files are those that the engine has\nopen. %s\n",
		peersPart, churnPart, lastStarts, &r.still)
	b.WriteString(r.engines().String())
	for _, t := range []*room.Table{r.pointTable(), r.endTable(), r.churnTable(), r.manyGoals()} {
		if len(t.Rows) > 0 {
			b.WriteString("\n" + t.String())
		}
	}
	return b.String()
}

func (r *report) pointTable() *room.Table {
	t := &room.Table{Words: 1, Head: []string{"engine", "running", "start", "`ps -q`", "`stats`", "`logs`", "`exec`",
		"its memory, PSS", "its files", "machine's memory left"}}
	for _, c := range r.list {
		if c.crowd == nil {
			continue
		}
		for _, p := range c.crowd.points {
			t.Add(c.Name, fmt.Sprint(p.running), ms(p.start.median()), ms(p.names), ms(p.stats), ms(p.logs), ms(p.exec),
				mb(p.memory.PSS), fmt.Sprint(p.memory.Files), mb(p.memory.Available))
		}
	}
	return t
}

func (r *report) endTable() *room.Table {
	t := &room.Table{Words: 1, Head: []string{"engine", "containers", "stopped by one command", "removed by one", "back after a kill"}}
	for _, c := range r.list {
		if c.crowd == nil {
			continue
		}
		back := "—"
		if c.crowd.back > 0 {
			back = c.crowd.calls + ": " + seconds(c.crowd.back)
		}
		t.Add(c.Name, fmt.Sprint(c.crowd.all), seconds(c.crowd.stopped), seconds(c.crowd.removed), back)
	}
	return t
}

func (r *report) churnTable() *room.Table {
	t := &room.Table{Words: 1, Head: []string{"engine", "started and removed", "per second", "its memory, PSS", "its files",
		"its processes", "kernel's control groups", "machine's memory left"}}
	for _, c := range r.list {
		for _, p := range c.churn {
			t.Add(c.Name, fmt.Sprint(p.started), figure(p.rate, "%.1f"), mb(p.memory.PSS), fmt.Sprint(p.memory.Files),
				fmt.Sprint(p.memory.Processes), fmt.Sprint(p.memory.Cgroups), mb(p.memory.Available))
		}
	}
	return t
}

// manyGoals holds Brig against what the design promises.
func (r *report) manyGoals() *room.Table {
	t := &room.Table{Words: 1, Head: []string{"goal", "limit", "here", "met"}}
	c := r.named("brig").crowd
	if c == nil || len(c.points) == 0 {
		return t
	}
	first, last := c.points[0], c.points[len(c.points)-1]
	for _, g := range []goal{
		{"the last start, in times of an early one", "%.2f", ratio(last.start, first.start), 1.2, false},
		{"`ps -q`, per 2,000 running containers", "%.0f ms", millis(last.names) * 2000 / float64(last.running), 50, false},
		{"brigd is back over all of them", "%.2f s", c.back.Seconds(), 1, false},
		{"files per container in the process that has most", "%.1f",
			float64(last.memory.MostFiles-first.memory.MostFiles) / float64(max(last.running-first.running, 1)), 6, false},
	} {
		t.Add(g.what, "≤ "+fmt.Sprintf(g.format, g.limit), figure(g.have, g.format), g.met())
	}
	return t
}

func mb(kb int64) string { return fmt.Sprintf("%.1f MB", float64(kb)/1024) }

func seconds(d time.Duration) string { return figure(d.Seconds(), "%.2f s") }
