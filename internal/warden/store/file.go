package store

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/wire"
)

// maxObject is what a layer may have at most: a file of holes costs nobody anything but us, who read it.
var maxObject int64 = 256 << 30

// keep computes what a file is called, which must be want if that is said, and gives it that name.
func keep(f *os.File, dir *os.Root, want string) (wire.Object, error) {
	h := sha256.New()
	// A section reader, so that the file's own offset does not matter.
	n, err := io.CopyBuffer(h, io.NewSectionReader(f, 0, maxObject+1), make([]byte, 1<<20))
	if err != nil {
		return wire.Object{}, fmt.Errorf("seal: read: %w", err)
	}
	if n > maxObject {
		return wire.Object{}, fmt.Errorf("seal: an object over %d GiB: %w", maxObject>>30, errdefs.ErrInvalidArgument)
	}
	o := wire.Object{Digest: "sha256:" + hex.EncodeToString(h.Sum(nil)), Size: n}
	if want != "" && want != o.Digest {
		return o, fmt.Errorf("the content has digest %s, not %s as announced: %w", o.Digest, want, errdefs.ErrDataLoss)
	}
	return o, link(f, dir, o.Digest)
}

// link gives a sealed file its name. An object that is there already is the same one.
func link(f *os.File, dir *os.Root, digest string) error {
	if err := f.Sync(); err != nil {
		return fmt.Errorf("seal: %w", Full(err))
	}
	d, err := dir.Open(".")
	if err != nil {
		return err
	}
	defer d.Close()
	name := strings.TrimPrefix(digest, "sha256:")
	from := fmt.Sprintf("/proc/self/fd/%d", f.Fd())
	err = unix.Linkat(unix.AT_FDCWD, from, int(d.Fd()), name, unix.AT_SYMLINK_FOLLOW)
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("seal: link %s: %w", digest, Full(err))
	}
	return d.Sync()
}

// name turns a digest into a file name, or refuses it.
func name(digest string) (string, error) {
	hexa, ok := strings.CutPrefix(digest, "sha256:")
	if b, err := hex.DecodeString(hexa); !ok || err != nil || len(b) != sha256.Size || hexa != strings.ToLower(hexa) {
		return "", fmt.Errorf("%q is no sha256 digest: %w", digest, errdefs.ErrInvalidArgument)
	}
	return hexa, nil
}

func open(dir *os.Root, what, digest string) (*os.File, error) {
	n, err := name(digest)
	if err != nil {
		return nil, err
	}
	f, err := dir.Open(n)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("the store has no %s %s: %w", what, digest, errdefs.ErrNotFound)
	}
	return f, err
}

// Open opens a sealed object for reading.
func (s *Store) Open(digest string) (*os.File, error) { return open(s.objects, "object", digest) }

// OpenIndex opens the file of a checked index, and then its devices, in order.
func (s *Store) OpenIndex(digest string) ([]*os.File, error) {
	list, err := s.list(digest)
	if err != nil {
		return nil, err
	}
	return s.openAll(list)
}

// list reads what a checked list names: the file of an index, and then its devices.
func (s *Store) list(digest string) ([]string, error) {
	f, err := open(s.checked, "index", digest)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	return strings.Split(string(b), "\n"), err
}

// lists reads them all, by digest.
func (s *Store) lists() (map[string][]string, error) {
	entries, err := fs.ReadDir(s.checked.FS(), ".")
	lists := map[string][]string{}
	for _, e := range entries {
		digest := "sha256:" + e.Name()
		if list, err := s.list(digest); err == nil {
			lists[digest] = list
		}
	}
	return lists, err
}

func (s *Store) openAll(digests []string) ([]*os.File, error) {
	var files []*os.File
	for _, d := range digests {
		f, err := s.Open(d)
		if err != nil {
			closeAll(files)
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
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
	return s.objects.RemoveAll(n)
}

// RemoveIndex removes an index with its file; its devices stay.
func (s *Store) RemoveIndex(digest string) error {
	list, err := s.list(digest)
	if errdefs.IsNotFound(err) {
		return nil
	}
	if err == nil {
		err = s.checked.Remove(strings.TrimPrefix(digest, "sha256:"))
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
func (s *Store) List() (wire.ObjectList, error) {
	var out wire.ObjectList
	lists, err := s.lists()
	files := map[string]bool{}
	for digest, list := range lists {
		files[list[0]] = true
		out.Indexes = append(out.Indexes, digest)
	}
	entries, failed := fs.ReadDir(s.objects.FS(), ".")
	for _, e := range entries {
		digest := "sha256:" + e.Name()
		if st, err := e.Info(); err == nil && !files[digest] {
			out.Objects = append(out.Objects, wire.Object{Digest: digest, Size: st.Size()})
		}
	}
	return out, errors.Join(err, failed)
}

// Full gives a full disk the class and the words that people can act on.
func Full(err error) error {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return fmt.Errorf("no space left in the engine's directory: %w: %w. Next: brig images, brig rmi", err, errdefs.ErrResourceExhausted)
	}
	return err
}
