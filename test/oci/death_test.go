package oci

import (
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// A runtime that is killed in the middle of a create leaves what delete --force removes, and no process.
func TestKilledCreate(t *testing.T) {
	b := newBox(t, idle)
	b.spec.Hooks = &specs.Hooks{CreateRuntime: []specs.Hook{{Path: "/bin/sh", Args: []string{"sh", "-c", "kill -9 $PPID"}}}}
	b.write()
	if _, status := b.run(nil, "create", "--bundle", b.dir, b.id); status != -1 {
		t.Fatalf("status %d of a runtime that its hook kills", status)
	}
	b.until("stopped") // its child has nobody to open its gate, and ends
	b.ok("delete", "--force", b.id)
	if left, err := os.ReadDir(b.state); err != nil || len(left) > 0 {
		t.Errorf("%v is left (%v)", left, err)
	}
	b.spec.Hooks = nil
	b.spec.Process.Args = []string{"echo", "again"}
	if out, status := b.once(); status != 0 || !strings.Contains(out, "again") {
		t.Errorf("the same name once more: %d %s", status, out)
	}
}
