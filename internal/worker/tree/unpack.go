package tree

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"sync/atomic"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	kernel "github.com/brig-engine/brig/internal/kernel/path"
	"github.com/brig-engine/brig/internal/wire/jobs"
	"github.com/brig-engine/brig/internal/worker/layer"
	"github.com/brig-engine/brig/internal/worker/toc"
)

// unpacker creates what an archive holds below a directory, and nowhere else.
type unpacker struct {
	dest int
	// way is how links in the names of directories are followed: inside dest, which for the root means as the container
	// itself follows them.
	way     uint64
	params  *jobs.TreeParams
	limits  jobs.Limits
	entries int64
	bytes   int64
	dirs    []stamp
	buf     []byte
}

// stamp is the time of a directory, which is set when nothing comes into it any more.
type stamp struct {
	name string
	time time.Time
}

func newUnpacker(dest int, params *jobs.TreeParams, limits jobs.Limits) *unpacker {
	u := &unpacker{dest: dest, params: params, limits: limits, buf: make([]byte, len(zeros))}
	u.way = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS
	if path.Clean("/"+params.Path) == "/" {
		u.way = kernel.InRoot
	}
	return u
}

// unpack reads an archive, compressed or not, to its end. No program decompresses it (CVE-2026-41567).
func (u *unpacker) unpack(in io.Reader) error {
	raw := &counter{r: in}
	plainText, _, done, err := layer.Sniff(raw)
	if err != nil {
		return err
	}
	defer done()
	r := tar.NewReader(&bounded{r: plainText, raw: raw, limits: u.limits})
	for {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return unreadable(err)
		}
		if u.entries++; u.entries > u.limits.MaxEntries {
			return toc.Exceeded("entries", u.limits.MaxEntries)
		}
		if err := u.entry(h, r); err != nil {
			return fmt.Errorf("%.200s: %w", h.Name, err)
		}
	}
	for i := len(u.dirs) - 1; i >= 0; i-- {
		u.stamp(u.dirs[i])
	}
	return nil
}

// unreadable gives a failure of the archive its class.
func unreadable(err error) error {
	if errdefs.IsInvalidArgument(err) || errdefs.IsResourceExhausted(err) {
		return err
	}
	return toc.Invalid("the archive cannot be read: %w", err)
}

// bounded ends an archive that is larger than any that is taken, or that was blown up by its compression.
type bounded struct {
	r      io.Reader
	raw    *counter
	limits jobs.Limits
	n      int64
}

// ratioFrom is the size in bytes from which the ratio counts.
const ratioFrom = 1 << 30

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	b.n += int64(n)
	switch l := &b.limits; {
	case b.n > l.MaxBytes+l.MaxEntries<<10:
		return 0, toc.Exceeded("bytes in an archive", l.MaxBytes)
	case b.n > ratioFrom && b.n/l.MaxRatio > b.raw.n.Load():
		return 0, toc.Exceeded("times the size of the compressed archive", l.MaxRatio)
	}
	return n, err
}

// counter counts what a reader gave, maybe in another goroutine: a decompressor has its own.
type counter struct {
	r io.Reader
	n atomic.Int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// entry creates one entry.
func (u *unpacker) entry(h *tar.Header, content io.Reader) error {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	name, err := toc.Clean(h.Name)
	if err != nil || name == "" { // the directory itself stays as it is
		return err
	}
	at, err := u.parent(name)
	if err != nil {
		return err
	}
	defer at.close()
	there, err := u.makeRoom(&at, name, h.Typeflag == tar.TypeDir)
	if err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeRegA, tar.TypeGNUSparse: //nolint:staticcheck // old archives have it
		err = u.file(&at, h, content)
	case tar.TypeDir:
		err = u.directory(&at, h, name, there)
	case tar.TypeSymlink:
		if err = unix.Symlinkat(h.Linkname, at.dir, at.name); err == nil {
			err = u.own(at.dir, at.name, h)
		}
	case tar.TypeLink:
		err = u.hardLink(&at, h)
	case tar.TypeFifo:
		if err = unix.Mknodat(at.dir, at.name, unix.S_IFIFO|uint32(h.Mode)&0o777, 0); err == nil {
			err = u.own(at.dir, at.name, h)
		}
	case tar.TypeChar, tar.TypeBlock:
		err = toc.Invalid("a device node; none is made in a container")
	default:
		err = toc.Invalid("an entry of the type %q", h.Typeflag)
	}
	return classify(err)
}

