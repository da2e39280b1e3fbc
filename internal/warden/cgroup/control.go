package cgroup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// writeAt writes value to a control file in one call. extra are further flags.
func writeAt(dir int, path, value string, extra int) error {
	fd, err := unix.Openat(dir, path, unix.O_WRONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW|extra, 0o600)
	if err == nil {
		_, err = unix.Write(fd, []byte(value))
		unix.Close(fd)
	}
	if err != nil {
		return fmt.Errorf("write %q to %s: %w", value, path, err)
	}
	return nil
}

// readAt reads a whole control file, without the white space around it.
func readAt(dir int, path string) (string, error) {
	fd, err := unix.Openat(dir, path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return "", err
	}
	f := os.NewFile(uintptr(fd), path)
	defer f.Close()
	b, err := io.ReadAll(f)
	return strings.TrimSpace(string(b)), err
}

func openDir(dir int, path string) (int, error) {
	return unix.Openat(dir, path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
}

// subgroups names the groups in the one at dir.
func subgroups(dir int) (names []string, err error) {
	fd, err := openDir(dir, ".")
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "control group")
	defer f.Close()
	entries, err := f.ReadDir(-1)
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, err
}

// maxDepth bounds the walk through groups that a container has made inside its own.
const maxDepth = 32

// walk calls fn for the groups below name and then for name itself. Groups that vanish meanwhile are no error, save
// the first.
func walk(dir int, name string, depth int, fn func(dir int, name string) error) error {
	fd, err := openDir(dir, name)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	below, err := subgroups(fd)
	if err != nil {
		return err
	}
	if depth == 0 && len(below) > 0 {
		return fmt.Errorf("more than %d groups within each other: %w", maxDepth, unix.ELOOP)
	}
	for _, b := range below {
		if err := walk(fd, b, depth-1, fn); err != nil && err != unix.ENOENT {
			return err
		}
	}
	return fn(dir, name)
}

// maxWait bounds every wait for the kernel, whatever the caller's context says.
const maxWait = 30 * time.Second

// retry repeats try while it fails with EBUSY, from 0.2 to 50 ms apart, until ctx ends.
func retry(ctx context.Context, try func() error) error {
	ctx, cancel := context.WithTimeout(ctx, maxWait)
	defer cancel()
	for pause := 200 * time.Microsecond; ; pause = min(2*pause, 50*time.Millisecond) {
		err := try()
		if !errors.Is(err, unix.EBUSY) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w (%w)", err, ctx.Err())
		case <-time.After(pause):
		}
	}
}

// class gives an errno the class by which callers tell people about it.
func class(err error) error {
	for errno, c := range map[unix.Errno]error{unix.ENOENT: errdefs.ErrNotFound, unix.ENODEV: errdefs.ErrNotFound,
		unix.EEXIST: errdefs.ErrAlreadyExists, unix.EINVAL: errdefs.ErrInvalidArgument,
		unix.ERANGE: errdefs.ErrInvalidArgument} {
		if errors.Is(err, errno) {
			return fmt.Errorf("%w: %w", c, err)
		}
	}
	return err
}
