package conformance

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/brig-engine/brig/test/room"
)

// TestRefusalsAreAsNamed runs a line of each verb that Brig does not have.
func TestRefusalsAreAsNamed(t *testing.T) {
	s := setStage(t)
	help, err := exec.Command(s.client, "--help").Output()
	if err != nil {
		t.Fatal(err)
	}
	script, run := &Script{Verb: "refusals"}, []Refusal{}
	for _, r := range refusals {
		if !r.Plugin || !strings.Contains(string(help), "\n  "+r.Verb+"*") {
			script.Lines, run = append(script.Lines, Line{Text: r.Line}), append(run, r)
		}
	}
	all := s.perform(t, 1, []*Script{script}, func(string) room.Engine { return room.Brig(s.bin) })
	r := all[script.Verb]
	if !complete(t, "Brig", script, r) {
		return
	}
	for i, want := range run {
		if got := r.Answers[i]; got.Code != want.Code || !strings.Contains(got.Stderr, want.Says) {
			t.Errorf("want exit code %d and %q:\n%s", want.Code, want.Says, Record([]Answer{got}))
		}
	}
}

// TestEachVerbHasItsLines: whatever verb the client's help lists has a script of at least five command lines, or a
// refusal.
func TestEachVerbHasItsLines(t *testing.T) {
	out, err := exec.Command("docker", "--help").Output()
	if err != nil {
		t.Skip("missing: docker client")
	}
	verbs := regexp.MustCompile(`(?m)^  ([a-z]+)\*? +\S`).FindAllStringSubmatch(string(out), -1)
	if len(verbs) < 50 {
		t.Fatalf("the help lists %d verbs:\n%s", len(verbs), out)
	}
	scripts := scriptsOf(t)
	for _, m := range verbs {
		i := slices.IndexFunc(scripts, func(s *Script) bool { return s.Verb == m[1] })
		refused := slices.ContainsFunc(refusals, func(r Refusal) bool { return r.Verb == m[1] })
		switch {
		case i < 0 && !refused:
			t.Errorf("%s: neither a script nor a refusal", m[1])
		case i >= 0 && refused:
			t.Errorf("%s: a script and a refusal", m[1])
		case i >= 0 && scripts[i].Compared() < 5:
			t.Errorf("%s: only %d command lines", m[1], scripts[i].Compared())
		}
	}
}

// TestDifferencesAreFewAndNotInWhatProgramsRead holds the table to its bounds.
func TestDifferencesAreFewAndNotInWhatProgramsRead(t *testing.T) {
	if len(differences) > Most {
		t.Errorf("%d differences, more than %d", len(differences), Most)
	}
	for _, d := range differences {
		if d.What == "" || d.Reason == "" || len(d.Wordings) == 0 || d.Stream != Stdout && d.Stream != Stderr {
			t.Errorf("%q: incomplete", d.What)
		}
		for _, w := range d.Wordings {
			for verb := range strings.FieldsSeq(w.Verbs) {
				if d.Stream == Stdout && slices.Contains(Exact, verb) {
					t.Errorf("%q is in the standard output of %s", d.What, verb)
				}
			}
		}
	}
}

// TestRecordsAreReadAsWritten: a record and the scripts hold the same lines, and no record is of a script that is gone.
func TestRecordsAreReadAsWritten(t *testing.T) {
	files, err := filepath.Glob(recordOf("*"))
	if err != nil {
		t.Fatal(err)
	}
	if scripts := scriptsOf(t); len(files) != len(scripts) {
		t.Errorf("%d records of %d scripts", len(files), len(scripts))
	}
	want := []Answer{{Line: "a", Code: 3, Stdout: "x\n\ny", Stderr: "e|\n"}, {Line: "b"}, {Line: "c", Stdout: "\n"}}
	got, err := ParseRecord(Record(want))
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
}
