package label

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// Everything of the tree is labelled, links themselves too; what a link leads to and what is mounted in the tree is not.
func TestTheTreeAndNothingElse(t *testing.T) {
	if os.Getuid() != 0 {
		t.Fatal("these tests need root")
	}
	top, outside := t.TempDir(), t.TempDir()
	at := func(name string) string { return filepath.Join(top, name) }
	for _, dir := range []string{"a/b", "mounted/below"} {
		must(t, os.MkdirAll(at(dir), 0o755))
	}
	must(t, os.WriteFile(at("a/b/file"), nil, 0o600))
	must(t, os.WriteFile(filepath.Join(outside, "file"), nil, 0o600))
	must(t, os.Symlink(filepath.Join(outside, "file"), at("link")))
	must(t, os.Symlink(outside, at("a/dir")))
	must(t, unix.Mkfifo(at("fifo"), 0o600))
	must(t, unix.Mount("tmpfs", at("mounted"), "tmpfs", 0, ""))
	defer unix.Unmount(at("mounted"), unix.MNT_DETACH)
	must(t, os.WriteFile(at("mounted/file"), nil, 0o600))
	const want = "system_u:object_r:container_file_t:s0"
	f, err := os.Open(top)
	must(t, err)
	defer f.Close()
	here, err := os.Getwd()
	must(t, err)
	defer os.Chdir(here)
	if err := Tree(f, want); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"", "a", "a/b", "a/b/file", "link", "a/dir", "fifo"} {
		if got := labelOf(t, at(name)); got != want {
			t.Errorf("%q has the label %q", name, got)
		}
	}
	for _, name := range []string{outside, filepath.Join(outside, "file"), at("mounted"), at("mounted/file")} {
		if got := labelOf(t, name); got != "" {
			t.Errorf("%s has the label %q", name, got)
		}
	}
}

// A single file can be lent, too; a label that the kernel refuses is an error, not a mount without one.
func TestAFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(name, nil, 0o600))
	f, err := os.Open(name)
	must(t, err)
	defer f.Close()
	must(t, Tree(f, "a"))
	if got := labelOf(t, name); got != "a" {
		t.Errorf("%q", got)
	}
	null, err := os.Open("/proc/self/status") // whose file system has no labels of files
	must(t, err)
	defer null.Close()
	if err := Tree(null, "a"); err == nil {
		t.Error("what cannot be labelled was not an error")
	}
}

func labelOf(t *testing.T, name string) string {
	t.Helper()
	b := make([]byte, 256)
	n, err := unix.Lgetxattr(name, attribute, b)
	if err == unix.ENODATA {
		return ""
	}
	must(t, err)
	return string(b[:n])
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
