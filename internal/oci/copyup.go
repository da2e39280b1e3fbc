package oci

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/path"
	"github.com/brig-engine/brig/internal/oci/birth"
	"github.com/brig-engine/brig/internal/oci/config"
)

// copied are the mounts that begin with what they cover, in their order.
func (c *container) copied() (list []*config.Mount) {
	for i := range c.spec.Mounts {
		if m, err := config.ParseMount(&c.spec.Mounts[i]); err == nil && m.CopyUp { // they were parsed before
			list = append(list, m)
		}
	}
	return list
}

// maxDepth bounds the directories of what is copied.
const maxDepth = 64

// copyUp copies a directory of the image into the new tmpfs that will cover it. What is read is a stranger's: each name is
// opened below the directory before it, and no link is followed.
func (c *container) copyUp(m *config.Mount) error {
	if err := c.running.Await(); err != nil {
		return err
	}
	over, err := c.running.Take(birth.ShownOver)
	if err != nil {
		return err
	}
	defer unix.Close(over)
	under, err := c.running.Take(birth.ShownUnder)
	if err != nil {
		return err
	}
	defer unix.Close(under)
	if c.fds["userns"] > 0 {
		return fmt.Errorf("mount on %s: tmpcopyup is not supported in a user namespace", m.Target)
	}
	if err := copyTree(under, over, maxDepth); err != nil {
		return fmt.Errorf("copy what the mount on %s covers: %w", m.Target, err)
	}
	return c.running.Pass()
}

func copyTree(from, to, depth int) error {
	if depth == 0 {
		return unix.ENAMETOOLONG
	}
	list, err := path.Open(from, ".", unix.O_RDONLY|unix.O_DIRECTORY, 0, path.NoLinks)
	if err != nil {
		return err
	}
	dir := os.NewFile(uintptr(list), "directory")
	defer dir.Close()
	if err := likeness(from, to); err != nil {
		return err
	}
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := copyOne(from, to, name, depth); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// likeness gives a copy of a directory or file the owner and mode of the original.
func likeness(from, to int) error {
	var st unix.Stat_t
	err := unix.Fstat(from, &st)
	if err == nil {
		err = unix.Fchownat(to, "", int(st.Uid), int(st.Gid), unix.AT_EMPTY_PATH)
	}
	if err == nil { // of a descriptor that only names a place, by its name in proc
		err = unix.Chmod(path.Proc(to), st.Mode&0o7777)
	}
	return err
}

func copyOne(from, to int, name string, depth int) error {
	fd, err := path.Open(from, name, unix.O_PATH|unix.O_NOFOLLOW, 0, unix.RESOLVE_BENEATH|unix.RESOLVE_NO_MAGICLINKS)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		if err := unix.Mkdirat(to, name, 0o700); err != nil {
			return err
		}
		made, err := path.Open(to, name, unix.O_PATH|unix.O_DIRECTORY, 0, path.NoLinks)
		if err != nil {
			return err
		}
		defer unix.Close(made)
		return copyTree(fd, made, depth-1)
	case unix.S_IFREG:
		return copyFile(from, to, name)
	case unix.S_IFLNK:
		b := make([]byte, unix.PathMax)
		n, err := unix.Readlinkat(fd, "", b)
		if err == nil {
			err = unix.Symlinkat(string(b[:n]), to, name)
		}
		if err == nil {
			err = unix.Fchownat(to, name, int(st.Uid), int(st.Gid), unix.AT_SYMLINK_NOFOLLOW)
		}
		return err
	}
	return fmt.Errorf("neither a directory nor a file nor a link: %w", unix.ENOTSUP)
}

func copyFile(from, to int, name string) error {
	source, err := path.Open(from, name, unix.O_RDONLY|unix.O_NONBLOCK, 0, path.NoLinks)
	if err != nil {
		return err
	}
	in := os.NewFile(uintptr(source), name)
	defer in.Close()
	if info, err := in.Stat(); err != nil || !info.Mode().IsRegular() { // it was one, and is none any more
		return fmt.Errorf("changes while it is copied: %w", unix.EBUSY)
	}
	target, err := path.Open(to, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL, 0o600, path.NoLinks)
	if err != nil {
		return err
	}
	out := os.NewFile(uintptr(target), name)
	defer out.Close()
	if _, err := io.Copy(out, in); err != nil {
		return err
	}
	return likeness(source, target)
}
