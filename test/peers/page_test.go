package main

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/brig-engine/brig/internal/drill"
	"github.com/brig-engine/brig/test/room"
)

var update = flag.Bool("update", false, "write the golden files anew")

// aPage has an engine of every kind, and a catalogue that is the test's own: the page takes whatever the drill tries.
func aPage() *page {
	verdict := func(id string, class drill.Class, verdict, detail string) drill.Verdict {
		return drill.Verdict{Probe: id, Attack: class, Verdict: verdict, Layer: "a layer", Detail: detail}
	}
	return &page{
		command: "go run ./test/peers -bin bin", date: time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC),
		machine: room.Machine{Kernel: "6.1.0", CPU: "A CPU", CPUs: 2, Memory: 24, Cgroups: "v2"},
		probes: []drill.Probe{
			{ID: "hog", Class: drill.A2, Technique: "take all"},
			{ID: "host-identity", Class: drill.A3, Technique: "be root"}, {ID: "brand-new", Class: drill.A4, Technique: "a | b"},
			{ID: "sniff", Class: drill.A6, Technique: "listen"}, {ID: "never-tried", Class: drill.A7, Technique: "nothing", Needs: drill.NeedOutside},
		},
		results: []*result{
			{name: "brig", version: "1.0", took: 9400 * time.Millisecond, report: &drill.Report{Verdicts: []drill.Verdict{
				verdict("host-identity", drill.A3, drill.Blocked, "nobody"), verdict("brand-new", drill.A4, drill.Blocked, "no"),
				verdict("sniff", drill.A6, drill.Blocked, "nothing heard"),
				{Probe: "hog", Attack: drill.A2, Verdict: drill.Blocked, Near: &drill.Near{CalmMS: 1.5, BusyMS: 4.4}},
			}}},
			{name: "docker.io", version: "20.10", also: []string{"containerd 1", "runc 2"}, report: &drill.Report{
				Verdicts: []drill.Verdict{
					verdict("host-identity", drill.A3, drill.Exposed, "the container's root is uid 0 on the host"),
					verdict("brand-new", drill.A4, drill.Exposed, "an <engine> said *this* | that\nand more "+strings.Repeat("word ", 30)),
					verdict("sniff", drill.A6, drill.CouldNotTry, "the neighbour could not be reached"),
					{Probe: "hog", Attack: drill.A2, Verdict: drill.Exposed, Near: &drill.Near{CalmMS: 5, BusyMS: 15.1}},
				}}},
			{name: "moby", failure: "dockerd is not installed | at all"},
		},
	}
}

func TestPageIsAsInTheGoldenFile(t *testing.T) {
	got := aPage().markdown()
	file := filepath.Join("testdata", "page.md")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestNotesAreOfProbes(t *testing.T) {
	for id := range notes {
		if !slices.ContainsFunc(drill.Catalogue(), func(p drill.Probe) bool { return p.ID == id }) {
			t.Errorf("there is a note on %q, and no such probe", id)
		}
	}
}

func TestEveryEngineIsDrilledThroughASocket(t *testing.T) {
	for _, e := range (&session{bin: "/bin", dir: "/dir"}).engines() {
		if e.Socket == "" || len(e.Open)+len(e.Daemon) == 0 {
			t.Errorf("%s: socket %q, open %q, daemon %q", e.Name, e.Socket, e.Open, e.Daemon)
		}
	}
}
