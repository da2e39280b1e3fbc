package cli

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// writeFile writes path as a whole or not at all: a file that was there stays until the new one is complete.
func writeFile(path string, r io.Reader) error {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_, err = io.Copy(f, r)
		return errors.Join(err, f.Close())
	}
	tmp, err := createTemp(path)
	if err != nil {
		return err
	}
	_, err = io.Copy(tmp, r)
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		os.Remove(tmp.Name())
	}
	return err
}

// createTemp makes a file beside path, which only its owner can read until it has its name.
func createTemp(path string) (*os.File, error) {
	return os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
}

// packLayout makes a tar of an OCI layout directory while it is read.
func packLayout(dir string) (io.ReadCloser, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	if _, err := root.Stat("oci-layout"); err != nil {
		root.Close()
		return nil, fmt.Errorf("%s is a directory without an oci-layout file. Next: give an archive, or an OCI layout", dir)
	}
	r, w := io.Pipe()
	go func() {
		defer root.Close()
		w.CloseWithError(writeLayout(w, root))
	}()
	return r, nil
}

// writeLayout packs the files of a layout in the order of their names, so that the same layout is always the same
// archive. Everything stays below root: a link that leads out of it is an error.
func writeLayout(w io.Writer, root *os.Root) error {
	t := tar.NewWriter(w)
	err := fs.WalkDir(root.FS(), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		return packFile(t, root, path)
	})
	if err != nil {
		return err
	}
	return t.Close()
}

func packFile(t *tar.Writer, root *os.Root, path string) error {
	f, err := root.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s: an OCI layout has regular files only", path)
	}
	if err := t.WriteHeader(&tar.Header{Name: path, Mode: 0o644, Size: info.Size()}); err != nil {
		return err
	}
	_, err = io.CopyN(t, f, info.Size())
	return err
}
