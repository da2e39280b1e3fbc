package tree

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/worker/toc"
)

// paxXattr begins the name of an attribute in an archive.
const paxXattr = "SCHILY.xattr."

// The marks of a layer, and those of overlayfs, which a container's root could not set by any other way either.
const (
	whiteout     = ".wh."
	opaqueMark   = ".wh..wh..opq"
	overlayMarks = "user.overlay."
)

func isErrno(err error, e unix.Errno) bool { return errors.Is(err, e) }

// plain tells whether an attribute travels: what any program may set on its own files, except what overlayfs acts on.
func plain(name string) bool {
	return strings.HasPrefix(name, "user.") && !strings.HasPrefix(name, overlayMarks)
}

// attributes reads what travels of an open file or directory. What cannot be read is left out.
func attributes(fd int) map[string]string {
	names := make([]byte, toc.MaxXattrSum)
	n, err := unix.Flistxattr(fd, names)
	if err != nil || n <= 0 {
		return nil
	}
	var out map[string]string
	for name := range strings.SplitSeq(strings.TrimSuffix(string(names[:n]), "\x00"), "\x00") {
		if !plain(name) || strings.Contains(name, "=") {
			continue
		}
		value := make([]byte, toc.MaxXattrSum)
		size, err := unix.Fgetxattr(fd, name, value)
		if err != nil || size > len(value) {
			continue
		}
		if out == nil {
			out = map[string]string{}
		}
		out[name] = string(value[:size])
	}
	return out
}

// opaque tells whether a directory of changes hides what the image has below it.
func opaque(fd int) bool {
	var b [8]byte
	n, err := unix.Fgetxattr(fd, overlayMarks+"opaque", b[:])
	return err == nil && n == 1 && b[0] == 'y'
}

// isWhiteout tells whether an entry of the changes says that a name of the image is gone.
func isWhiteout(st *unix.Stat_t) bool { return st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0 }
