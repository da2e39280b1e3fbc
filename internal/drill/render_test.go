package drill

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs (-update writes it anew):\n%s", path, got)
	}
}

func sample(engine string, change map[string]Verdict) *Report {
	r := &Report{Engine: engine, StartMS: []float64{9.1, 6.2, 7.5}}
	for _, p := range Catalogue() {
		v := Verdict{Probe: p.ID, Attack: p.Class, Verdict: Blocked, Layer: "layer of " + string(p.Class),
			Detail: p.Technique + " → EPERM"}
		if c, ok := change[p.ID]; ok {
			c.Probe, c.Attack = p.ID, p.Class
			v = c
		}
		r.Verdicts = append(r.Verdicts, v)
	}
	return r
}

func TestTableShowsSevenLinesAndHidesNothing(t *testing.T) {
	brig := sample("brig 0.1", map[string]Verdict{
		"open-by-handle": {Verdict: Blocked, Layer: "seccomp or capability", Detail: "open_by_handle_at → EPERM on 9 mounts"},
		"metadata":       {Verdict: CouldNotTry, Detail: "nobody asked"},
		"abi-32":         {Verdict: NotApplicable, Detail: "the kernel has no 32-bit entry"},
	})
	docker := sample("docker 28.2", map[string]Verdict{
		"abi-32":     {Verdict: Exposed, Detail: "int 0x80 getpid answered"},
		"fork-bomb":  {Verdict: Exposed, Detail: "4000 processes and no limit met\x1b[2J"},
		"forge":      {Verdict: CouldNotTry, Detail: "no canary network\x1b[2J"},
		"forge-door": {Verdict: CouldNotTry, Detail: "no canary network"},
	})
	var one, two, colored, js bytes.Buffer
	Render(&one, Style{}, brig)
	golden(t, "one.txt", one.Bytes())
	Render(&two, Style{Width: 130}, brig, docker)
	golden(t, "two.txt", two.Bytes())
	Render(&colored, Style{Color: true}, docker)
	golden(t, "color.txt", colored.Bytes())
	if err := RenderJSON(&js, brig); err != nil {
		t.Fatal(err)
	}
	golden(t, "one.json", js.Bytes())
	if strings.Contains(two.String(), "\x1b") {
		t.Error("an engine's control characters reached the terminal")
	}
}

func TestWhatCouldNotBeTriedIsNeverBlocked(t *testing.T) {
	change := map[string]Verdict{}
	for _, p := range Catalogue() {
		change[p.ID] = Verdict{Verdict: CouldNotTry, Detail: "x"}
	}
	for _, l := range sample("e", change).Lines() {
		if l.Verdict != CouldNotTry || l.Tried != 0 || len(l.Layers) != 0 {
			t.Errorf("%+v", l)
		}
	}
	for _, l := range (&Report{}).Lines() {
		if l.Verdict != NotApplicable {
			t.Errorf("without any probe: %+v", l)
		}
	}
}

func TestEveryClassHasOneHeadline(t *testing.T) {
	headlines, ids := map[Class]int{}, map[string]bool{}
	for _, p := range Catalogue() {
		if p.Headline {
			headlines[p.Class]++
		}
		if ids[p.ID] {
			t.Errorf("%s is there twice", p.ID)
		}
		ids[p.ID] = true
	}
	for _, c := range Classes() {
		if headlines[c.Class] != 1 {
			t.Errorf("%s has %d headlines", c.Class, headlines[c.Class])
		}
	}
}

func FuzzParseVerdict(f *testing.F) {
	f.Add([]byte(`{"probe":"x","attack":"A1","verdict":"blocked","layer":"seccomp","detail":"d","duration_ms":0.1}`))
	f.Add([]byte("noise\n{\"verdict\":\"exposed\"}\n"))
	f.Add([]byte(`{"verdict":"fine"}`))
	f.Fuzz(func(t *testing.T, out []byte) {
		v, err := parseVerdict(out)
		if err != nil {
			return
		}
		switch v.Verdict {
		case Exposed, Blocked, NotApplicable, CouldNotTry, lookOutside:
		default:
			t.Errorf("verdict %q was accepted", v.Verdict)
		}
	})
}

// How the neighbour fares is for the drill to say.
func TestAProbeSaysNothingOfTheNeighbour(t *testing.T) {
	v, err := parseVerdict([]byte(`{"probe":"x","attack":"A2","verdict":"blocked","layer":"l","detail":"d","duration_ms":1,"near":{"calm_ms":1,"busy_ms":1}}`))
	if err != nil || v.Near != nil {
		t.Errorf("%+v, %v", v.Near, err)
	}
}
