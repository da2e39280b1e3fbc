package path

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// Links of a stranger's tree stay in the tree, or are refused.
func TestLinksDoNotLeaveTheDirectory(t *testing.T) {
	dir := t.TempDir()
	for name, to := range map[string]string{"abs": "/etc", "up": "../../../../../../etc", "magic": "/proc/self/root/etc"} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, "etc/inside"), 0o755); err != nil {
		t.Fatal(err)
	}
	at, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(at)
	tests := []struct {
		name    string
		resolve uint64
		want    error
	}{
		{"abs/inside", InRoot, nil}, {"up/inside", InRoot, nil}, {"abs/passwd", InRoot, unix.ENOENT},
		{"magic", InRoot, unix.ENOENT}, {"../etc/inside", InRoot, nil},
		{"abs/inside", NoLinks, unix.ELOOP}, {"../x", NoLinks, unix.EXDEV}, {"/etc", NoLinks, unix.EXDEV},
		{"etc/inside", NoLinks, nil},
	}
	for _, test := range tests {
		fd, err := Open(at, test.name, unix.O_PATH, 0, test.resolve)
		if !errors.Is(err, test.want) || (err == nil) != (test.want == nil) {
			t.Errorf("%s: %v, want %v", test.name, err, test.want)
		}
		if err == nil {
			unix.Close(fd)
		}
	}
}
