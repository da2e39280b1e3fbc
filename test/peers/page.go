package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/brig-engine/brig/internal/drill"
	"github.com/brig-engine/brig/test/room"
)

// page is everything that is printed.
type page struct {
	command string // that made it
	machine room.Machine
	modules []string // mandatory access control of the kernel
	date    time.Time
	probes  []drill.Probe // the catalogue, by attack
	results []*result
}

const intro = "This page is generated: `brig drill` attacked Brig and the engines that people know, on one machine, one " +
	"after the other, each with the defaults that it is delivered with. *Exposed* means that the attack was seen to " +
	"work, by something that the drill had planted outside of the container or by what the kernel answered inside; it " +
	"does not mean that the engine has a bug. Most of what stands below as exposed is a decision of that engine, made so " +
	"that more programs run, documented, and open to change with an option; " +
	"[the last section](#why-and-what-closes-it) says which. The probes follow a survey of Docker's security from 2019 " +
	"that Brig was built along, so it is no surprise that they find little in Brig, and what they do not try is not " +
	"shown. `brig drill --list` says what they do, `brig drill --explain PROBE` why."

const setting = "Each engine is alone in a room: namespaces with a network interface and a directory of their own, with " +
	"all of the machine's devices, control groups and privileges, so that what an engine does not defend shows, and what " +
	"it does is its own doing. There is no systemd in a room, so engines manage control groups themselves (cgroupfs), " +
	"and run as root without a login; Podman is often run by an ordinary user instead, whose containers are then not " +
	"root on the host."

// markdown is the whole page.
func (p *page) markdown() string {
	var b strings.Builder
	b.WriteString("# The drill, on Brig and its peers\n\n")
	paragraph(&b, intro)
	b.WriteString("To repeat it, which fetches the peers from Debian's mirror and the Go module proxy first:\n\n" +
		"    sudo make peers\n\n")
	fmt.Fprintf(&b, "Made by `%s`.\nMachine: %s.\nDate: %s.\n\n", p.command, p.machine, p.date.Format("2 January 2006"))
	paragraph(&b, setting+" "+p.lsm())
	section := func(head string, t fmt.Stringer) { fmt.Fprintf(&b, "## %s\n\n%s\n", head, t) }
	section("Engines", p.engines())
	section("The seven attacks", p.attacks())
	paragraph(&b, `"n of m" counts probes: those that got through where the attack is exposed, else those that were stopped.`)
	section("The probes", p.table())
	section("What the neighbour notices", p.neighbour())
	paragraph(&b, near)
	p.exposed(&b)
	p.untried(&b)
	p.why(&b)
	return strings.TrimRight(b.String(), "\n") + "\n"
}

// lsm says which mandatory access control could have helped the engines that have profiles for it.
func (p *page) lsm() string {
	if len(p.modules) == 0 {
		return "This machine's kernel has neither AppArmor nor SELinux; Docker and Podman have profiles for " +
			"them, and some of what is exposed here may be blocked where there is one."
	}
	return "This machine's kernel has " + strings.Join(p.modules, " and ") + "."
}

func (p *page) engines() *room.Table {
	t := &room.Table{Words: 5, Head: []string{"engine", "version", "with", "drill took", "remarks"}}
	for _, r := range p.results {
		t.Add(r.name, or(r.version, "—"), or(strings.Join(r.also, ", "), "—"), fmt.Sprintf("%.0f s", r.took.Seconds()),
			room.Cell(r.failure))
	}
	return t
}

// attacks is a row for each of the seven, with a column for each engine.
func (p *page) attacks() *room.Table {
	t := p.columns("attack")
	lines := map[string][]drill.Line{}
	for _, r := range p.results {
		if r.report != nil {
			lines[r.name] = r.report.Lines()
		}
	}
	for i, c := range drill.Classes() {
		row := []string{string(c.Class) + " " + c.Name}
		for _, r := range p.results {
			cell := "—"
			if l := lines[r.name]; l != nil {
				cell = lineCell(l[i])
			}
			row = append(row, cell)
		}
		t.Add(row...)
	}
	row := []string{"all probes: exposed / blocked / not tried"}
	for _, r := range p.results {
		row = append(row, r.count())
	}
	t.Add(row...)
	return t
}

func (p *page) columns(head ...string) *room.Table {
	t := &room.Table{Head: head, Words: len(head) + len(p.results)}
	for _, r := range p.results {
		t.Head = append(t.Head, r.name)
	}
	return t
}

// lineCell is an attack's verdict with how many of its probes say so.
func lineCell(l drill.Line) string {
	if l.Probes == 0 {
		return "—"
	}
	n := l.Tried - l.Exposed
	if l.Verdict == drill.Exposed {
		n = l.Exposed
	}
	return fmt.Sprintf("%s, %d of %d", spoken(l.Verdict), n, l.Probes)
}

// spoken is a verdict in words.
func spoken(verdict string) string {
	switch verdict {
	case drill.Exposed:
		return "**exposed**"
	case drill.CouldNotTry:
		return "could not try"
	case drill.NotApplicable:
		return "not applicable"
	}
	return verdict
}

// table is a row for each probe of the catalogue that was tried on anybody.
func (p *page) table() *room.Table {
	t := p.columns("", "probe", "what is tried")
	for _, probe := range p.probes {
		row, tried := []string{string(probe.Class), probe.ID, room.Cell(probe.Technique)}, false
		for _, r := range p.results {
			v := r.verdict(probe.ID)
			tried = tried || v.Verdict != ""
			row = append(row, or(spoken(v.Verdict), "—"))
		}
		if tried {
			t.Add(row...)
		}
	}
	return t
}

const near = "The 99th percentile of the neighbour's answers in milliseconds, undisturbed (the slower of before and after) → beside " +
	"the attack. An engine is called exposed beyond three times as long, and not below 100 ms (250 ms where the attacker is a program of " +
	"the host): on a machine that does other work as well, less would say nothing. Cells in bold are beyond three times as long and " +
	"beyond 12 ms, which are three turns of a processor by the clock of this kernel (250 Hz)."

// turns are three turns of a processor, in milliseconds.
const turns = 12

// neighbour is a row for each probe beside which the neighbour was measured.
func (p *page) neighbour() *room.Table {
	t := p.columns("", "probe")
	for _, probe := range p.probes {
		row, measured := []string{string(probe.Class), probe.ID}, false
		for _, r := range p.results {
			cell := "—"
			if n := r.verdict(probe.ID).Near; n != nil {
				measured = true
				cell = fmt.Sprintf("%.1f → %.1f", n.CalmMS, n.BusyMS)
				if n.BusyMS > 3*n.CalmMS && n.BusyMS > turns {
					cell = "**" + cell + "**"
				}
			}
			row = append(row, cell)
		}
		if measured {
			t.Add(row...)
		}
	}
	return t
}

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
