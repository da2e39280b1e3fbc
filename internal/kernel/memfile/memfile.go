// Package memfile makes files that exist in memory only and cannot be changed any more.
//
// Zone: every process. Input: bytes of our own programs and messages. Output: descriptors. Spec: memfd_create(2).
// Answers: A3 (CVE-2019-5736: a program that a container can reach through /proc is a copy that nobody can write).
package memfile

import (
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Seal makes a sealed file with the content of r. Its name is only for people.
func Seal(name string, r io.Reader) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("memfd %s: %w", name, err)
	}
	f := os.NewFile(uintptr(fd), name)
	if _, err = io.Copy(f, r); err == nil {
		seals := unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
		// Busy says the kernel, after a while, if it holds pages itself.
		for n := 0; n == 0 || n < 20 && err == unix.EBUSY; n++ {
			_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals)
		}
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("write and seal memfd %s: %w", name, err)
	}
	return f, nil
}

// Program makes a sealed copy of a program.
func Program(path string) (*os.File, error) {
	src, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer src.Close()
	return Seal(path[strings.LastIndexByte(path, '/')+1:], src)
}
