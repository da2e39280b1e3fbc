// Package fill copies what an image has at the place of a new volume into the volume.
//
// Zone: brig-worker, as root of the container's own user namespace and with the few capabilities that copying owners and
// modes takes there; no other file system than the two directories that it was given.
// Input: a tree of the image, which a stranger made. Output: the same tree in the volume.
// Spec: what Docker does with an empty named volume. Answers: A3 (CVE-2022-23648: a VOLUME on a symbolic link).
package fill

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/wire/jobs"
	"github.com/brig-engine/brig/internal/worker/walk"
)

// Bounds of what is copied.
const (
	maxEntries = 1_000_000
	maxDepth   = 256
)

// Job carries out wire.JobFill.
func Job(t *jobs.Task) (*jobs.Result, error) {
	if len(t.Files) != 2 {
		return nil, errors.New("fill needs two directories")
	}
	if err := Copy(t.Files[0], t.Files[1]); err != nil {
		return nil, err
	}
	return &jobs.Result{}, nil
}

// Copy copies the content, owner and mode of directory from to directory to, unless to has something in it already.
func Copy(from, to *os.File) error {
	if names, err := to.Readdirnames(1); err == nil && len(names) > 0 {
		return nil
	}
	c := &copier{buf: make([]byte, 256<<10), walk: walk.Walk{MaxEntries: maxEntries, MaxDepth: maxDepth}}
	return c.directory(int(from.Fd()), int(to.Fd()), 0)
}

type copier struct {
	walk walk.Walk
	buf  []byte
}

// directory copies entries first and owner and mode last, so that the mode cannot be in the way.
func (c *copier) directory(from, to, depth int) error {
	err := c.walk.Directory(from, depth, func(name string) error { return c.entry(from, to, name, depth) })
	if err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstat(from, &st); err != nil {
		return err
	}
	return own(to, &st)
}

// entry copies one name. What is neither file, directory nor link (a FIFO, say) is left out.
func (c *copier) entry(from, to int, name string, depth int) error {
	var st unix.Stat_t
	if err := unix.Fstatat(from, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFLNK:
		return c.link(from, to, name, &st)
	case unix.S_IFREG:
		return c.file(from, to, name, &st)
	case unix.S_IFDIR:
		if err := unix.Mkdirat(to, name, 0o700); err != nil {
			return err
		}
		return with(from, to, name, unix.O_RDONLY|unix.O_DIRECTORY, unix.O_RDONLY|unix.O_DIRECTORY, func(a, b int) error {
			return c.directory(a, b, depth+1)
		})
	}
	return nil
}

func (c *copier) link(from, to int, name string, st *unix.Stat_t) error {
	n, err := unix.Readlinkat(from, name, c.buf[:unix.PathMax])
	if err != nil {
		return err
	}
	if err := unix.Symlinkat(string(c.buf[:n]), to, name); err != nil {
		return err
	}
	if err := unix.Fchownat(to, name, int(st.Uid), int(st.Gid), unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	return unix.UtimesNanoAt(to, name, []unix.Timespec{st.Atim, st.Mtim}, unix.AT_SYMLINK_NOFOLLOW)
}

func (c *copier) file(from, to int, name string, st *unix.Stat_t) error {
	return with(from, to, name, unix.O_RDONLY, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL, func(a, b int) error {
		for {
			n, err := unix.Read(a, c.buf)
			if err != nil {
				return err
			}
			if n == 0 {
				return own(b, st)
			}
			if err := writeAll(b, c.buf[:n]); err != nil {
				return err
			}
		}
	})
}

func writeAll(fd int, b []byte) error {
	for len(b) > 0 {
		n, err := unix.Write(fd, b)
		if err != nil {
			return err
		}
		if n == 0 {
			return io.ErrShortWrite
		}
		b = b[n:]
	}
	return nil
}

// with opens the same name on both sides, following no link.
func with(from, to int, name string, read, write int, f func(a, b int) error) error {
	const flags = unix.O_NOFOLLOW | unix.O_CLOEXEC | unix.O_NONBLOCK
	a, err := unix.Openat(from, name, read|flags, 0)
	if err != nil {
		return err
	}
	defer unix.Close(a)
	b, err := unix.Openat(to, name, write|flags, 0o600)
	if err != nil {
		return err
	}
	defer unix.Close(b)
	return f(a, b)
}

// own gives a new file owner, mode and times of the original; the owner first, since changing it clears set-id bits.
func own(fd int, st *unix.Stat_t) error {
	if err := unix.Fchown(fd, int(st.Uid), int(st.Gid)); err != nil {
		return err
	}
	if err := unix.Fchmod(fd, st.Mode&0o7777); err != nil {
		return err
	}
	return unix.UtimesNanoAt(fd, "", []unix.Timespec{st.Atim, st.Mtim}, unix.AT_EMPTY_PATH)
}
