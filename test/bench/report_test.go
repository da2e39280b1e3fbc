package main

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/brig-engine/brig/test/room"
)

var update = flag.Bool("update", false, "write the golden files anew")

func milliseconds(values ...float64) (s sample) {
	for _, v := range values {
		s = append(s, time.Duration(v*float64(time.Millisecond)))
	}
	return s
}

// aReport has an engine of every kind: measured, measured in part, dropped out, not installed, and the yardstick.
func aReport() *report {
	return &report{
		command: "go run ./test/bench -bin bin", idle: 200, large: 400,
		machine: room.Machine{Kernel: "6.1.0", CPU: "A | CPU", CPUs: 2, Memory: 24, Cgroups: "v2"},
		fsync:   milliseconds(2), gunzip: milliseconds(2000, 1900, 2200),
		list: []*contender{
			{engine: engine{Engine: room.Engine{Name: "brig"}, Load: []string{"load"}}, version: "1.0", once: milliseconds(7, 6, 9, 7.5),
				detach: milliseconds(11), exec: milliseconds(5), rates: map[int]rates{1: {90}, 2: {170}, 4: {240}, 8: {150, 200, 100}},
				idle: &idleCost{pss: 33, private: 30, machine: 490, processes: 3}, load: milliseconds(2300)},
			{engine: engine{Engine: room.Engine{Name: "docker.io"}, Load: []string{"load"}}, version: "20.10", once: milliseconds(280, 260),
				rates: map[int]rates{1: {3.5, 2.5}}, load: milliseconds(4600), failure: "a\\b | c\nsecond line"},
			{engine: engine{Engine: room.Engine{Name: "moby"}, Load: []string{"load"}}, failure: "dockerd is not installed"},
			{engine: engine{Engine: room.Engine{Name: "runc"}}, version: "1.1.5", client: "29.0", once: milliseconds(50),
				detach: milliseconds(48), idle: &idleCost{machine: 300}},
			{engine: engine{Engine: room.Engine{Name: "no container"}, Bare: true}, once: milliseconds(0.9)},
		},
	}
}

func TestReportIsAsInTheGoldenFile(t *testing.T) {
	got := aReport().markdown()
	file := filepath.Join("testdata", "report.md")
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

func TestWithoutAMeasurementNoGoalIsMet(t *testing.T) {
	for _, g := range (&report{large: 1}).goals() {
		if met := g.met(); met != "not measured" {
			t.Errorf("%s: met: %s", g.what, met)
		}
	}
}

func TestGoalsAreComparedUnrounded(t *testing.T) {
	for _, c := range []struct {
		goal goal
		want string
	}{
		{goal{have: 8, limit: 8}, "yes"},
		{goal{have: 8.0001, limit: 8}, "no"},
		{goal{have: 149.99, limit: 150, least: true}, "no"},
		{goal{have: 150, limit: 150, least: true}, "yes"},
		{goal{have: -1, limit: 512}, "not measured"},
	} {
		if got := c.goal.met(); got != c.want {
			t.Errorf("%+v: %s, want %s", c.goal, got, c.want)
		}
	}
}
