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

	"github.com/brig-engine/brig/internal/wire"
)

// hash computes what a file is called.
func hash(f *os.File) (wire.Object, error) {
	h := sha256.New()
	buf := make([]byte, 1<<20)
	// A section reader, so that the file's own offset does not matter.
	n, err := io.CopyBuffer(h, io.NewSectionReader(f, 0, 1<<62), buf)
	if err != nil {
		return wire.Object{}, fmt.Errorf("seal: read: %w", err)
	}
	return wire.Object{Digest: "sha256:" + hex.EncodeToString(h.Sum(nil)), Size: n}, nil
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

// writeNew writes a small file under a new name, in one step.
func writeNew(dir *os.Root, name, content string) error {
	f, err := dir.OpenFile(name+".tmp", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o400)
	if err != nil {
		return err
	}
	_, err = f.WriteString(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return Full(err)
	}
	return dir.Rename(name+".tmp", name)
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
func (s *Store) Open(digest string) (*os.File, wire.Object, error) {
	f, err := open(s.objects, "object", digest)
	if err != nil {
		return nil, wire.Object{}, err
	}
	st, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, wire.Object{}, err
	}
	return f, wire.Object{Digest: digest, Size: st.Size()}, nil
}

// OpenIndex opens a checked index and its devices, in order.
func (s *Store) OpenIndex(digest string) (index *os.File, devices []*os.File, err error) {
	list, err := s.devices(digest)
	if err != nil {
		return nil, nil, err
	}
	if index, err = open(s.indexes, "index", digest); err != nil {
		return nil, nil, err
	}
	if devices, err = s.openAll(list); err != nil {
		index.Close()
		return nil, nil, err
	}
	return index, devices, nil
}

func (s *Store) devices(digest string) ([]string, error) {
	n, err := name(digest)
	if err != nil {
		return nil, err
	}
	b, err := s.indexes.ReadFile(n + ".devices")
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("the store has no index %s: %w", digest, errdefs.ErrNotFound)
	}
	if err != nil || len(b) == 0 {
		return nil, err
	}
	return strings.Split(string(b), "\n"), nil
}

func (s *Store) openAll(digests []string) ([]*os.File, error) {
	var files []*os.File
	for _, d := range digests {
		f, _, err := s.Open(d)
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
	list, err := s.List()
	if err != nil {
		return err
	}
	for _, index := range list.Indexes {
		if slices.Contains(index.Data, digest) {
			return fmt.Errorf("object %s is needed by index %s: %w", digest, index.Digest, errdefs.ErrFailedPrecondition)
		}
	}
	return s.objects.RemoveAll(n)
}

// RemoveIndex removes an index; its devices stay.
func (s *Store) RemoveIndex(digest string) error {
	n, err := name(digest)
	if err != nil {
		return err
	}
	return errors.Join(s.indexes.RemoveAll(n), s.indexes.RemoveAll(n+".devices"))
}

// List reads what is there. An index without its list of devices, which a crash may leave, is removed.
func (s *Store) List() (wire.ObjectList, error) {
	var list wire.ObjectList
	err := each(s.objects, func(e os.DirEntry) {
		if st, err := e.Info(); err == nil {
			list.Objects = append(list.Objects, wire.Object{Digest: "sha256:" + e.Name(), Size: st.Size()})
		}
	})
	err = errors.Join(err, each(s.indexes, func(e os.DirEntry) {
		if strings.Contains(e.Name(), ".") {
			return
		}
		digest := "sha256:" + e.Name()
		if data, err := s.devices(digest); err == nil {
			list.Indexes = append(list.Indexes, wire.Index{Digest: digest, Data: data})
		}
	}))
	return list, err
}

func each(dir *os.Root, f func(os.DirEntry)) error {
	d, err := dir.Open(".")
	if err != nil {
		return err
	}
	defer d.Close()
	entries, err := d.ReadDir(-1)
	for _, e := range entries {
		f(e)
	}
	return err
}

// Full gives a full disk the class and the words that people can act on.
func Full(err error) error {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return fmt.Errorf("no space left in the engine's directory: %w: %w. Next: brig images, brig rmi", err, errdefs.ErrResourceExhausted)
	}
	return err
}
