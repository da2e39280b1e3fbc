package main

import (
	"io/fs"
	"os"
	"strings"
	"testing"
)

const committed = "../../" + listed

func TestTheSurfaceIsWhatTheTablesSay(t *testing.T) {
	told, err := surfaces()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range told {
		got, err := os.ReadFile("../../" + name)
		if err != nil || string(got) != want {
			t.Errorf("%s is not what the tables say (%v). Next: make embed, and review the difference", name, err)
		}
	}
}

// What the warden has built in is what the tables say: nothing else, and no file more.
func TestBuiltInProgramsAreWhatTheTablesSay(t *testing.T) {
	all, err := listings()
	if err != nil {
		t.Fatal(err)
	}
	root := os.DirFS(committed)
	for name, want := range all {
		got, err := fs.ReadFile(root, name)
		if err != nil {
			t.Error(err)
		} else if string(got) != want {
			t.Errorf("%s is not what the tables say. Next: make embed, and review the difference", name)
		}
		if strings.Contains(want, "unknown") {
			t.Errorf("%s has an instruction that the listing does not know", name)
		}
	}
	files, err := fs.Glob(root, "*/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if _, ok := all[name]; !ok {
			t.Errorf("%s is no program of ours", name)
		}
	}
	if len(all) != 36 {
		t.Errorf("%d programs, want 18 for each of 2 architectures", len(all))
	}
}
