package main

import (
	"fmt"
	"strings"

	"github.com/brig-engine/brig/internal/drill"
)

// verdict is what one probe found out, the zero value if it did not run.
func (r *result) verdict(id string) drill.Verdict {
	if r.report == nil {
		return drill.Verdict{}
	}
	for _, v := range r.report.Verdicts {
		if v.Probe == id {
			return v
		}
	}
	return drill.Verdict{}
}

// count is how many probes got through, were stopped, and could not be tried or had no meaning.
func (r *result) count() string {
	if r.report == nil {
		return "—"
	}
	n := map[string]int{}
	for _, v := range r.report.Verdicts {
		n[v.Verdict]++
	}
	return fmt.Sprintf("%d / %d / %d", n[drill.Exposed], n[drill.Blocked], n[drill.CouldNotTry]+n[drill.NotApplicable])
}

// exposed lists what got through, with what was seen.
func (p *page) exposed(b *strings.Builder) {
	b.WriteString("## What was seen\n\n")
	for _, r := range p.results {
		p.list(b, r, "Nothing got through.", func(v drill.Verdict) bool { return v.Verdict == drill.Exposed })
	}
}

// untried lists what says nothing about an engine, with the reason.
func (p *page) untried(b *strings.Builder) {
	b.WriteString("## What could not be tried\n\n")
	var outside []string
	for _, probe := range p.probes {
		if probe.Needs&drill.NeedOutside != 0 {
			outside = append(outside, probe.ID)
		}
	}
	if len(outside) > 0 {
		paragraph(b, "Left out, because it sends to an address beyond the machine: "+strings.Join(outside, ", ")+".")
	}
	for _, r := range p.results {
		if r.report == nil {
			continue
		}
		p.list(b, r, "Everything else could be tried.", func(v drill.Verdict) bool {
			return v.Verdict == drill.CouldNotTry || v.Verdict == drill.NotApplicable
		})
	}
}

// list writes an engine's verdicts of one kind, in the catalogue's order.
func (p *page) list(b *strings.Builder, r *result, none string, in func(drill.Verdict) bool) {
	fmt.Fprintf(b, "### %s\n\n", strings.TrimSpace(r.name+" "+r.version))
	if r.report == nil {
		paragraph(b, "It was not drilled: "+plain(r.failure)+".")
		return
	}
	any := false
	for _, probe := range p.probes {
		if v := r.verdict(probe.ID); v.Verdict != "" && in(v) {
			any = true
			item(b, fmt.Sprintf("**%s** (%s): %s", probe.ID, probe.Class, plain(v.Detail)))
		}
	}
	if !any {
		paragraph(b, none)
		return
	}
	b.WriteString("\n")
}

// why explains each probe that got through, as far as there is a note.
func (p *page) why(b *strings.Builder) {
	b.WriteString("## Why, and what closes it\n\n")
	var unexplained []string
	for _, probe := range p.probes {
		var who []string
		for _, r := range p.results {
			if r.verdict(probe.ID).Verdict == drill.Exposed {
				who = append(who, r.name)
			}
		}
		if len(who) == 0 {
			continue
		}
		n, ok := notes[probe.ID]
		if !ok {
			unexplained = append(unexplained, probe.ID)
			continue
		}
		text := fmt.Sprintf("**%s** (%s). %s", probe.ID, strings.Join(who, ", "), n.why)
		if n.docker != "" && (has(who, "docker.io") || has(who, "moby")) {
			text += " *Docker:* " + n.docker
		}
		if n.podman != "" && has(who, "podman") {
			text += " *Podman:* " + n.podman
		}
		item(b, text)
	}
	if len(unexplained) > 0 {
		item(b, "Without a note here: "+strings.Join(unexplained, ", ")+"; `brig drill --explain PROBE` says what it means.")
	}
}

func has(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

// plain keeps what an engine says from being read as Markdown or as more than one line.
func plain(s string) string {
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r < 0x20 || r == 0x7f }), " ")
	return strings.NewReplacer("|", "/", "<", "&lt;", "*", `\*`, "_", `\_`, "`", "'", "[", `\[`).Replace(s)
}

const width = 120

// paragraph writes a text in lines.
func paragraph(b *strings.Builder, text string) { fill(b, "", "", text); b.WriteString("\n") }

// item writes a text as one of a list.
func item(b *strings.Builder, text string) { fill(b, "- ", "  ", text) }

func fill(b *strings.Builder, first, rest, text string) {
	line := first
	for i, word := range strings.Fields(text) {
		if i > 0 && len([]rune(line))+1+len([]rune(word)) > width {
			b.WriteString(line + "\n")
			line = rest
		} else if i > 0 {
			line += " "
		}
		line += word
	}
	b.WriteString(line + "\n")
}
