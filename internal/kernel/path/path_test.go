package path

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

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

// A lease has every open of a file that does not wait fail with EAGAIN for as long as its holder likes (fcntl(2)).
func TestALeaseEndsAnOpen(t *testing.T) {
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, "leased"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_WRLCK); err != nil {
		t.Skip("missing: leases: ", err)
	}
	at, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(at)
	done := make(chan error, 1)
	go func() {
		_, err := Open(at, "leased", unix.O_RDONLY|unix.O_NONBLOCK, 0, NoLinks)
		done <- err
	}()
	select {
	case err := <-done:
		if !errors.Is(err, unix.EAGAIN) {
			t.Errorf("%v", err)
		}
	case <-time.After(5 * time.Second):
		t.Error("it is tried again without end")
	}
}
