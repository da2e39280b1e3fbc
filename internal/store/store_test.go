package store

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/wire"
)

func newStore(t *testing.T) *Store {
	t.Helper()
	s, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// create makes a file of the store with content, as a worker would.
func create(t *testing.T, s *Store, content string) int {
	t.Helper()
	fd, err := s.Create()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Write(fd, []byte(content)); err != nil {
		t.Fatal(err)
	}
	return fd
}

const helloDigest = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"

func TestSealNamesByContent(t *testing.T) {
	s := newStore(t)
	o, err := s.Seal(create(t, s, "hello"), "")
	if err != nil || o.Digest != helloDigest || o.Size != 5 {
		t.Fatalf("got %v, %v", o, err)
	}
	opened, err := s.Open(helloDigest)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(opened), "object")
	defer f.Close()
	st, _ := f.Stat()
	if st.Mode().Perm() != 0o444 {
		t.Errorf("mode %v", st.Mode())
	}
	if _, err := f.WriteString("x"); err == nil {
		t.Error("a sealed object could be written")
	}
	if _, err := s.Seal(create(t, s, "hello"), helloDigest); err != nil {
		t.Errorf("sealing the same content again: %v", err)
	}
}

func TestSealRefusesWhileAWriterExists(t *testing.T) {
	s := newStore(t)
	fd := create(t, s, "hello")
	writer, err := unix.Dup(fd)
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(300*time.Millisecond, func() { unix.Close(writer) })
	start := time.Now()
	if _, err := s.Seal(fd, ""); err != nil {
		t.Fatalf("a writer that goes away must only delay: %v", err)
	}
	if time.Since(start) < 250*time.Millisecond {
		t.Error("sealed while a writer existed")
	}
	fd = create(t, s, "hello2")
	writer, _ = unix.Dup(fd)
	defer unix.Close(writer)
	if _, err := s.Seal(fd, ""); !errdefs.IsFailedPrecondition(err) {
		t.Errorf("a writer that stays: got %v", err)
	}
}

func TestSealRefusesAWritableMapping(t *testing.T) {
	s := newStore(t)
	fd := create(t, s, "hello")
	m, err := unix.Mmap(fd, 0, 5, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(m)
	if _, err := s.Seal(fd, ""); !errdefs.IsFailedPrecondition(err) {
		t.Errorf("got %v", err)
	}
}

func TestSealRefusesWrongDigestAndForeignFiles(t *testing.T) {
	s := newStore(t)
	wrong := "sha256:" + strings.Repeat("0", 64)
	if _, err := s.Seal(create(t, s, "hello"), wrong); !errdefs.IsDataLoss(err) {
		t.Errorf("wrong digest: %v", err)
	}
	if _, err := s.Open(helloDigest); !errdefs.IsNotFound(err) {
		t.Errorf("a refused object was kept: %v", err)
	}
	f, err := os.Create(t.TempDir() + "/f")
	if err != nil {
		t.Fatal(err)
	}
	fd, _ := unix.Dup(int(f.Fd()))
	f.Close()
	if _, err := s.Seal(fd, ""); !errdefs.IsInvalidArgument(err) {
		t.Errorf("a file with a name: %v", err)
	}
}

func TestSealRefusesTooMuch(t *testing.T) {
	defer func(n int64) { maxObject = n }(maxObject)
	maxObject = 1 << 20
	s := newStore(t)
	for size, want := range map[int64]bool{maxObject: true, maxObject + 1: false} {
		fd, err := s.Create()
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.Ftruncate(fd, size); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Seal(fd, ""); (err == nil) != want || err != nil && !errdefs.IsInvalidArgument(err) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

func TestNamesThatAreNoDigests(t *testing.T) {
	s := newStore(t)
	for _, d := range []string{"", "sha256:", "../x", "sha256:../../etc/passwd", "sha256:" + strings.Repeat("A", 64), "md5:00"} {
		if _, err := s.Open(d); !errdefs.IsInvalidArgument(err) {
			t.Errorf("%q: %v", d, err)
		}
		if err := s.Remove(d); !errdefs.IsInvalidArgument(err) {
			t.Errorf("remove %q: %v", d, err)
		}
	}
}

func TestDevicesOfAnIndexAreBounded(t *testing.T) {
	s := newStore(t)
	dev, err := s.Seal(create(t, s, "device"), "")
	if err != nil {
		t.Fatal(err)
	}
	most := 0
	check := func(_ *os.File, devices []int) (string, error) {
		most = max(most, len(devices))
		return "", nil
	}
	for n, ok := range map[int]bool{maxDevices: true, maxDevices + 1: false} {
		_, err := s.SealIndex(create(t, s, "index"), slices.Repeat([]string{dev.Digest}, n), check)
		if (err == nil) != ok || !ok && !errdefs.IsInvalidArgument(err) {
			t.Errorf("%d devices: %v", n, err)
		}
	}
	if most != maxDevices {
		t.Errorf("%d devices were open at once", most)
	}
}

func TestIndexNeedsItsCheckAndItsDevices(t *testing.T) {
	s := newStore(t)
	dev, err := s.Seal(create(t, s, "device"), "")
	if err != nil {
		t.Fatal(err)
	}
	bad := errors.New("extent outside its device")
	refuse := func(*os.File, []int) (string, error) { return "", bad }
	if _, err := s.SealIndex(create(t, s, "index"), []string{dev.Digest}, refuse); !errors.Is(err, bad) {
		t.Fatalf("got %v", err)
	}
	if list, _ := s.List(); len(list.Indexes) != 0 {
		t.Fatal("an index that was refused is there")
	}
	seen := ""
	approve := func(f *os.File, devices []int) (string, error) {
		if len(devices) != 1 {
			t.Errorf("%d devices", len(devices))
		}
		return seen, nil
	}
	seen = helloDigest // of other bytes than these
	if _, err := s.SealIndex(create(t, s, "index"), []string{dev.Digest}, approve); !errdefs.IsDataLoss(err) {
		t.Errorf("an index that is not what was checked: %v", err)
	}
	seen = ""
	if _, err := s.SealIndex(create(t, s, "index"), []string{helloDigest}, approve); !errdefs.IsNotFound(err) {
		t.Errorf("missing device: %v", err)
	}
	o, err := s.SealIndex(create(t, s, "index"), []string{dev.Digest}, approve)
	if err != nil {
		t.Fatal(err)
	}
	list, err := s.List()
	if err != nil || len(list.Objects) != 1 || list.Objects[0] != dev || len(list.Indexes) != 1 ||
		list.Indexes[0] != o.Digest {
		t.Errorf("listed as %+v, %v", list, err)
	}
	file, err := s.Seal(create(t, s, "index"), "")
	if err != nil {
		t.Fatal(err)
	}
	for what, digest := range map[string]string{"device": dev.Digest, "file": file.Digest} {
		if err := s.Remove(digest); !errdefs.IsFailedPrecondition(err) {
			t.Errorf("removing the %s of an index: %v", what, err)
		}
	}
	files, err := s.OpenIndex(o.Digest)
	if err != nil || len(files) != 2 {
		t.Fatal(err)
	}
	wire.CloseAll(files)
	for range 2 {
		if err := s.RemoveIndex(o.Digest); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Remove(dev.Digest); err != nil {
		t.Fatal(err)
	}
	if list, err := s.List(); err != nil || len(list.Objects)+len(list.Indexes) != 0 {
		t.Errorf("left behind: %+v, %v", list, err)
	}
}
