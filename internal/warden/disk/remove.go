package disk

import (
	"cmp"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// remove deletes a file, or a directory with all that is in it: never across mounts, and without following a link.
//
// Who wrote the tree has made it as deep as he liked, and the warden's descriptors are everybody's. So no more than two of its
// directories are open at once: those that are in a directory of the top are moved to the top, where their turn comes.
func remove(dir int, name string) error {
	n := 0
	return empty(dir, name, func(top int, name string) error {
		return empty(top, name, func(below int, name string) error {
			for {
				n++
				if err := unix.Renameat2(below, name, top, strconv.Itoa(n), unix.RENAME_NOREPLACE); err != unix.EEXIST {
					return os.NewSyscallError("renameat2", err)
				}
			}
		})
	})
}

// empty deletes a file, or a directory when each directory in it was taken out of it.
func empty(dir int, name string, take func(dir int, name string) error) error {
	if err := unix.Unlinkat(dir, name, 0); err != unix.EISDIR {
		return os.NewSyscallError("unlinkat", err)
	}
	fd, err := unix.Openat2(dir, name, &unix.OpenHow{Flags: unix.O_DIRECTORY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_XDEV})
	if err != nil {
		return os.NewSyscallError("openat2", err)
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	for err == nil {
		names, _ := f.Readdirnames(256)
		if len(names) == 0 {
			return os.NewSyscallError("unlinkat", unix.Unlinkat(dir, name, unix.AT_REMOVEDIR))
		}
		for _, n := range names {
			gone := unix.Unlinkat(fd, n, 0)
			if gone == unix.EISDIR {
				gone = take(fd, n)
			}
			err = cmp.Or(err, gone)
		}
		_, seek := f.Seek(0, 0)
		err = cmp.Or(err, seek)
	}
	return err
}
