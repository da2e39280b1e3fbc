package rootfs

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/cred"
	"github.com/brig-engine/brig/internal/kernel/mount"
	"github.com/brig-engine/brig/internal/kernel/path"
	"github.com/brig-engine/brig/internal/warden/idmap"
	"github.com/brig-engine/brig/internal/wire"
)

const base = 0x70010000

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("missing: root privileges")
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, dir int, name string) string {
	t.Helper()
	fd, err := path.Open(dir, name, unix.O_RDONLY, 0, path.InRoot)
	must(t, err)
	defer unix.Close(fd)
	b := make([]byte, 4096)
	n, err := unix.Read(fd, b)
	must(t, err)
	return string(b[:n])
}

func stat(t *testing.T, dir int, name string) unix.Stat_t {
	t.Helper()
	var st unix.Stat_t
	must(t, unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW))
	return st
}

func openDir(t *testing.T, name string) int {
	t.Helper()
	fd, err := unix.Open(name, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	must(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// A2: what a container writes to /etc/hosts stays below 128 KiB.
func TestFilesOfTheEngineAreBounded(t *testing.T) {
	needRoot(t)
	fd, err := Own(base, "")
	must(t, err)
	defer unix.Close(fd)
	must(t, Files(fd, []wire.File{{Path: "/etc/hosts", Content: "hello\n"}}, base))
	if got := read(t, fd, "0"); got != "hello\n" {
		t.Fatalf("content %q", got)
	}
	if st := stat(t, fd, "0"); st.Uid != base || st.Mode != unix.S_IFREG|0o644 {
		t.Fatalf("owner %d, mode %o", st.Uid, st.Mode)
	}
	f, err := path.Open(fd, "0", unix.O_WRONLY, 0, path.InRoot)
	must(t, err)
	defer unix.Close(f)
	if n, err := unix.Write(f, make([]byte, 1<<20)); err == nil && n > ownSize {
		t.Fatalf("%d bytes were written", n)
	}
}

func TestDevHasTheHarmlessDevicesOnly(t *testing.T) {
	needRoot(t)
	old := unix.Umask(0o077) // modes do not depend on it
	own, err := Own(base, "")
	unix.Umask(old)
	must(t, err)
	defer unix.Close(own)
	for _, dir := range []string{"dev", "empty", "dev/pts"} {
		if st := stat(t, own, dir); st.Mode != unix.S_IFDIR|0o755 || st.Uid != base {
			t.Errorf("%s: %+v", dir, st)
		}
	}
	fd, err := path.Open(own, "dev", unix.O_RDONLY|unix.O_DIRECTORY, 0, path.NoLinks)
	must(t, err)
	defer unix.Close(fd)
	if st := stat(t, fd, "null"); st.Rdev != unix.Mkdev(1, 3) || st.Mode != unix.S_IFCHR|0o666 || st.Uid != base {
		t.Fatalf("null: %+v", st)
	}
	list, err := os.ReadDir(path.Proc(fd))
	must(t, err)
	devices := 0
	for _, e := range list {
		if e.Type()&os.ModeDevice != 0 {
			devices++
		}
	}
	if devices != 6 {
		t.Fatalf("%d devices", devices)
	}
}

// Both ways of mounting give the same: ids of the image shifted, changes in the upper directory alone.
// The machine has kernel.pty.max terminals for everybody; one container gets a small part of them (A2).
func TestTerminalsOfAContainerAreBounded(t *testing.T) {
	needRoot(t)
	pts, err := Pts(0x70000000, "")
	must(t, err)
	defer unix.Close(pts)
	n := 0
	for ; n <= 512; n++ {
		fd, err := unix.Openat(pts, "ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
		if errors.Is(err, unix.ENOSPC) {
			break
		}
		must(t, err)
		defer unix.Close(fd)
	}
	if n != 256 {
		t.Errorf("%d terminals", n)
	}
}

func TestOverlayByDescriptorAndByPath(t *testing.T) {
	needRoot(t)
	for name, scratch := range map[string]string{"descriptor": "", "path": t.TempDir()} {
		t.Run(name, func(t *testing.T) {
			image := t.TempDir()
			must(t, os.Chmod(image, 0o755))
			must(t, os.WriteFile(filepath.Join(image, "file"), []byte("below"), 0o644))
			user, err := idmap.NewUserns(idmap.Range(base), idmap.Range(base))
			must(t, err)
			defer unix.Close(user)
			lower, err := Idmap(openDir(t, image), user, false)
			must(t, err)
			defer unix.Close(lower)
			state := t.TempDir()
			upper, err := Layer(openDir(t, state), "upper", base)
			must(t, err)
			work, err := Layer(openDir(t, state), "work", base)
			must(t, err)
			defer unix.Close(upper)
			defer unix.Close(work)
			root, err := Overlay(lower, upper, work, true, scratch, "")
			must(t, err)
			defer unix.Close(root)
			if st := stat(t, root, "file"); st.Uid != base {
				t.Errorf("owner in the container %#x", st.Uid)
			}
			must(t, unix.Unlinkat(root, "file", 0))
			must(t, unix.Mkdirat(root, "new", 0o755))
			if _, err := os.Stat(filepath.Join(image, "file")); err != nil {
				t.Errorf("the image was changed: %v", err)
			}
			if _, err := os.Stat(filepath.Join(state, "upper/new")); err != nil {
				t.Errorf("the change is not in the upper directory: %v", err)
			}
		})
	}
}

// T2: a path that the caller may not reach is not opened, root's included.
func TestHostPathIsOpenedWithTheCallersRights(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	must(t, os.Chmod(dir, 0o755))
	must(t, os.Chmod(filepath.Dir(dir), 0o755))
	secret := filepath.Join(dir, "secret")
	must(t, os.Mkdir(secret, 0o700))
	must(t, os.Mkdir(filepath.Join(secret, "inner"), 0o755))
	must(t, os.Chown(secret, 4711, 4711))
	grouped := filepath.Join(dir, "grouped")
	must(t, os.Mkdir(grouped, 0o750))
	must(t, os.Mkdir(filepath.Join(grouped, "inner"), 0o755))
	must(t, os.Chown(grouped, 0, 815))
	tests := []struct {
		what string
		path string
		who  cred.Peer
		want error
	}{
		{"owner", secret + "/inner", cred.Peer{UID: 4711, GID: 4711}, nil},
		{"stranger", secret + "/inner", cred.Peer{UID: 4712, GID: 4712}, unix.EACCES},
		{"root without capabilities", secret + "/inner", cred.Peer{}, unix.EACCES},
		{"member of the group", grouped + "/inner", cred.Peer{UID: 4712, GID: 4712, Groups: []uint32{1, 815}}, nil},
		{"not a member", grouped + "/inner", cred.Peer{UID: 4712, GID: 4712, Groups: []uint32{1}}, unix.EACCES},
		{"missing", dir + "/missing", cred.Peer{UID: 4712}, unix.ENOENT},
		{"magic link", "/proc/self/root/etc", cred.Peer{}, unix.ELOOP},
		{"relative", "etc", cred.Peer{}, unix.EINVAL},
	}
	for _, test := range tests {
		fd, err := OpenHostPath(test.path, test.who, false)
		if !errors.Is(err, test.want) || (err == nil) != (test.want == nil) {
			t.Errorf("%s: %v, want %v", test.what, err, test.want)
		}
		if err == nil {
			unix.Close(fd)
		}
	}
}

// T8: on a bind mount exactly the caller's id exists.
func TestBindMapsTheCallerAlone(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	for name, uid := range map[string]int{"mine": 4711, "other": 4712, "root": 0} {
		must(t, os.WriteFile(filepath.Join(dir, name), nil, 0o644))
		must(t, os.Chown(filepath.Join(dir, name), uid, uid))
	}
	user, err := idmap.NewUserns(idmap.Single(4711, base, 0), idmap.Single(4711, base, 0))
	must(t, err)
	defer unix.Close(user)
	fd, err := Idmap(openDir(t, dir), user, false)
	must(t, err)
	defer unix.Close(fd)
	for name, want := range map[string]uint32{"mine": base, "other": 65534, "root": 65534} {
		if st := stat(t, fd, name); st.Uid != want {
			t.Errorf("%s belongs to %d, want %d", name, st.Uid, want)
		}
	}
}

func TestBindRefusesWhatCannotBeMapped(t *testing.T) {
	needRoot(t)
	user, err := idmap.NewUserns(idmap.Range(base), idmap.Range(base))
	must(t, err)
	defer unix.Close(user)
	if fd, err := Idmap(openDir(t, "/proc"), user, false); err == nil {
		unix.Close(fd)
		t.Fatal("procfs was mounted with unmapped ids")
	}
}

// What a volume is filled from is a copy of the image's mount, which nobody can write to.
func TestMappedCopyIsAsReadOnlyAsItsSource(t *testing.T) {
	needRoot(t)
	user, err := idmap.NewUserns(idmap.Range(base), idmap.Range(base))
	must(t, err)
	defer unix.Close(user)
	source, err := Tmpfs(1<<16, 0o755, 0, 0, "")
	must(t, err)
	defer unix.Close(source)
	must(t, unix.MountSetattr(source, "", unix.AT_EMPTY_PATH, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}))
	dir := t.TempDir()
	must(t, Attach(source, dir)) // before 6.15 only an attached mount can be cloned
	defer unix.Unmount(dir, unix.MNT_DETACH)
	fd, err := Idmap(source, user, false)
	must(t, err)
	defer unix.Close(fd)
	if err := unix.Mkdirat(fd, "x", 0o755); err != unix.EROFS {
		t.Errorf("made a directory: %v", err)
	}
}

func TestImageMountsFromFilesAndFromLoopDevices(t *testing.T) {
	needRoot(t)
	mkfs, err := exec.LookPath("mkfs.erofs")
	if err != nil {
		t.Skip("missing: mkfs.erofs")
	}
	tree := t.TempDir()
	must(t, os.WriteFile(filepath.Join(tree, "file"), []byte("content"), 0o4755))
	index := filepath.Join(t.TempDir(), "index")
	if out, err := exec.Command(mkfs, index, tree).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	f, err := os.Open(index)
	must(t, err)
	defer f.Close()
	any := func(files []int, _ mount.Option) (int, error) { return MountImage(files, "") }
	ways := map[string]func(files []int, label mount.Option) (int, error){"any": any, "direct": backings[0],
		"cached": backings[1], "loops": backings[2]}
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			fd, err := way([]int{int(f.Fd())}, mount.Context(""))
			if err != nil && name != "any" && (errors.Is(err, unix.ENOTBLK) || errors.Is(err, unix.ENOENT)) {
				t.Skipf("missing: %v", err)
			}
			must(t, err)
			defer unix.Close(fd)
			if text := read(t, fd, "file"); text != "content" {
				t.Errorf("content %q", text)
			}
			if err := unix.Mkdirat(fd, "new", 0o755); !errors.Is(err, unix.EROFS) {
				t.Errorf("write to the image: %v", err)
			}
		})
	}
}
