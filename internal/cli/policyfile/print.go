package policyfile

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/brig-engine/brig/internal/wire/rules"
	"github.com/brig-engine/brig/internal/wire/rules/capname"
)

// Print writes a policy for people: the levels, and a block for each rule.
func Print(w io.Writer, p *rules.Policy) {
	floor, level := "standard", p.Level
	if p.Strict {
		floor = "strict"
	}
	if level == "" {
		level = "standard"
	}
	fmt.Fprintf(w, "level  %s, where a container names none\nfloor  %s\n", level, floor)
	for _, name := range slices.Sorted(maps.Keys(p.Runtimes)) {
		fmt.Fprintf(w, "\nruntime %s  %s\n", name, strings.Join(p.Runtimes[name], " "))
	}
	for _, g := range p.Grants {
		fmt.Fprintf(w, "\nallow  %s\n", whom(&g))
		for _, need := range g.Allow {
			fmt.Fprintf(w, "       %s\n", word(need))
		}
	}
}

func whom(g *rules.Grant) string {
	var of []string
	if g.Everyone {
		of = append(of, "everybody")
	}
	for _, id := range g.Users {
		of = append(of, fmt.Sprintf("user %d", id))
	}
	for _, id := range g.Groups {
		of = append(of, fmt.Sprintf("group %d", id))
	}
	s := strings.Join(of, ", ")
	if len(g.Images) > 0 {
		s += ", for images " + strings.Join(g.Images, ", ")
	}
	if g.Line > 0 {
		s += fmt.Sprintf(" (line %d)", g.Line)
	}
	return s
}

// word is a need as people know it.
func word(need string) string {
	key, value, _ := strings.Cut(need, "=")
	if n, err := strconv.Atoi(value); key == "capabilities" && err == nil && n >= 0 && n < len(capname.All) {
		value = capname.All[n]
	}
	return key + " " + value
}
