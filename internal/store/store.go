package store

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/path"
	"github.com/brig-engine/brig/internal/wire"
	"github.com/brig-engine/brig/internal/wire/objects"
)

// Store is one engine's store. Its methods are safe for concurrent use: the file system serialises them.
type Store struct {
	objects int // descriptor of the directory
	checked int // lists of an index and its devices, in lines: each is one checked index, named as any object
}

// sealWait is how long Seal waits for the last writer to go: descriptors that travel may outlive their sender's close.
const sealWait = 2 * time.Second

// maxDevices bounds the layers of an image: the warden gets the index and all of them in one packet.
const maxDevices = wire.MaxFDs - 1

// Open opens or makes the store below dir.
func Open(dir string) (s *Store, err error) {
	s = new(Store)
	if s.objects, err = directory(filepath.Join(dir, "objects")); err != nil {
		return nil, err
	}
	s.checked, err = directory(filepath.Join(dir, "checked"))
	return s, err
}

func directory(path string) (int, error) {
	if err := errors.Join(os.MkdirAll(path, 0o700), os.Chmod(path, 0o700)); err != nil {
		return -1, err
	}
	return unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
}

// Create makes an unnamed file for somebody else to fill.
func (s *Store) Create() (int, error) {
	fd, err := unix.Openat(s.objects, ".", unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	return fd, wire.Full(os.NewSyscallError("new file in the store", err))
}

// Seal makes the file behind fd immutable and links it under its digest. It takes fd over. want may be "".
func (s *Store) Seal(fd int, want string) (objects.Object, error) {
	f, err := exclusive(fd)
	if err != nil {
		return objects.Object{}, err
	}
	defer f.Close()
	return keep(f, s.objects, want)
}

// SealIndex makes an index immutable, after check has approved of the file and of its devices, and said which bytes it has
// seen. It takes fd over.
func (s *Store) SealIndex(fd int, devices []string, check func(index *os.File, devices []int) (digest string, err error)) (objects.Object, error) {
	f, err := exclusive(fd)
	if err != nil {
		return objects.Object{}, err
	}
	defer f.Close()
	if len(devices) > maxDevices {
		return objects.Object{}, fmt.Errorf("an index with %d devices, at most %d: %w", len(devices), maxDevices, errdefs.ErrInvalidArgument)
	}
	files, err := s.openAll(devices)
	if err != nil {
		return objects.Object{}, err
	}
	defer wire.CloseAll(files)
	seen, err := check(f, files)
	if err != nil {
		return objects.Object{}, err
	}
	o, err := keep(f, s.objects, seen)
	if err != nil {
		return o, err
	}
	// What an index says depends on its devices: the list of both makes its name, so that it can never come to mean other
	// data.
	named, err := s.sealList(append([]string{o.Digest}, devices...))
	return objects.Object{Digest: named.Digest, Size: o.Size}, err
}

func (s *Store) sealList(digests []string) (objects.Object, error) {
	fd, err := s.Create()
	if err != nil {
		return objects.Object{}, err
	}
	text := strings.Join(digests, "\n")
	if n, err := unix.Write(fd, []byte(text)); err != nil || n < len(text) {
		unix.Close(fd)
		return objects.Object{}, fmt.Errorf("list of an index: %w", wire.Full(cmp.Or(err, error(unix.ENOSPC))))
	}
	f, err := exclusive(fd)
	if err != nil {
		return objects.Object{}, err
	}
	defer f.Close()
	return keep(f, s.checked, "")
}

// exclusive reopens the file behind fd read-only, closes fd and makes sure that nobody can write to the file any more:
// the kernel grants a read lease only while no writer exists, and nothing leads to a new one: the file has no name and
// is this process's alone.
func exclusive(fd int) (*os.File, error) {
	f, err := readOnly(fd)
	unix.Close(fd)
	if err != nil {
		return nil, err
	}
	if err := lease(f); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func readOnly(fd int) (*os.File, error) {
	var st unix.Stat_t
	err := unix.Fstat(fd, &st)
	if err == nil && (st.Mode&unix.S_IFMT != unix.S_IFREG || int(st.Uid) != os.Geteuid() || st.Nlink != 0) {
		err = fmt.Errorf("this is not a file that the store handed out: %w", errdefs.ErrInvalidArgument)
	}
	if err == nil {
		err = unix.Fchmod(fd, 0o600)
	}
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return os.Open(path.Proc(fd))
}

// lease waits until the kernel agrees that f has no writer.
func lease(f *os.File) error {
	deadline := time.Now().Add(sealWait)
	for pause := 100 * time.Microsecond; ; pause *= 2 {
		_, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_RDLCK)
		if err == nil {
			_, err = unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_UNLCK)
			return err
		}
		if !errors.Is(err, unix.EAGAIN) {
			return fmt.Errorf("seal: lease: %w", err)
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("seal: somebody still writes to the file: %w", errdefs.ErrFailedPrecondition)
		}
		time.Sleep(pause)
	}
}
