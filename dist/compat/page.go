package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/brig-engine/brig/internal/daemon/policy/compat"
)

const head = `# Coming from Docker

What Brig does with each option of ` + "`docker run`" + ` and ` + "`docker create`" + ` (28.2), whether ` + "`brig`" + `, the docker client or a
program of yours sends it. There are three answers: it **works**; it is **refused by policy**, because of a rule that this page and
the refusal name; or it is **not supported**, which the refusal says as well. Nothing is ignored: a request that holds an
option of which Brig cannot do what it says is refused as a whole, with all reasons at once, before anything is made.

This page is made from the table that the engine itself refuses by (` + "`internal/daemon/policy/compat`" + `), with
` + "`go run ./dist/compat`" + `. A test sends every field of the API's create request and holds the answer against the table;
another one holds the list of options against ` + "`docker run --help`" + `. What the other verbs do and say is compared with
dockerd by ` + "`test/conformance`" + `; the last two sections are made from its tables.

`

// page is the whole text.
func page() string {
	var b strings.Builder
	b.WriteString(head)
	all := compat.Entries()
	b.WriteString(summary(all))
	works(&b, all)
	refused(&b, all)
	missing(&b, all)
	options(&b, all)
	fields(&b, all)
	differences(&b)
	absent(&b)
	return b.String()
}

// option is a flag of docker run with all entries about it.
type option struct {
	name    string // as it is written: -v, --volume
	entries []*compat.Entry
}

// optionsOf gives the flags by long name.
func optionsOf(all []*compat.Entry) []*option {
	byName := map[string]*option{}
	var list []*option
	for _, e := range all {
		for i, f := range e.Flags {
			if !strings.HasPrefix(f, "--") {
				continue
			}
			name, _, _ := strings.Cut(f, " ") // --network driver-opt is a part of --network
			o := byName[name]
			if o == nil {
				o = &option{name: name}
				byName[name] = o
				list = append(list, o)
			}
			if i > 0 && !strings.HasPrefix(e.Flags[i-1], "--") {
				o.name = e.Flags[i-1] + ", " + name
			}
			if !slices.Contains(o.entries, e) {
				o.entries = append(o.entries, e)
			}
		}
	}
	slices.SortFunc(list, func(a, b *option) int { return strings.Compare(long(a.name), long(b.name)) })
	return list
}

func long(name string) string { return name[strings.Index(name, "--"):] }

// with gives the option's entries of one state.
func (o *option) with(s compat.State) (list []*compat.Entry) {
	for _, e := range o.entries {
		if e.State == s {
			list = append(list, e)
		}
	}
	return list
}

func summary(all []*compat.Entry) string {
	var plain, partly, refused, missing int
	list := optionsOf(all)
	for _, o := range list {
		switch w, r, m := len(o.with(compat.Works)), len(o.with(compat.Refused)), len(o.with(compat.Missing)); {
		case w > 0 && r+m == 0:
			plain++
		case w > 0:
			partly++
		case r > 0:
			refused++
		default:
			missing++
		}
	}
	return fmt.Sprintf("Of %d options %d work, %d work but for some values, %d are refused by policy, and %d are not supported.\n\n",
		len(list), plain, partly, refused, missing)
}

func works(b *strings.Builder, all []*compat.Entry) {
	b.WriteString("## What works\n\nAs with Docker: ")
	var plain []string
	var rows [][]string
	for _, o := range optionsOf(all) {
		w := o.with(compat.Works)
		if len(w) == 0 {
			continue
		}
		noted := false
		for _, e := range w {
			if e.Note != "" {
				noted = true
				rows = append(rows, []string{code(written(o, e)), e.Note})
			}
		}
		if !noted {
			plain = append(plain, code(o.name))
		}
	}
	b.WriteString(fill(strings.Join(plain, ", ") + "."))
	b.WriteString("\n\nWith a bound, a default or a meaning of Brig's own:\n\n")
	table(b, []string{"option", "what to know"}, rows)
}

func refused(b *strings.Builder, all []*compat.Entry) {
	b.WriteString("\n## What is refused by policy, and what to do instead\n\n" + fill("These would take away what Brig is "+
		"there for. The refusal has the form `OPTION VALUE: the rule RULE forbids it: WHY; INSTEAD`. No "+
		"line of an administrator's policy allows them either; what one can allow is in [policy.md](policy.md).") + "\n\n")
	var rows [][]string
	for _, e := range all {
		if e.State == compat.Refused {
			rows = append(rows, []string{code(e.Written()), code(e.Rule), e.Reason, e.Instead})
		}
	}
	table(b, []string{"option", "rule", "why", "instead"}, rows)
}

func missing(b *strings.Builder, all []*compat.Entry) {
	b.WriteString("\n## What is not supported\n\n" + fill("The refusal has the form `OPTION VALUE: not supported: WHY; INSTEAD`.") + "\n\n")
	var rows [][]string
	for _, e := range all {
		if e.State == compat.Missing && len(e.Flags) > 0 {
			rows = append(rows, []string{code(writtenAll(e)), e.Reason, e.Instead})
		}
	}
	table(b, []string{"option", "why", "instead"}, rows)
}

func options(b *strings.Builder, all []*compat.Entry) {
	b.WriteString("\n## Every option of docker run\n\n" + fill("`brig run` knows each of them by the same name: it does the "+
		"same, or is refused in the same words. The docker client deals with some before the engine sees them: what is for "+
		"Windows it refuses in its own words, `--kernel-memory` it drops, and of `--use-api-socket` it makes a bind mount "+
		"of the socket, which is allowed as any other.") + "\n\n")
	var rows [][]string
	for _, o := range optionsOf(all) {
		var says []string
		for _, s := range []compat.State{compat.Works, compat.Refused, compat.Missing} {
			list := o.with(s)
			if len(list) == 0 {
				continue
			}
			text := string(s)
			if len(list) < len(o.entries) && s != compat.Works {
				var what []string
				for _, e := range list {
					what = append(what, code(e.Written()))
				}
				text += ": " + strings.Join(what, "; ")
			}
			says = append(says, text)
		}
		rows = append(rows, []string{code(o.name), strings.Join(says, ". ")})
	}
	table(b, []string{"option", "Brig"}, rows)
}

func fields(b *strings.Builder, all []*compat.Entry) {
	b.WriteString("\n## Every field of a create request\n\n" + fill("The body of `POST /containers/create`, as the "+
		"API's own types have it, and what older versions of the API had. A field that the API does not have is refused "+
		"by its name. Values that have an answer of their own are in the tables above.") + "\n\n")
	var rows [][]string
	for _, e := range all {
		if e.Field == "" || e.Value != "" {
			continue
		}
		flags := make([]string, 0, 2)
		for _, f := range e.Flags {
			if strings.HasPrefix(f, "--") {
				flags = append(flags, code(f))
			}
		}
		field := code(e.Field)
		if len(e.Below) > 0 {
			field += " (" + strings.Join(e.Below, ", ") + ")"
		}
		state := string(e.State)
		if e.State == compat.Refused {
			state += " (" + e.Rule + ")"
		}
		rows = append(rows, []string{field, strings.Join(flags, ", "), state})
	}
	table(b, []string{"field", "option", "Brig"}, rows)
}
