package record

import (
	"os"
	"path/filepath"
	"testing"
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
	if err := again.Remove("a"); err != nil {
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
