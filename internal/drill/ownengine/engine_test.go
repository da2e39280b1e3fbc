package ownengine

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
		if ShellLine(args) != want {
			t.Errorf("%q: %s", args, ShellLine(args))
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

// TestAnArchiveIsBroughtInByWhatItIs plays the command line: a file is loaded if it can be, and imported otherwise.
func TestAnArchiveIsBroughtInByWhatItIs(t *testing.T) {
	dir := t.TempDir()
	brig := filepath.Join(dir, "brig")
	script := `#!/bin/sh
shift 2
case "$*" in
"load -q -i image") echo "Loaded image: app:1" ;;
"load -q -i unnamed") echo "Loaded image ID: sha256:12" ;;
"import rootfs") echo sha256:34 ;;
*) echo "brig: $1: no" >&2; exit 1 ;;
esac
`
	if err := os.WriteFile(brig, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	e := &Engine{Brig: brig}
	for name, want := range map[string]string{"image": "app:1", "unnamed": "sha256:12", "rootfs": "sha256:34", "junk": ""} {
		if err := os.WriteFile(name, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		got, err := e.Bring(name)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if got, err := e.Bring("alpine:3"); got != "alpine:3" || err != nil {
		t.Errorf("a name: %q, %v", got, err)
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
