package state

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/brig-engine/brig/internal/oci/cgroup"
)

func TestIDs(t *testing.T) {
	for _, good := range []string{"a", "A-b_c.d+1", strings.Repeat("x", 255), "..."} {
		if err := checkID(good); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{"", ".", "..", "a/b", "a b", "\x00", "ä", strings.Repeat("x", 256), "../x"} {
		if err := checkID(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

func TestRecordSurvives(t *testing.T) {
	root := t.TempDir()
	d, err := Create(root, "one")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Create(root, "one"); err == nil || !strings.Contains(err.Error(), "already exists") {
		t.Errorf("a second of the name: %v", err)
	}
	if _, err := Look(root, "one"); err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("one that is not written down yet: %v", err)
	}
	d.Record = Record{ID: "one", PID: os.Getpid(), Groups: &cgroup.Group{Dirs: []cgroup.Dir{{Mount: "/none", Path: "/x"}}},
		Process: &specs.Process{Args: []string{"a"}}}
	d.Began, _ = Began(d.PID)
	if err := d.Write(); err != nil {
		t.Fatal(err)
	}
	d.Close()
	got, err := Open(root, "one")
	if err != nil || !reflect.DeepEqual(got.Record, d.Record) {
		t.Fatalf("%v\n%+v want\n%+v", err, got.Record, d.Record)
	}
	if s := got.Status(); s != specs.StateRunning {
		t.Errorf("status %s of a process that lives", s)
	}
	got.Began++ // another process has the number by now
	if s := got.Status(); s != specs.StateStopped {
		t.Errorf("status %s of a process that is another", s)
	}
	if _, err := got.Open1(); err == nil {
		t.Error("a process that is another is opened")
	}
	if err := got.Remove(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(filepath.Join(root, "one")); err == nil {
		t.Error("it is still there")
	}
}

// FuzzDecode: a record is refused, or has what every command takes for granted.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"id":"a","pid":1,"groups":{"dirs":[{"mount":"/m","path":"/p"}]},"process":{"args":["x"],"cwd":"/"}}`))
	f.Add([]byte(`{"id":"../a","groups":{}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := Decode(b)
		if err == nil && (r.Process == nil || len(r.Groups.Dirs) == 0 || strings.Contains(r.ID, "/")) {
			t.Fatalf("accepted: %s", b)
		}
	})
}
