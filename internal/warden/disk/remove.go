package disk

import (
	"errors"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// deepest is how many directories of a tree are open at once while it is deleted. Who wrote it has made it as deep as he
// liked, and the warden's descriptors are everybody's.
const deepest = 64

// eraser deletes one tree: never across mounts, and without following a link.
type eraser struct {
	top   int // the tree's own directory
	moved int
}

// remove deletes a file, or a directory with all that is in it.
func (e *eraser) remove(dir int, name string, depth int) error {
	switch err := unix.Unlinkat(dir, name, 0); {
	case err == unix.ENOENT:
		return nil
	case err != unix.EISDIR:
		return os.NewSyscallError("unlinkat", err)
	case depth > deepest:
		return e.lift(dir, name)
	}
	fd, err := unix.Openat2(dir, name, &unix.OpenHow{Flags: unix.O_DIRECTORY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_XDEV})
	if err != nil {
		return os.NewSyscallError("openat2", err)
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	if depth == 0 {
		e.top = fd
	}
	for err == nil {
		names, _ := f.Readdirnames(256)
		if len(names) == 0 {
			return os.NewSyscallError("unlinkat", unix.Unlinkat(dir, name, unix.AT_REMOVEDIR))
		}
		for _, n := range names {
			err = errors.Join(err, e.remove(fd, n, depth+1))
		}
		_, seek := f.Seek(0, 0)
		err = errors.Join(err, seek)
	}
	return err
}

// lift moves a directory that is too deep to the top of the tree, where its turn comes.
func (e *eraser) lift(dir int, name string) error {
	for {
		e.moved++
		err := unix.Renameat2(dir, name, e.top, strconv.Itoa(e.moved), unix.RENAME_NOREPLACE)
		if err != unix.EEXIST {
			return os.NewSyscallError("renameat2", err)
		}
	}
}
