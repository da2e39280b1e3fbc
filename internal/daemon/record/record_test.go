package record

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
)

func load(t *testing.T, s *Store) map[string]string {
	t.Helper()
	got := map[string]string{}
	if err := s.Load(func(id string, b []byte) error { got[id] = string(b); return nil }); err != nil {
		t.Fatal(err)
	}
	return got
}

func TestRecordsSurviveAndAreReplacedAsAWhole(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(filepath.Join(dir, "c"))
	if err != nil {
		t.Fatal(err)
	}
	for i, durable := range []bool{false, true} {
		if err := s.Write("a", map[string]int{"n": i}, durable); err != nil {
			t.Fatal(err)
		}
	}
	again, err := Open(filepath.Join(dir, "c"))
	if err != nil {
		t.Fatal(err)
	}
	if got := load(t, again); len(got) != 1 || got["a"] != `{"n":1}` {
		t.Fatalf("loaded %v", got)
	}
	if err := again.Remove("a", true); err != nil {
		t.Fatal(err)
	}
	if got := load(t, again); len(got) != 0 {
		t.Fatalf("after Remove: %v", got)
	}
}

func TestLoadRemovesWhatACrashLeft(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Write("whole", 1, false); err != nil {
		t.Fatal(err)
	}
	torn := filepath.Join(dir, "whole", tmpName)
	half := filepath.Join(dir, "half")
	if err := os.WriteFile(torn, []byte(`{"x`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(half, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(half, tmpName), []byte(`{`), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := load(t, s); len(got) != 1 || got["whole"] != "1" {
		t.Fatalf("loaded %v", got)
	}
	for _, p := range []string{torn, half} {
		if _, err := os.Lstat(p); !os.IsNotExist(err) {
			t.Errorf("%s is still there: %v", p, err)
		}
	}
}

// TestAFullDiskLeavesTheOlderRecordAndNothingElse: the device that is always full stands for the disk.
func TestAFullDiskLeavesTheOlderRecordAndNothingElse(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Write("old", 1, false); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"old", "new"} {
		if err := os.MkdirAll(filepath.Join(dir, id), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("/dev/full", filepath.Join(dir, id, tmpName)); err != nil {
			t.Fatal(err)
		}
		err := s.Write(id, 2, false)
		if !errdefs.IsResourceExhausted(err) || !strings.Contains(err.Error(), "no space left in the engine's directory") ||
			strings.Contains(err.Error(), dir) {
			t.Errorf("%s: %v", id, err)
		}
	}
	left, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	if err != nil || len(left) != 1 || filepath.Base(left[0]) != fileName {
		t.Errorf("left: %v, %v", left, err)
	}
	if _, err := os.Lstat(filepath.Join(dir, "new")); !os.IsNotExist(err) {
		t.Errorf("the new object's directory: %v", err)
	}
	if got := load(t, s); got["old"] != "1" {
		t.Errorf("loaded %v", got)
	}
}

func TestDamagedRecordsAreSetAside(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"good", "bad"} {
		if err := s.Write(id, id, false); err != nil {
			t.Fatal(err)
		}
	}
	seen := 0
	for range 2 { // the second time it is not offered again, and not swept either
		err = s.Load(func(id string, _ []byte) error {
			if seen++; id == "bad" {
				return fmt.Errorf("test: %w", ErrDamaged)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	damaged, err := s.Damaged()
	if err != nil || len(damaged) != 1 || damaged[0] != "bad" || seen != 3 {
		t.Errorf("set aside: %v, %v; %d records were seen", damaged, err, seen)
	}
	if err := os.Mkdir(filepath.Join(dir, "stray"), 0o700); err != nil {
		t.Fatal(err)
	}
	right := map[string]func([]byte) bool{"good": Exactly("other"), "lost": Exactly(1)}
	broken, strangers, err := s.Check(right)
	if err != nil || len(broken) != 2 || broken["good"] == "" || broken["lost"] == "" || len(strangers) != 1 ||
		strangers[0] != s.Path("stray") {
		t.Errorf("broken %v, strangers %v, %v", broken, strangers, err)
	}
	if err := s.Remove("bad", true); err != nil {
		t.Fatal(err)
	}
	if damaged, err := s.Damaged(); err != nil || len(damaged) != 0 {
		t.Errorf("after its removal: %v, %v", damaged, err)
	}
}
