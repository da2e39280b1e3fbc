package tree

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	kernel "github.com/brig-engine/brig/internal/kernel/path"
	"github.com/brig-engine/brig/internal/worker/toc"
)

// Bounds. Each level of directories costs one of the worker's descriptors.
const (
	maxDepth = 400
	maxLinks = 255
)

const (
	openDir = unix.O_RDONLY | unix.O_DIRECTORY
	// Never waits for the other side of a FIFO, never takes a terminal, never follows a link in the last part.
	careful = unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_NOCTTY
)

// below opens a name directly in a directory. Nothing that is put there meanwhile leads elsewhere.
func below(dir int, name string, flags int, mode uint32) (int, error) {
	return kernel.Open(dir, name, flags|careful, mode, kernel.NoLinks)
}

// spot is a place in a tree: a directory and a name in it, or (name ".") the directory itself.
type spot struct {
	dir  int
	name string
}

func (s *spot) close() { unix.Close(s.dir) }

// find leads to a path below root. Links before its last part are followed, inside the root only; the last part is
// where a trailing slash or dot asks for a directory. base is what the path is called: "/" and "." have no better name.
func find(root int, p string) (at spot, base string, err error) {
	if len(p) > toc.MaxPath || strings.IndexByte(p, 0) >= 0 {
		return spot{}, "", toc.Invalid("the path %.100q is too long, or has a NUL byte", p)
	}
	clean := path.Clean("/" + p)
	asDirectory := strings.HasSuffix(p, "/") || strings.HasSuffix(p, "/.") || p == "." || clean == "/"
	base = path.Base(clean)
	if strings.HasSuffix(p, "/.") || p == "." {
		base = "."
	}
	in, name := path.Split(clean)
	if asDirectory {
		in, name = clean, "."
	}
	at.name = name
	at.dir, err = kernel.Open(root, in, unix.O_PATH|unix.O_DIRECTORY, 0, kernel.InRoot)
	return at, base, classify(err)
}

// stat looks at what is there without following a link.
func (s *spot) stat() (st unix.Stat_t, err error) {
	err = unix.Fstatat(s.dir, s.name, &st, unix.AT_SYMLINK_NOFOLLOW)
	return st, classify(err)
}

// classify gives an error of the kernel the class that the API tells.
func classify(err error) error {
	for errno, class := range map[unix.Errno]error{unix.ENOENT: errdefs.ErrNotFound, unix.ENOTDIR: errdefs.ErrInvalidArgument,
		unix.ELOOP: errdefs.ErrInvalidArgument, unix.ENAMETOOLONG: errdefs.ErrInvalidArgument, unix.EXDEV: errdefs.ErrInvalidArgument,
		unix.EROFS: errdefs.ErrPermissionDenied, unix.EACCES: errdefs.ErrPermissionDenied, unix.EPERM: errdefs.ErrPermissionDenied,
		unix.EAGAIN: errdefs.ErrConflict, // somebody in the container has a lease of the file
		unix.ENOSPC: errdefs.ErrResourceExhausted, unix.EDQUOT: errdefs.ErrResourceExhausted} {
		if errors.Is(err, errno) {
			return fmt.Errorf("%w: %w", err, class)
		}
	}
	return err
}

// readlink reads a link that lies in a directory.
func readlink(dir int, name string) (string, error) {
	b := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(dir, name, b)
	return string(b[:max(n, 0)]), err
}

// target says where a path leads when every link is followed, as far as there is something: a text for people and
// clients, which ask for it again.
func target(root int, p string) string {
	done, todo := "/", strings.Split(p, "/")
	for links := 0; len(todo) > 0; {
		part := todo[0]
		todo = todo[1:]
		if part == "" || part == "." {
			continue
		}
		next := path.Join(done, part)
		at, _, err := find(root, next)
		if err != nil {
			return path.Join(append([]string{next}, todo...)...)
		}
		text, err := readlink(at.dir, at.name)
		at.close()
		if err != nil {
			done = next
			continue
		}
		if links++; links > maxLinks {
			return next
		}
		if strings.HasPrefix(text, "/") {
			done = "/"
		}
		todo = append(strings.Split(text, "/"), todo...)
	}
	return done
}
