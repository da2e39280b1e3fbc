// Package release tells which kernel runs.
package release

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Version returns the running kernel's major and minor version.
func Version() ([2]int, error) {
	r := String()
	var v [2]int
	if n, err := fmt.Sscanf(r, "%d.%d", &v[0], &v[1]); n != 2 {
		return v, fmt.Errorf("kernel release %q: %w", r, err)
	}
	return v, nil
}

// String is the kernel's full release string.
func String() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return ""
	}
	return unix.ByteSliceToString(u.Release[:])
}
