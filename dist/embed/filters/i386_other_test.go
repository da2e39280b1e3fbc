//go:build !amd64

package filters

import "golang.org/x/sys/unix"

func callI386(uint32, ...uint32) unix.Errno { return unix.ENOSYS }
