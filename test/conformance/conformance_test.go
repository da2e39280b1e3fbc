package conformance

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/brig-engine/brig/test/room"
)

var update = flag.Bool("update", false, "run dockerd and write what it answers to testdata/dockerd")

// Rooms at once: the scripts wait for programs to end more than they compute.
const (
	brigRooms    = 3
	dockerdRooms = 3
)

// recordOf is the file of dockerd's answers to a verb's script.
func recordOf(verb string) string { return filepath.Join("testdata", "dockerd", verb+".txt") }

// TestBrigAnswersAsDockerd is the quick lane: Brig alone, against what dockerd answered.
func TestBrigAnswersAsDockerd(t *testing.T) {
	s, scripts := setStage(t), scriptsOf(t)
	all := s.perform(t, brigRooms, scripts, func(string) room.Engine { return room.Brig(s.bin) })
	c := newComparison(os.Getenv("BRIG_VERBS") == "")
	for _, script := range scripts {
		text, err := os.ReadFile(recordOf(script.Verb))
		if err != nil {
			t.Fatalf("%v. Next: go test ./test/conformance -run Dockerd -update", err)
		}
		want, err := ParseRecord(string(text))
		if err != nil {
			t.Fatal(err)
		}
		c.verb(t, script, want, all[script.Verb])
	}
	c.end(t)
}

// TestDockerdAnswersAsRecorded is the slow lane: the record is what dockerd says today.
func TestDockerdAnswersAsRecorded(t *testing.T) {
	if os.Getenv("BRIG_SLOW") == "" && !*update {
		t.Skip("missing: the slow lane (make test-all)")
	}
	s, scripts := setStage(t), scriptsOf(t)
	if e := room.DockerIO(""); !found(e, s.peers) {
		t.Skip("missing: docker engine")
	}
	all := s.perform(t, dockerdRooms, scripts, room.DockerIO)
	for _, script := range scripts {
		r := all[script.Verb]
		if !complete(t, "dockerd", script, r) {
			continue
		}
		got := Record(r.Answers)
		if *update {
			if err := os.WriteFile(recordOf(script.Verb), []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(recordOf(script.Verb))
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s: dockerd answers\n%s\nand not as recorded\n%s", script.Verb, got, want)
		}
	}
}

func found(e room.Engine, peers room.Peers) bool {
	_, err := e.Find(peers)
	return err == nil
}

// complete tells whether a script ran to its end.
func complete(t *testing.T, engine string, s *Script, r played) bool {
	t.Helper()
	if r.Failed != "" || len(r.Answers) != s.Compared() {
		t.Errorf("%s, script %s: %d of %d lines: %s", engine, s.Verb, len(r.Answers), s.Compared(), r.Failed)
		return false
	}
	return true
}
