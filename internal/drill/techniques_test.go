package drill

import "testing"

// Whatever is known of the first three attacks is tried, and every probe of them tries something that is known.
func TestEveryTechniqueHasAProbe(t *testing.T) {
	probes, tried, names := map[string]Class{}, map[string]bool{}, map[string]bool{}
	for _, p := range Catalogue() {
		probes[p.ID] = p.Class
	}
	count := map[Class]int{}
	for _, x := range Techniques() {
		count[x.Class]++
		if names[x.Name] {
			t.Errorf("%q is there twice", x.Name)
		}
		names[x.Name], tried[x.Probe] = true, true
		_, known := probes[x.Probe]
		if known == (x.Reason != "") {
			t.Errorf("%s %q: probe %q, reason %q", x.Class, x.Name, x.Probe, x.Reason)
		}
	}
	for id, class := range probes {
		if (class == A1 || class == A2 || class == A3) && !tried[id] {
			t.Errorf("%s tries no technique that is listed", id)
		}
	}
	if count[A1] < 39 || count[A2] < 31 || count[A3] < 40 {
		t.Errorf("techniques went missing: %v", count)
	}
}

// What takes from others is measured at others.
func TestEveryHogHasANeighbour(t *testing.T) {
	for _, p := range Catalogue() {
		if p.Class == A2 && p.Needs&NeedNeighbour == 0 {
			t.Errorf("%s has no neighbour", p.ID)
		}
	}
}
