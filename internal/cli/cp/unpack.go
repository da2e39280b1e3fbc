package cp

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// Unpack unpacks an archive that came out of a container into dir; what it calls from at its top becomes top. Everything
// is created below dir, whatever links the archive makes. It belongs to whoever types, has no set-id bits, and is never a
// device; skipped hears what was left out.
func Unpack(in io.Reader, dir, from, top string, skipped func(name, why string)) (bytes int64, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return 0, err
	}
	defer root.Close()
	u := &unpacker{root: root, skipped: skipped}
	r := tar.NewReader(in)
	for {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return u.bytes, fmt.Errorf("the archive from the engine: %w", err)
		}
		name := rename(h.Name, from, top)
		if h.Typeflag == tar.TypeLink {
			h.Linkname = rename(h.Linkname, from, top)
		}
		if name == "." {
			continue // the directory itself stays as it is
		}
		if err := u.entry(name, h, r); err != nil {
			return u.bytes, fmt.Errorf("%s: %w", name, err)
		}
	}
	for i := len(u.dirs) - 1; i >= 0; i-- {
		d := u.dirs[i]
		_ = root.Chmod(d.name, d.mode) // it may have been replaced since
		_ = root.Chtimes(d.name, d.time, d.time)
	}
	return u.bytes, nil
}

// rename puts to in the place of from, the first name of every entry.
func rename(name, from, to string) string {
	clean := path.Clean(strings.TrimLeft(name, "/"))
	if from == "." || from == "/" {
		return path.Join(to, clean)
	}
	first, rest, _ := strings.Cut(clean, "/")
	if first != from {
		return path.Join(to, clean)
	}
	return path.Join(to, rest)
}

type unpacker struct {
	root    *os.Root
	bytes   int64
	dirs    []made
	skipped func(name, why string)
}

type made struct {
	name string
	mode fs.FileMode
	time time.Time
}

func (u *unpacker) entry(name string, h *tar.Header, content io.Reader) error {
	local := filepath.FromSlash(name)
	if !filepath.IsLocal(local) {
		return errors.New("the archive leads out of the directory")
	}
	dir := h.Typeflag == tar.TypeDir
	info, err := u.root.Lstat(local)
	if errors.Is(err, fs.ErrNotExist) {
		err = u.root.MkdirAll(filepath.Dir(local), 0o755)
	}
	if err != nil {
		return err
	}
	if info != nil {
		switch {
		case info.IsDir() && !dir:
			return errors.New("cannot overwrite a directory with what is none")
		case dir && !info.IsDir():
			return errors.New("cannot overwrite with a directory what is none")
		case !dir:
			if err := u.root.Remove(local); err != nil {
				return err
			}
		}
	}
	switch h.Typeflag {
	case tar.TypeDir:
		return u.directory(local, h, info == nil)
	case tar.TypeReg:
		return u.file(local, h, content)
	case tar.TypeSymlink:
		return u.root.Symlink(h.Linkname, local)
	case tar.TypeLink:
		return u.root.Link(filepath.FromSlash(h.Linkname), local)
	}
	u.skipped(name, "it is a device, a FIFO or something else that is not copied out of a container")
	return nil
}

func (u *unpacker) directory(name string, h *tar.Header, fresh bool) error {
	if fresh {
		if err := u.root.Mkdir(name, 0o700); err != nil {
			return err
		}
	}
	u.dirs = append(u.dirs, made{name, fs.FileMode(h.Mode) & 0o777, h.ModTime})
	return nil
}

func (u *unpacker) file(name string, h *tar.Header, content io.Reader) error {
	f, err := u.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	n, err := io.Copy(f, content)
	u.bytes += n
	if err = errors.Join(err, f.Chmod(fs.FileMode(h.Mode)&0o777), f.Close()); err != nil {
		return err
	}
	return u.root.Chtimes(name, h.ModTime, h.ModTime)
}
