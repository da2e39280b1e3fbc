package cgroup

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// writeAt writes value to a control file in one call. extra are further flags.
func writeAt(dir int, path, value string, extra int) error {
	fd, err := unix.Openat(dir, path, unix.O_WRONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW|extra, 0o600)
	if err == nil {
		for err = unix.EINTR; err == unix.EINTR; { // a limit of memory is not set while a signal waits
			_, err = unix.Write(fd, []byte(value))
		}
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
