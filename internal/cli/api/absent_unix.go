//go:build !windows

package api

import (
	"errors"
	"syscall"
)

// absent reports whether a dial failed because nothing listens there, rather than because it is not allowed.
func absent(err error) bool {
	return errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ECONNREFUSED)
}
