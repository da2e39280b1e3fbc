package cp

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Pack makes an archive of a local file or tree while it is read; top is what it is called there.
func Pack(src End, top string) io.ReadCloser {
	r, w := io.Pipe()
	go func() {
		t := tar.NewWriter(w)
		err := packTree(t, src.Path, top)
		if err == nil {
			err = t.Close()
		}
		w.CloseWithError(err)
	}()
	return r
}

func packTree(t *tar.Writer, from, top string) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		return packOne(t, path, filepath.ToSlash(filepath.Join(top, rel)), info)
	})
}

func packOne(t *tar.Writer, path, name string, info fs.FileInfo) error {
	if info.Mode()&fs.ModeSocket != 0 {
		return nil // has no place in an archive
	}
	link := ""
	if info.Mode()&fs.ModeSymlink != 0 {
		var err error
		if link, err = os.Readlink(path); err != nil {
			return err
		}
	}
	h, err := tar.FileInfoHeader(info, filepath.ToSlash(link))
	if err != nil {
		return err
	}
	h.Name, h.Uname, h.Gname = name, "", ""
	h.ModTime, h.AccessTime, h.ChangeTime, h.Format = h.ModTime.Truncate(time.Second), time.Time{}, time.Time{}, tar.FormatPAX
	if info.IsDir() {
		h.Name += "/"
	}
	if !info.Mode().IsRegular() {
		return t.WriteHeader(h)
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := t.WriteHeader(h); err != nil {
		return err
	}
	n, err := io.CopyN(t, f, h.Size)
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%s became shorter while it was read, at %d bytes", path, n)
	}
	return err
}