// parent opens the directory that an entry goes into, and makes what is missing of it.
func (u *unpacker) parent(name string) (spot, error) {
	dir, base := path.Split(name)
	dir = strings.TrimSuffix(dir, "/")
	fd, err := u.open(dir)
	if !errors.Is(err, unix.ENOENT) {
		return spot{fd, base}, leaves(err)
	}
	for at := 0; at < len(dir); {
		next := len(dir)
		if i := strings.IndexByte(dir[at+1:], '/'); i >= 0 {
			next = at + 1 + i
		}
		if err := u.mkdir(dir[:next]); err != nil {
			return spot{}, leaves(err)
		}
		at = next
	}
	fd, err = u.open(dir)
	return spot{fd, base}, leaves(err)
}

func (u *unpacker) open(dir string) (int, error) {
	if dir == "" {
		dir = "."
	}
	return kernel.Open(u.dest, dir, unix.O_PATH|unix.O_DIRECTORY, 0, u.way)
}

func (u *unpacker) mkdir(dir string) error {
	in, base := path.Split(dir)
	fd, err := u.open(strings.TrimSuffix(in, "/"))
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.Mkdirat(fd, base, 0o755); err != nil && err != unix.EEXIST {
		return err
	}
	return nil
}

// leaves words what the kernel says about a link that leads out of the directory.
func leaves(err error) error {
	if errors.Is(err, unix.EXDEV) {
		return toc.Invalid("a link on the way leads out of the directory that the archive is unpacked in")
	}
	return classify(err)
}

// makeRoom removes what is in the place of an entry; a directory stays for a directory.
func (u *unpacker) makeRoom(at *spot, name string, dir bool) (there bool, err error) {
	st, err := at.stat()
	if errdefs.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	is := st.Mode&unix.S_IFMT == unix.S_IFDIR
	dest := path.Join("/", u.params.Path)
	switch {
	case is && dir:
		return true, nil
	case u.params.KeepKind && is:
		return false, toc.Invalid("cannot overwrite directory %q with non-directory %q", path.Join(dest, name), dest)
	case u.params.KeepKind && dir:
		return false, toc.Invalid("cannot overwrite non-directory %q with directory %q", path.Join(dest, name), dest)
	}
	return false, classify(remove(at.dir, at.name, 0))
}

// remove deletes a name and what is below it. It never leaves the directory, and deletes nothing that is mounted.
func remove(dir int, name string, depth int) error {
	err := unix.Unlinkat(dir, name, 0)
	if err != unix.EISDIR {
		return err
	}
	if depth > maxDepth {
		return toc.Exceeded("directories in each other", maxDepth)
	}
	fd, err := below(dir, name, openDir, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	names, err := list(fd)
	if err != nil {
		return err
	}
	for _, n := range names {
		if err := remove(fd, n, depth+1); err != nil && err != unix.ENOENT {
			return err
		}
	}
	return unix.Unlinkat(dir, name, unix.AT_REMOVEDIR)
}

// zeros is what a hole reads as.
var zeros [256 << 10]byte

// file creates a regular file. It is a new one: what somebody puts there meanwhile is an error, not written to. Zeros become
// holes: a few bytes of an archive may say that there are gigabytes of them.
func (u *unpacker) file(at *spot, h *tar.Header, content io.Reader) error {
	if u.bytes += h.Size; h.Size < 0 || u.bytes > u.limits.MaxBytes {
		return toc.Exceeded("bytes in an archive", u.limits.MaxBytes)
	}
	fd, err := below(at.dir, at.name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), at.name)
	defer f.Close()
	for {
		n, err := content.Read(u.buf)
		if bytes.Equal(u.buf[:n], zeros[:n]) {
			if _, err := f.Seek(int64(n), io.SeekCurrent); err != nil {
				return err
			}
		} else if _, err := f.Write(u.buf[:n]); err != nil {
			return err
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return unreadable(err)
		}
	}
	if err := unix.Ftruncate(fd, h.Size); err != nil {
		return err
	}
	return u.finish(fd, h)
}

func (u *unpacker) directory(at *spot, h *tar.Header, name string, there bool) error {
	if !there {
		if err := unix.Mkdirat(at.dir, at.name, 0o700); err != nil {
			return err
		}
	}
	fd, err := below(at.dir, at.name, openDir, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	u.dirs = append(u.dirs, stamp{name, h.ModTime})
	return u.finish(fd, h)
}

// hardLink links to what the archive has brought, or what is there: below the directory, and no link is followed.
func (u *unpacker) hardLink(at *spot, h *tar.Header) error {
	link, err := toc.Clean(h.Linkname)
	if err != nil {
		return err
	}
	dir, base := path.Split(link)
	fd, err := u.open(strings.TrimSuffix(dir, "/"))
	if err != nil {
		return leaves(err)
	}
	defer unix.Close(fd)
	return unix.Linkat(fd, base, at.dir, at.name, 0)
}
