package launch

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/cli/launch/machine"
)

// prepare makes the engine's directories what its processes need them to be, and gives them the names that no link leads to: by
// these the warden knows what no container may have.
func prepare(o *Options) (err error) {
	for _, dir := range []*string{&o.Root, &o.Run} {
		if *dir, err = place(*dir); err != nil {
			return err
		}
		if err := cmp.Or(os.MkdirAll(*dir, 0o711), os.Chmod(*dir, 0o711)); err != nil {
			return err
		}
		if err := enterable(*dir); err != nil {
			return err
		}
	}
	containers := filepath.Join(o.Root, "containers")
	if err := os.MkdirAll(containers, 0o700); err != nil {
		return err
	}
	spread(containers)
	return owned(filepath.Join(o.Root, "store"))
}

// place is the name of a directory that no link leads to. Nothing is made before it is known that nobody but root can put
// something else in the place of a directory, or of a link, that leads there.
func place(dir string) (string, error) {
	there, rest := dir, ""
	for {
		if _, err := os.Lstat(there); !errors.Is(err, os.ErrNotExist) {
			break
		}
		there, rest = filepath.Dir(there), filepath.Join(filepath.Base(there), rest)
	}
	if err := rooted(there); err != nil {
		return "", err
	}
	real, err := filepath.EvalSymlinks(there)
	if err != nil {
		return "", err
	}
	return filepath.Join(real, rest), rooted(real)
}

// rooted checks that a directory or link, and all above it, are root's alone.
func rooted(path string) error {
	for ; ; path = filepath.Dir(path) {
		st, err := os.Lstat(path)
		if err != nil {
			return err
		}
		mode, owner := st.Mode(), st.Sys().(*syscall.Stat_t).Uid
		open := mode&0o022 != 0 && mode&(os.ModeSticky|os.ModeSymlink) == 0
		if owner != 0 || open {
			return fmt.Errorf("the engine's directory is, or lies in, %s, which others than root can write (it is of user %d, with mode %v). Next: choose another directory",
				path, owner, mode)
		}
		if path == "/" {
			return nil
		}
	}
}

// enterable checks that brigd and brig-store, which have no privilege, can walk to their directories.
func enterable(dir string) error {
	for ; dir != "/"; dir = filepath.Dir(dir) {
		st, err := os.Stat(dir)
		if err != nil {
			return err
		}
		if st.Mode()&0o001 == 0 {
			return fmt.Errorf("the engine's directory lies below %s, which only its owner may enter, and brigd runs without "+
				"privileges. Next: chmod o+x %s, or choose another directory", dir, dir)
		}
	}
	return nil
}

// owned gives the store to its process. Before there was one it was root's; the directory itself comes last.
func owned(dir string) error {
	var st unix.Stat_t
	err := unix.Lstat(dir, &st)
	if errors.Is(err, unix.ENOENT) || err == nil && st.Uid == machine.StoreID {
		return nil
	}
	if err != nil {
		return err
	}
	list, err := fs.Glob(os.DirFS(dir), "*/*")
	if err != nil {
		return err
	}
	for _, p := range append(list, "objects", "checked", ".") {
		if err := os.Lchown(filepath.Join(dir, p), machine.StoreID, machine.StoreID); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// spread tells ext4 that the directories in dir have nothing to do with each other, so that it puts them into different
// block groups. Otherwise all of them come and go in one group, where it looks for a place among all that were deleted
// there in the last minutes, one by one: milliseconds for each container. Looking for a good group takes a third of a
// millisecond, so that containers go into 256 directories that are spread. Other file systems know nothing of it.
func spread(dir string) {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	const topdir = 0x20000 // FS_TOPDIR_FL
	if flags, err := unix.IoctlGetUint32(fd, unix.FS_IOC_GETFLAGS); err == nil && flags&topdir == 0 {
		_ = unix.IoctlSetPointerInt(fd, unix.FS_IOC_SETFLAGS, int(flags|topdir))
	}
}
