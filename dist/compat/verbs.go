package main

import (
	"slices"
	"strings"

	"github.com/brig-engine/brig/test/conformance"
)

// differences writes the table of test/conformance, which fails when one of them is not seen any more.
func differences(b *strings.Builder) {
	b.WriteString("\n## Where an answer differs from dockerd's\n\n" + fill("The same command lines of every verb of the docker "+
		"client (28.2) run against Brig and against dockerd (20.10). Exit codes, standard output and standard error are the "+
		"same, once identities, times, addresses and sizes are left aside, but for these. No line of the comparison differs in its exit code, and none of "+
		strings.Join(conformance.Exact, ", ")+" in its standard output. Besides, a new engine has one image, brig-probe, "+
		"which the comparison removes first.") + "\n\n")
	var rows [][]string
	for _, d := range conformance.Differences() {
		var verbs []string
		for _, w := range d.Wordings {
			verbs = append(verbs, strings.Fields(w.Verbs)...)
		}
		rows = append(rows, []string{d.What, d.Reason, d.Stream + " of " + strings.Join(unique(verbs), ", ")})
	}
	table(b, []string{"what Brig does", "why", "where"}, rows)
}

// absent writes the verbs that Brig does not have.
func absent(b *strings.Builder) {
	b.WriteString("\n## Verbs that Brig does not have\n\n" + fill("What the docker client prints of them, which the same test "+
		"holds true. Those that are programs of their own are tried where the client does not have them.") + "\n\n")
	var rows [][]string
	for _, r := range conformance.Refusals() {
		rows = append(rows, []string{code(r.Verb), code(r.Line), code(r.Says), r.Why})
	}
	table(b, []string{"verb", "for example", "says", "why"}, rows)
}

func unique(words []string) []string {
	slices.Sort(words)
	return slices.Compact(words)
}
