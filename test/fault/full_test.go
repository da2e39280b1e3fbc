package fault

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestFullDisk fills the file system of an engine's directory, which is one of its own: nothing is half done then, the
// engine says why, and goes on when there is room.
func TestFullDisk(t *testing.T) {
	if os.Getenv("BRIG_SLOW") == "" {
		t.Skip("missing: the slow lane (make test-all)")
	}
	for _, kind := range []string{"tmpfs", "ext4"} {
		t.Run(kind, func(t *testing.T) {
			disk := newDisk(t, kind, 96<<20)
			m := newMachine(t, disk)
			t.Cleanup(func() { m.with(t).close() })
			m.furnish()
			for _, v := range verbs() {
				if v.fills {
					t.Run(strings.ReplaceAll(v.name, " ", "_"), func(t *testing.T) { m.with(t).fullDisk(&v, disk) })
				}
			}
		})
	}
}

// newDisk makes a file system.
func newDisk(t *testing.T, kind string, size int64) string {
	t.Helper()
	dir := t.TempDir()
	mount, image := filepath.Join(dir, "disk"), filepath.Join(dir, "image")
	cmd := exec.Command("mount", "-t", "tmpfs", "-o", "size=96m,mode=711", "tmpfs", mount)
	if kind == "ext4" {
		f, err := os.Create(image)
		if err == nil {
			err = f.Truncate(size)
		}
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		if out, err := exec.Command("mkfs.ext4", "-q", "-m", "0", image).CombinedOutput(); err != nil {
			t.Fatalf("mkfs.ext4: %v\n%s", err, out)
		}
		cmd = exec.Command("mount", "-o", "loop", image, mount)
	}
	if err := os.Mkdir(mount, 0o711); err != nil {
		t.Fatal(err)
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("mount: %v\n%s", err, out)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(mount, 0); err != nil {
			t.Errorf("unmount: %v", err)
			unix.Unmount(mount, unix.MNT_DETACH)
		}
	})
	os.Chmod(dir, 0o711)
	os.Chmod(filepath.Dir(dir), 0o711)
	return mount
}

// fill takes all the room there is, but for some bytes. It returns how to give it back.
func fill(t testing.TB, dir string, but int64) (empty func()) {
	t.Helper()
	path := filepath.Join(dir, "ballast")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 64<<10)
	for n := len(b); n > 0; n /= 2 {
		for err = nil; err == nil; {
			_, err = f.Write(b[:n])
		}
	}
	f.Sync()
	if st, err := f.Stat(); err == nil {
		f.Truncate(st.Size() - but)
	}
	return func() { os.Remove(path) }
}

// fullDisk has a verb fail for want of room, at several degrees of it, and succeed afterwards.
func (m *machine) fullDisk(v *verb, disk string) {
	m.t.Helper()
	m.prepare(v)
	before := m.look(v)
	failed := 0
	for _, but := range []int64{0, 4 << 10, 8 << 10, 16 << 10, 64 << 10} {
		empty := fill(m.t, disk, but)
		out, code := m.try(m.say(v.do)...)
		empty()
		if code == v.code {
			break
		}
		failed++
		if !strings.Contains(out, "no space left") {
			m.t.Errorf("with %d bytes of room it does not say why: %s", but, out)
		}
		if now := m.look(v); !v.partly(now, before) {
			m.t.Errorf("with %d bytes of room: %s\nthere is\n%s\nand was\n%s", but, out, now, before)
			m.clear()
			m.prepare(v)
		}
	}
	if failed == 0 {
		m.t.Error("a full disk does not matter")
	}
	m.clear()
	m.prepare(v)
	m.brig(m.say(v.do)...)
	m.bystands(true)
	m.clear()
	if out, code := m.try("system", "check", "--full"); code != 0 {
		m.t.Errorf("afterwards something is broken:\n%s", out)
	}
	m.settle()
}

// partly tells whether a state is the one before a verb that has failed: the exit code that a start notes is no matter.
func (v *verb) partly(now, before state) bool {
	return now == before || v.starts && now.fallen() == before.fallen()
}
