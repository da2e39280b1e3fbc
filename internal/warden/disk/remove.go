package disk

import (
	"cmp"
	"errors"
	"math/rand/v2"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// deepest is how many directories of a tree are open at once while it is deleted. Who wrote it has made it as deep as he
// liked, and the warden's descriptors are everybody's.
const deepest = 64

// remove deletes a file, or a directory with all that is in it: never across mounts, and without following a link. One that is
// too deep is moved to the top of the tree, where its turn comes.
func remove(top, dir int, name string, depth int) error {
	if err := unix.Unlinkat(dir, name, 0); err != unix.EISDIR {
		return os.NewSyscallError("unlinkat", err)
	}
	if depth > deepest {
		return os.NewSyscallError("renameat2", unix.Renameat2(dir, name, top, strconv.FormatUint(rand.Uint64(), 36), unix.RENAME_NOREPLACE))
	}
	fd, err := unix.Openat2(dir, name, &unix.OpenHow{Flags: unix.O_DIRECTORY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_XDEV})
	if err != nil {
		return os.NewSyscallError("openat2", err)
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	if depth == 0 {
		top = fd
	}
	for more := true; more && err == nil; { // what was moved here meanwhile may have been passed by
		more = false
		for names, _ := f.Readdirnames(256); len(names) > 0; names, _ = f.Readdirnames(256) {
			for _, n := range names {
				if gone := remove(top, fd, n, depth+1); !errors.Is(gone, unix.ENOENT) { // somebody else may delete it, too
					more, err = true, cmp.Or(err, gone)
				}
			}
		}
		_, seek := f.Seek(0, 0)
		err = cmp.Or(err, seek)
	}
	if err != nil {
		return err
	}
	return os.NewSyscallError("unlinkat", unix.Unlinkat(dir, name, unix.AT_REMOVEDIR))
}
