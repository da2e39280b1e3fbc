package store

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/path"
	"github.com/brig-engine/brig/internal/kernel/verity"
	"github.com/brig-engine/brig/internal/wire"
	"github.com/brig-engine/brig/internal/wire/objects"
)

// maxObject is what a layer may have at most: a file of holes costs nobody anything but us, who read it.
var maxObject int64 = 256 << 30

// keep computes what a file is called, which must be want if that is said, and gives it that name.
func keep(f *os.File, dir int, want string) (objects.Object, error) {
	h := sha256.New()
	// A section reader, so that the file's own offset does not matter.
	n, err := io.CopyBuffer(h, io.NewSectionReader(f, 0, maxObject+1), make([]byte, 1<<20))
	if err != nil {
		return objects.Object{}, fmt.Errorf("seal: read: %w", err)
	}
	if n > maxObject {
		return objects.Object{}, fmt.Errorf("seal: an object over %d GiB: %w", maxObject>>30, errdefs.ErrInvalidArgument)
	}
	o := objects.Object{Digest: "sha256:" + hex.EncodeToString(h.Sum(nil)), Size: n}
	if want != "" && want != o.Digest {
		return o, fmt.Errorf("the content has digest %s, not %s as announced: %w", o.Digest, want, errdefs.ErrDataLoss)
	}
	if err := freeze(f); err != nil {
		return o, fmt.Errorf("seal: %w", wire.Full(err))
	}
	return o, link(f, dir, o.Digest)
}

// freeze has the file system hold the file to its content, where it can: then not even who conquers this process changes
// what is mounted. Otherwise the mode alone keeps writers out, and this process, whose file it is, could change that.
func freeze(f *os.File) error {
	if err := verity.Enable(int(f.Fd())); err != nil && !verity.Lacking(err) {
		return fmt.Errorf("fs-verity: %w", err)
	}
	return f.Chmod(0o444)
}

// link gives a sealed file its name. An object that is there already is the same one.
func link(f *os.File, dir int, digest string) error {
	if err := f.Sync(); err != nil {
		return fmt.Errorf("seal: %w", wire.Full(err))
	}
	from, name := path.Proc(int(f.Fd())), strings.TrimPrefix(digest, "sha256:")
	err := unix.Linkat(unix.AT_FDCWD, from, dir, name, unix.AT_SYMLINK_FOLLOW)
	if err != nil && err != unix.EEXIST {
		return fmt.Errorf("seal: link %s: %w", digest, wire.Full(err))
	}
	return unix.Fsync(dir)
}

// name turns a digest into a file name, or refuses it.
func name(digest string) (string, error) {
	hexa, ok := strings.CutPrefix(digest, "sha256:")
	if b, err := hex.DecodeString(hexa); !ok || err != nil || len(b) != sha256.Size || hexa != strings.ToLower(hexa) {
		return "", fmt.Errorf("%q is no sha256 digest: %w", digest, errdefs.ErrInvalidArgument)
	}
	return hexa, nil
}

func open(dir int, what, digest string) (int, error) {
	n, err := name(digest)
	if err != nil {
		return -1, err
	}
	fd, err := unix.Openat(dir, n, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err == unix.ENOENT {
		return -1, fmt.Errorf("the store has no %s %s: %w", what, digest, errdefs.ErrNotFound)
	}
	return fd, err
}

// Open opens a sealed object for reading.
func (s *Store) Open(digest string) (int, error) { return open(s.objects, "object", digest) }

// OpenIndex opens the file of a checked index, and then its devices, in order.
func (s *Store) OpenIndex(digest string) ([]int, error) {
	list, err := s.list(digest)
	if err != nil {
		return nil, err
	}
	return s.openAll(list)
}

// list reads what a checked list names: the file of an index, and then its devices.
func (s *Store) list(digest string) ([]string, error) {
	fd, err := open(s.checked, "index", digest)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	b, err := os.ReadFile(path.Proc(fd))
	return strings.Split(string(b), "\n"), err
}

// lists reads them all, by digest.
func (s *Store) lists() (map[string][]string, error) {
	entries, err := os.ReadDir(path.Proc(s.checked))
	lists := map[string][]string{}
	for _, e := range entries {
		digest := "sha256:" + e.Name()
		if list, err := s.list(digest); err == nil {
			lists[digest] = list
		}
	}
	return lists, err
}

func (s *Store) openAll(digests []string) (files []int, err error) {
	for _, d := range digests {
		fd, err := s.Open(d)
		if err != nil {
			wire.CloseAll(files)
			return nil, err
		}
		files = append(files, fd)
	}
	return files, nil
}

// Remove removes an object, unless an index needs it.
func (s *Store) Remove(digest string) error {
	n, err := name(digest)
	if err != nil {
		return err
	}
	lists, err := s.lists()
	if err != nil {
		return err
	}
	for index, list := range lists {
		if slices.Contains(list, digest) {
			return fmt.Errorf("object %s is needed by index %s: %w", digest, index, errdefs.ErrFailedPrecondition)
		}
	}
	return os.RemoveAll(path.Proc(s.objects) + "/" + n)
}

// RemoveIndex removes an index with its file; its devices stay.
func (s *Store) RemoveIndex(digest string) error {
	list, err := s.list(digest)
	if errdefs.IsNotFound(err) {
		return nil
	}
	if err == nil {
		err = unix.Unlinkat(s.checked, strings.TrimPrefix(digest, "sha256:"), 0)
	}
	if err == nil {
		err = s.Remove(list[0])
	}
	if errdefs.IsFailedPrecondition(err) { // another index is the same file with other devices
		return nil
	}
	return err
}

// List reads what is there. The file of an index is no object of its own.
func (s *Store) List() (objects.Listing, error) {
	var out objects.Listing
	lists, err := s.lists()
	files := map[string]bool{}
	for digest, list := range lists {
		files[list[0]] = true
		out.Indexes = append(out.Indexes, digest)
	}
	entries, failed := os.ReadDir(path.Proc(s.objects))
	for _, e := range entries {
		digest := "sha256:" + e.Name()
		if st, err := e.Info(); err == nil && !files[digest] {
			out.Objects = append(out.Objects, objects.Object{Digest: digest, Size: st.Size()})
		}
	}
	return out, errors.Join(err, failed)
}
