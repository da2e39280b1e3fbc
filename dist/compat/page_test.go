package main

import (
	"flag"
	"os"
	"testing"
)

var update = flag.Bool("update", false, "write docs/docker-compatibility.md")

// TestThePageIsWhatTheTableSays: docs/docker-compatibility.md is made, not written.
func TestThePageIsWhatTheTableSays(t *testing.T) {
	const path = "../../docs/docker-compatibility.md"
	if *update {
		if err := os.WriteFile(path, []byte(page()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != page() {
		t.Errorf("%s is not what the table says. Next: go run ./dist/compat", path)
	}
}
