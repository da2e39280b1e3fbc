package control

import (
	"os"
	"strings"
	"testing"

	"github.com/brig-engine/brig/internal/drill"
)

// TestEveryWayOutOfTheRootIsSeen: one of them would be enough for the probe to report exposed.
func TestEveryWayOutOfTheRootIsSeen(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("missing: root, to make namespaces and a container without defences")
	}
	e, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	report, err := drill.Run(t.Context(), e, drill.Options{Program: buildProbe(t), Only: []string{"escaping-entries"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range report.Verdicts {
		for _, way := range []string{"absolute name: ", "name through a link: ", "dots: ", "hard link: "} {
			if v.Verdict != drill.Exposed || !strings.Contains(v.Detail, way) {
				t.Errorf("%q is not among what got through: %s: %s", way, v.Verdict, v.Detail)
			}
		}
	}
}
