package wire

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestFilterOfImpossibleLengthIsRefused(t *testing.T) {
	for size, ok := range map[int]bool{0: false, 7: false, 8: true, 12: false, 8 * FilterMaxInstructions: true,
		8*FilterMaxInstructions + 8: false} {
		f := Filter{Program: make([]byte, size)}
		if err := f.Validate(); (err == nil) != ok || err != nil && !strings.Contains(err.Error(), "instructions") {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

func TestFilterDigestChangesWithMeaningAndSurvivesTheWire(t *testing.T) {
	f := Filter{Program: make([]byte, 8*FilterMaxInstructions)}
	b, err := json.Marshal(f)
	if err != nil || len(b) > 96<<10 {
		t.Fatalf("%d bytes do not travel in a packet: %v", len(b), err)
	}
	var back Filter
	if err := DecodeStrict(b, &back); err != nil {
		t.Fatal(err)
	}
	if f.Digest() != back.Digest() || !strings.HasPrefix(f.Digest(), "sha256:") || len(f.Digest()) != 71 {
		t.Errorf("digests %s and %s", f.Digest(), back.Digest())
	}
	back.Program[5]++
	other := Filter{Program: f.Program, Log: true}
	if f.Digest() == back.Digest() || f.Digest() == other.Digest() {
		t.Error("another filter, the same digest")
	}
	if err := DecodeStrict([]byte(`{"program":"AAAA","rules":[1]}`), &back); err == nil {
		t.Error("an unknown field passes")
	}
}

func FuzzFilterDecodesOrIsRefused(f *testing.F) {
	f.Add([]byte(`{"program":"BgAAAAAA/38=","log":true}`))
	f.Add([]byte(`{"program":"BgAAAAAA/3"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var filter Filter
		if DecodeStrict(b, &filter) != nil || filter.Validate() != nil {
			return
		}
		out, err := json.Marshal(filter)
		if err != nil {
			t.Fatal(err)
		}
		var again Filter
		if err := DecodeStrict(out, &again); err != nil || again.Digest() != filter.Digest() {
			t.Fatalf("does not survive the wire: %v", err)
		}
	})
}
