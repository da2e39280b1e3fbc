package explain

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// What nobody has named is not printed as if it were known. Whole plans are package plan's golden files.
func TestWhatHasNoNameIsANumber(t *testing.T) {
	p := &Plan{Title: "a plan", Ops: []*Op{
		{Nr: unix.SYS_REBOOT, What: "restart", Args: []any{7}},
		{Nr: unix.SYS_PRCTL, What: "set", Args: []any{9999, unix.PR_CAP_AMBIENT_RAISE}},
		{Nr: unix.SYS_OPENAT2, What: "open", Args: []any{Ref("<root>"), "a\nb", []uint64{1 << 40, 0o600, 0}, 24}},
		{Nr: unix.SYS_UNSHARE, What: "leave", Args: []any{0}, On: []On{{Errno: unix.EPERM, To: "later"}}},
		{Kind: kindSet, What: "note", Args: []any{[]string{"x y"}}, Out: "list"},
	}}
	got := Text(p)
	for _, want := range []string{"not a system call that a plan may make: ", "prctl(9999, 2)",
		`openat2(<root>, "a\nb", {0x10000000000, 0x0, 0600}, 24)`, "unshare(0x0)  EPERM → later", `list = let(["x y"])`} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in:\n%s", want, got)
		}
	}
}

// Every sentence is said in some golden file: one that belongs to an operation which plans do not have any more is not kept.
func TestEveryReasonIsGiven(t *testing.T) {
	files, _ := filepath.Glob("../../warden/plan/testdata/*.plan")
	var all strings.Builder
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(b)
	}
	for _, r := range reasons {
		if !strings.Contains(all.String(), "# "+r.why) {
			t.Errorf("%s: nobody is told %q", r.what, r.why)
		}
	}
}

// What the warden answers is read for what it is: the kinds of arguments can be told apart.
func TestPlansAreReadAsTheyWereMade(t *testing.T) {
	const sent = `{"Title":"t\u001b[2J","Ops":[{"Stage":"s","Out":{"ref":""}},{"Kind":1,"Nr":%d,"Args":[131072,88],"Out":{"ref":"x"},"What":"make process 1 of the container",
		"On":[{"Errno":1,"To":"there","Remember":true}]},{"Kind":5,"Args":[["a","b"],null,{"ref":"<root>"},[1,18446744073709551615],"word",
		{"Name":"floor's","Code":"AAAAAAAAAAA=","Flags":0}],"Out":{"ref":""}}]}`
	p, err := Decode(fmt.Appendf(nil, sent, unix.SYS_CLONE3))
	if err != nil {
		t.Fatal(err)
	}
	want := &Plan{"t?[2J", []*Op{{Stage: "s"}, {Kind: 1, Nr: unix.SYS_CLONE3, Args: []any{ForkArgs(131072), 88}, Out: "x",
		What: "make process 1 of the container", On: []On{{Errno: 1, To: "there"}}},
		{Kind: kindSet, Args: []any{[]string{"a", "b"}, []string(nil), Ref("<root>"), []uint64{1, 1<<64 - 1}, "word", Filter{"floor's", make([]byte, 8)}}}}}
	if d := cmp.Diff(want, p); d != "" {
		t.Error(d)
	}
	steps := Steps(p)
	if len(steps) != 3 || steps[1].Last != 1 || !slices.Equal(steps[1].Answers, []string{"A3"}) || steps[2].Call != `let(["a" "b"], [], <root>, [1 18446744073709551615], "word", floor's filter, 1 instructions)` {
		t.Errorf("%+v", steps)
	}
}

// FuzzDecode: what is accepted can be printed.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{`{"Title":"t","Ops":[{"Nr":1,"Args":[1,"a",{"ref":"r"},[1],["a"],null]}]}`, `{"Ops":[null]}`, `{"Ops":[{"Kind":4,"Args":[2]}]}`,
		`{"Ops":[{"Nr":157,"Args":[24,1],"What":"x"},{"Nr":157,"Args":[24,2],"What":"x"}]}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, err := Decode(b); err == nil {
			Text(p)
		}
	})
}
