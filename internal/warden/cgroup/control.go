package cgroup

import (
	"errors"
	"fmt"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

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
