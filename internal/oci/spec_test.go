package oci

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/brig-engine/brig/internal/oci/config"
)

// What spec writes is a configuration of the newest version, and holds nothing that the specification does not know.
func TestExample(t *testing.T) {
	var s specs.Spec
	d := json.NewDecoder(strings.NewReader(example))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		t.Fatal(err)
	}
	if err := config.Check(&s); err != nil || s.Version != specs.Version || !strings.HasSuffix(example, "}\n") {
		t.Errorf("version %s: %v", s.Version, err)
	}
}
