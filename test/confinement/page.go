package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/wire/rules/capname"
	"github.com/brig-engine/brig/test/room"
)

// result is one column.
type result struct {
	name, version string
	failure       string // why there is none
	confinement
}

type page struct {
	command string
	machine room.Machine
	date    time.Time
	results []*result
}

// row is one line of the table. Less of a number is better.
type row struct {
	what   string
	number func(*result) (int, bool) // false: not a number
	text   func(*result) string
}

func number(f func(*result) int) (func(*result) (int, bool), func(*result) string) {
	return func(r *result) (int, bool) { return f(r), true }, func(r *result) string { return strconv.Itoa(f(r)) }
}

func rows() []row {
	make := func(what string, f func(*result) int) row {
		n, t := number(f)
		return row{what, n, t}
	}
	none := func(*result) (int, bool) { return 0, false }
	return []row{
		make("effective capabilities of root", func(r *result) int { return len(r.Effective) }),
		make("capabilities that any program can have", func(r *result) int { return len(r.Bounding) }),
		make("reachable system calls", func(r *result) int { return len(r.Calls) }),
		make("other ways into the kernel (i386, x32)", func(r *result) int { return len(r.Entries) }),
		make("socket families", func(r *result) int { return len(r.Families) }),
		make("writable files of /proc", func(r *result) int { return total(r.Proc) }),
		make("writable files of /sys", func(r *result) int { return total(r.Sys) }),
		make("namespaces shared with the host", func(r *result) int { return len(r.Shared) }),
		{"root inside, on the host", func(r *result) (int, bool) { return map[bool]int{true: 1}[r.Root == "0"], true }, func(r *result) string {
			if r.Root == "0" {
				return "root"
			}
			return "nobody (" + r.Root + ")"
		}},
		{"no_new_privs", func(r *result) (int, bool) { return map[bool]int{false: 1}[r.NoNewPrivs], true }, func(r *result) string {
			return map[bool]string{true: "yes", false: "no"}[r.NoNewPrivs]
		}},
		{"security module's label", none, func(r *result) string {
			if r.Security == "" {
				return "–"
			}
			return "`" + r.Security + "`"
		}},
	}
}

func total(m map[string]int) (n int) {
	for _, v := range m {
		n += v
	}
	return n
}

// hold is an error if Brig's defaults do not leave less of everything than those of another engine, of which there is any.
func (p *page) hold() (err error) {
	for _, row := range rows() {
		for _, other := range p.results {
			if strings.HasPrefix(other.name, "brig ") && other.name != "brig strict" {
				continue // compat is as much as Docker's, by its name
			}
			mine, counts := row.number(p.results[0])
			theirs, _ := row.number(other)
			worse := mine > theirs || mine == theirs && mine > 0
			switch other.name {
			case p.results[0].name:
				continue
			case "brig strict": // is not above the default
				worse = theirs > mine
			}
			if counts && other.failure == "" && p.results[0].failure == "" && worse {
				err = errors.Join(err, fmt.Errorf("%s: %s leaves %d, %s %d", row.what, p.results[0].name, mine, other.name, theirs))
			}
		}
	}
	return err
}

func (p *page) markdown() string {
	var w strings.Builder
	fmt.Fprintf(&w, "# What a container is left with\n\nWritten by `%s` on %s: %s.\n\n", p.command, p.date.Format("2006-01-02"), p.machine)
	w.WriteString("A container with nothing but the engine's defaults (Brig's level standard), and with Brig's other two levels (docs/policy.md; strict has no root,\n" +
		"so it runs as user 1000), of the same image, on the same machine. How each is found is at the head of\n" +
		"`test/confinement/main.go`. A system call counts as reachable if the filters let it through for some arguments; whether the kernel then\n" +
		"asks for a capability that nobody in the container has is the first two rows' affair. Brig's default is below both others in each row in\n" +
		"which there is anything to be below; the command fails if it is not.\n\n|  |")
	for _, r := range p.results {
		fmt.Fprintf(&w, " %s |", r.name)
	}
	w.WriteString("\n|---|" + strings.Repeat("---|", len(p.results)) + "\n| version |")
	for _, r := range p.results {
		fmt.Fprintf(&w, " %s |", r.version)
	}
	w.WriteString("\n")
	for _, row := range rows() {
		fmt.Fprintf(&w, "| %s |", row.what)
		for _, r := range p.results {
			if r.failure != "" {
				w.WriteString(" not seen |")
			} else {
				fmt.Fprintf(&w, " %s |", row.text(r))
			}
		}
		w.WriteString("\n")
	}
	for _, r := range p.results {
		if r.failure != "" {
			fmt.Fprintf(&w, "\n%s was not seen: %s\n", r.name, r.failure)
		}
	}
	p.differences(&w)
	return w.String()
}

// differences says by name what another engine leaves and the first does not, and the other way round.
func (p *page) differences(w *strings.Builder) {
	mine := p.results[0]
	fmt.Fprintf(w, "\n## %s, by name\n\n", mine.name)
	fmt.Fprintf(w, "- capabilities: %s\n- socket families: %s\n- writable below /proc: %s\n- writable below /sys: %s\n", capabilities(mine.Bounding),
		families(mine.Families), places(mine.Proc), places(mine.Sys))
	for _, r := range p.results[1:] {
		if r.failure != "" {
			continue
		}
		fmt.Fprintf(w, "\n## %s, beside %s\n\n", r.name, mine.name)
		fmt.Fprintf(w, "- capabilities more: %s\n- system calls more: %s\n- system calls less: %s\n- other ways in: %s\n- socket families more: %s\n"+
			"- writable below /proc: %s\n- writable below /sys: %s\n", capabilities(without(r.Bounding, mine.Bounding)), words(without(r.Calls, mine.Calls)),
			words(without(mine.Calls, r.Calls)), words(r.Entries), families(without(r.Families, mine.Families)), places(r.Proc), places(r.Sys))
	}
}

func without[T comparable](a, b []T) (left []T) {
	for _, x := range a {
		if !slices.Contains(b, x) {
			left = append(left, x)
		}
	}
	return left
}

func words(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, " ")
}

func places(m map[string]int) string {
	var list []string
	for _, p := range slices.Sorted(maps.Keys(m)) {
		list = append(list, fmt.Sprintf("%s (%d)", p, m[p]))
	}
	return words(list)
}

func families(list []int) string {
	var names []string
	for _, f := range list {
		name := map[int]string{unix.AF_UNIX: "UNIX", unix.AF_INET: "INET", unix.AF_INET6: "INET6", unix.AF_NETLINK: "NETLINK", unix.AF_PACKET: "PACKET",
			unix.AF_ALG: "ALG", unix.AF_VSOCK: "VSOCK", unix.AF_QIPCRTR: "QIPCRTR", unix.AF_KEY: "KEY", unix.AF_XDP: "XDP"}[f]
		if name == "" {
			name = "family " + strconv.Itoa(f)
		}
		names = append(names, name)
	}
	return words(names)
}

func capabilities(list []int) string {
	var names []string
	for _, c := range list {
		if c < len(capname.All) {
			names = append(names, capname.All[c])
		} else {
			names = append(names, strconv.Itoa(c))
		}
	}
	return words(names)
}
