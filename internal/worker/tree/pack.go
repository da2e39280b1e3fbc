package tree

import (
	"archive/tar"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/wire/jobs"
	"github.com/brig-engine/brig/internal/worker/toc"
)

// packer writes a tree as an archive.
type packer struct {
	w       *tar.Writer
	limits  jobs.Limits
	layer   bool // the tree is what overlayfs keeps of changes: its marks become those of a layer
	entries int64
	bytes   int64
	links   map[inode]string // name of a file that has several
	buf     []byte
}

// inode is known by when it changed, too: while its names are read a file may go, and another one take its number.
type inode struct {
	dev, ino uint64
	changed  unix.Timespec
}

func inodeOf(st *unix.Stat_t) inode { return inode{uint64(st.Dev), st.Ino, st.Ctim} }

func newPacker(w io.Writer, limits jobs.Limits) *packer {
	return &packer{w: tar.NewWriter(w), limits: limits, links: map[inode]string{}, buf: make([]byte, 256<<10)}
}

// spot packs what is at a place, under a name.
func (p *packer) spot(at *spot, name string, st *unix.Stat_t) error {
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return p.entry(at.dir, at.name, name, st)
	}
	fd, err := below(at.dir, at.name, openDir, 0)
	if err != nil {
		return classify(err)
	}
	defer unix.Close(fd)
	if err := unix.Fstat(fd, st); err != nil {
		return err
	}
	if err := p.header(fd, name+"/", "", st); err != nil {
		return err
	}
	return p.directory(fd, name+"/", 0)
}

// directory packs what is in an open directory, in the order of names.
func (p *packer) directory(dir int, prefix string, depth int) error {
	if depth > maxDepth {
		return toc.Exceeded("directories in each other", maxDepth)
	}
	names, err := list(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		var st unix.Stat_t
		err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW)
		if err == unix.ENOENT {
			continue // it was removed meanwhile
		}
		if err == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR {
			err = p.subdirectory(dir, name, prefix, depth)
		} else if err == nil {
			err = p.entry(dir, name, prefix+name, &st)
		}
		if err != nil {
			return fmt.Errorf("%.200s: %w", prefix+name, err)
		}
	}
	return nil
}

func (p *packer) subdirectory(dir int, name, prefix string, depth int) error {
	fd, err := below(dir, name, openDir, 0)
	if vanished(err) {
		return nil
	}
	if err != nil {
		return classify(err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if p.layer && strings.HasPrefix(name, whiteout) {
		return nil // it would read as a mark
	}
	if err := p.header(fd, prefix+name+"/", "", &st); err != nil {
		return err
	}
	if p.layer && opaque(fd) {
		if err := p.mark(prefix+name+"/"+opaqueMark, &st); err != nil {
			return err
		}
	}
	return p.directory(fd, prefix+name+"/", depth+1)
}

// vanished tells that a name is not what it was when it was looked at: somebody in the container changes it.
func vanished(err error) bool {
	for _, e := range []unix.Errno{unix.ENOENT, unix.ENOTDIR, unix.ELOOP, unix.ENXIO} {
		if os.IsNotExist(err) || isErrno(err, e) {
			return true
		}
	}
	return false
}

// entry packs what is no directory. Sockets have no place in an archive.
func (p *packer) entry(dir int, name, as string, st *unix.Stat_t) error {
	switch kind := st.Mode & unix.S_IFMT; {
	case p.layer && strings.HasPrefix(name, whiteout), kind == unix.S_IFSOCK:
		return nil
	case p.layer && isWhiteout(st):
		return p.mark(strings.TrimSuffix(as, name)+whiteout+name, st)
	case kind == unix.S_IFREG:
		return p.file(dir, name, as)
	case kind == unix.S_IFLNK:
		text, err := readlink(dir, name)
		if vanished(err) || err == unix.EINVAL {
			return nil
		}
		if err != nil {
			return err
		}
		return p.header(-1, as, text, st)
	}
	return p.header(-1, as, "", st)
}

// file packs a regular file, which is looked at again now that nobody can put another one in its place.
func (p *packer) file(dir int, name, as string) error {
	fd, err := below(dir, name, unix.O_RDONLY, 0)
	if vanished(err) {
		return nil
	}
	if err != nil {
		return classify(err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return err
	}
	if st.Nlink > 1 {
		if first, ok := p.links[inodeOf(&st)]; ok {
			st.Size = 0
			return p.record(&tar.Header{Typeflag: tar.TypeLink, Name: as, Linkname: first}, &st)
		}
		p.links[inodeOf(&st)] = as
	}
	if err := p.header(fd, as, "", &st); err != nil {
		return err
	}
	return p.content(fd, st.Size)
}

// content copies exactly n bytes; a file that becomes shorter meanwhile is filled up with zeros, as the header promised.
func (p *packer) content(fd int, n int64) error {
	if p.bytes += n; p.bytes > p.limits.MaxBytes {
		return toc.Exceeded("bytes in an archive", p.limits.MaxBytes)
	}
	for n > 0 {
		got, err := unix.Read(fd, p.buf[:min(n, int64(len(p.buf)))])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		if got == 0 {
			got = int(min(n, int64(len(p.buf))))
			clear(p.buf[:got])
		}
		if _, err := p.w.Write(p.buf[:got]); err != nil {
			return err
		}
		n -= int64(got)
	}
	return nil
}

// header writes the header of what st describes. fd, of a file or directory, is for its attributes.
func (p *packer) header(fd int, name, link string, st *unix.Stat_t) error {
	h := &tar.Header{Name: name, Linkname: link}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		h.Typeflag, h.Size = tar.TypeReg, st.Size
	case unix.S_IFDIR:
		h.Typeflag = tar.TypeDir
	case unix.S_IFLNK:
		h.Typeflag = tar.TypeSymlink
	case unix.S_IFIFO:
		h.Typeflag = tar.TypeFifo
	case unix.S_IFCHR, unix.S_IFBLK:
		h.Typeflag = tar.TypeChar
		if st.Mode&unix.S_IFMT == unix.S_IFBLK {
			h.Typeflag = tar.TypeBlock
		}
		h.Devmajor, h.Devminor = int64(unix.Major(uint64(st.Rdev))), int64(unix.Minor(uint64(st.Rdev)))
	default:
		return nil
	}
	if fd >= 0 {
		for k, v := range attributes(fd) {
			if h.PAXRecords == nil {
				h.PAXRecords = map[string]string{}
			}
			h.PAXRecords[paxXattr+k] = v
		}
	}
	return p.record(h, st)
}

// record writes a header with the owner, mode and time of st.
func (p *packer) record(h *tar.Header, st *unix.Stat_t) error {
	if p.entries++; p.entries > p.limits.MaxEntries {
		return toc.Exceeded("entries", p.limits.MaxEntries)
	}
	h.Mode, h.Uid, h.Gid = int64(st.Mode&0o7777), int(st.Uid), int(st.Gid)
	h.ModTime, h.Format = time.Unix(st.Mtim.Sec, 0), tar.FormatPAX
	return p.w.WriteHeader(h)
}

// list gives the names in a directory, sorted.
func list(dir int) ([]string, error) {
	fd, err := below(dir, ".", openDir, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "directory")
	defer f.Close()
	names, err := f.Readdirnames(-1)
	slices.Sort(names)
	return names, err
}
