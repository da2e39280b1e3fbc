package disk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// deep makes a chain of directories that no path could name, with a file in each.
func deep(t *testing.T, top string, levels int) {
	t.Helper()
	if err := os.Mkdir(top, 0o755); err != nil {
		t.Fatal(err)
	}
	dir, err := unix.Open(top, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	for i := 0; i < levels && err == nil; i++ {
		var file, next int
		if file, err = unix.Openat(dir, "file", unix.O_CREAT|unix.O_WRONLY|unix.O_CLOEXEC, 0o600); err != nil {
			break
		}
		unix.Close(file)
		// The name that a directory is given when it is moved up is there already.
		if err = errors.Join(unix.Mkdirat(dir, "d", 0o755), unix.Mkdirat(dir, strconv.Itoa(i%3), 0o755)); err != nil {
			break
		}
		next, err = unix.Openat(dir, "d", unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		unix.Close(dir)
		dir = next
	}
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(dir)
}

// A tree that is deeper than there are descriptors is deleted with few of them.
func TestDeepTreesTakeFewDescriptors(t *testing.T) {
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	top := filepath.Join(t.TempDir(), "tree")
	deep(t, top, 1000)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 2 * deepest, Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	defer unix.Setrlimit(unix.RLIMIT_NOFILE, &old)
	if err := (&Disk{}).Remove(top); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(top); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the tree is there: %v", err)
	}
}

func TestRemove(t *testing.T) {
	dir := t.TempDir()
	outside, tree := filepath.Join(dir, "outside"), filepath.Join(dir, "tree")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.MkdirAll(filepath.Join(tree, "a/b"), 0o755))
	must(os.MkdirAll(outside, 0o755))
	must(os.WriteFile(filepath.Join(outside, "kept"), nil, 0o600))
	must(os.Symlink(outside, filepath.Join(tree, "a/link")))
	must(unix.Mkfifo(filepath.Join(tree, "a/fifo"), 0o600))
	for i := range 600 { // more than are read at once
		must(os.WriteFile(filepath.Join(tree, "a/b", strconv.Itoa(i)), nil, 0o400))
	}
	d := &Disk{}
	must(d.Remove(tree))
	must(d.Remove(tree))                            // again
	must(d.Remove(filepath.Join(dir, "a/missing"))) // nothing of it is there
	must(os.WriteFile(tree, nil, 0o600))
	must(d.Remove(tree)) // a file
	left, err := os.ReadDir(dir)
	must(err)
	if _, err := os.Stat(filepath.Join(outside, "kept")); err != nil || len(left) != 1 {
		t.Errorf("%v, %v", err, left)
	}
}

// What is mounted in a tree is not touched, and its tree stays.
func TestRemoveStopsAtMounts(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("missing: root privileges")
	}
	tree := filepath.Join(t.TempDir(), "tree")
	at := filepath.Join(tree, "a")
	if err := os.MkdirAll(at, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("none", at, "tmpfs", 0, ""); err != nil {
		t.Skip("missing: the right to mount:", err)
	}
	defer unix.Unmount(at, unix.MNT_DETACH)
	kept := filepath.Join(at, "kept")
	if err := os.WriteFile(kept, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := (&Disk{}).Remove(tree); !errors.Is(err, unix.EXDEV) {
		t.Errorf("Remove: %v, want EXDEV", err)
	}
	if _, err := os.Stat(kept); err != nil {
		t.Error(err)
	}
}
