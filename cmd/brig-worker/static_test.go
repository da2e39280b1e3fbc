package main

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// CVE-2019-14271: docker cp's helper loaded libraries when it was in the container's root already, and took the container's.
// The worker asks for no library, and for no loader.
func TestNoLibraryIsLoaded(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "brig-worker")
	build := exec.Command("go", "build", "-o", bin, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as make builds it
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	f, err := elf.Open(bin)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if libs, _ := f.ImportedLibraries(); len(libs) > 0 {
		t.Errorf("it wants %v", libs)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Errorf("it has a segment of the type %v", p.Type)
		}
	}
}
