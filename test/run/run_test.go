package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestCommandLinesCanBeTyped(t *testing.T) {
	for want, args := range map[string][]string{
		"brig run -i":        {"brig", "run", "-i"},
		`'' 'a b' 'it'\''s'`: {"", "a b", "it's"},
		`'$(x)' '~' 'a;b'`:   {"$(x)", "~", "a;b"},
	} {
		if shellLine(args) != want {
			t.Errorf("%q: %s", args, shellLine(args))
		}
	}
}

func TestTailKeepsWholeLines(t *testing.T) {
	if got := string(tail([]byte("first\nsecond\nthird\n"), 10)); got != "third\n" {
		t.Errorf("%q", got)
	}
	if got := string(tail([]byte("short\n"), 10)); got != "short\n" {
		t.Errorf("%q", got)
	}
}

// The sweep's promise is worth what its eyes are: they must see a process that is still there.
func TestSweepSeesWhatIsLeft(t *testing.T) {
	dir := t.TempDir()
	if left := processesOf(dir); len(left) != 0 {
		t.Errorf("an empty directory: %v", left)
	}
	file := filepath.Join(dir, "held")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for why, cmd := range map[string]*exec.Cmd{
		"arguments":         exec.Command("sh", "-c", "read x # "+dir),
		"working directory": {Path: "/bin/sh", Args: []string{"sh", "-c", "read x"}, Dir: dir},
		"open file":         {Path: "/bin/sh", Args: []string{"sh", "-c", "read x"}, ExtraFiles: []*os.File{f}},
	} {
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		left := strings.Join(processesOf(dir), "\n")
		if !strings.Contains(left, why) {
			t.Errorf("a process with its %s there was not seen: %q", why, left)
		}
		in.Close()
		cmd.Wait()
	}
	if left := mountsBelow("/proc"); len(left) == 0 {
		t.Error("the mount on /proc was not seen")
	}
	if left := mountsBelow(dir); len(left) != 0 {
		t.Errorf("mounts where there are none: %v", left)
	}
}
