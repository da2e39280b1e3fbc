package text

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	kernel "github.com/brig-engine/brig/internal/kernel/calls"
	"github.com/brig-engine/brig/internal/kernel/clone"
	"github.com/brig-engine/brig/internal/warden/plan"
)

// What nobody has named is not printed as if it were known. Whole plans are package plan's golden files.
func TestWhatHasNoNameIsANumber(t *testing.T) {
	p := &plan.Plan{Title: "a plan", Ops: []*plan.Op{
		{Nr: unix.SYS_REBOOT, What: "restart", Args: []any{7}},
		{Nr: unix.SYS_PRCTL, What: "set", Args: []any{9999, unix.PR_CAP_AMBIENT_RAISE}},
		{Nr: unix.SYS_OPENAT2, What: "open", Args: []any{plan.Ref("<root>"), "a\nb", []uint64{1 << 40, 0o600, 0}, 24}},
		{Nr: unix.SYS_UNSHARE, What: "leave", Args: []any{0}, On: []kernel.On{{Errno: unix.EPERM, To: "later"}}},
		{Kind: clone.Set, What: "note", Args: []any{[]string{"x y"}}, Out: "list"},
	}}
	got := Plan(p)
	for _, want := range []string{"not a system call that a plan may make: ", "prctl(9999, 2)",
		`openat2(<root>, "a\nb", {0x10000000000, 0x0, 0600}, 24)`, "unshare(0x0)  EPERM → later", `list = let(["x y"])`} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in:\n%s", want, got)
		}
	}
}

// Every sentence is said in some golden file: one that belongs to an operation which plans do not have any more is not kept.
func TestEveryReasonIsGiven(t *testing.T) {
	files, _ := filepath.Glob("../testdata/*.plan")
	var all strings.Builder
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(b)
	}
	for _, r := range reasons {
		if !strings.Contains(all.String(), "# "+r.why+"\n") {
			t.Errorf("%s: nobody is told %q", r.what, r.why)
		}
	}
}
