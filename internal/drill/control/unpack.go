package control

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// readArchive takes the first image out of an archive, believing everything.
func readArchive(r io.Reader) (name string, layers [][]byte, err error) {
	files := map[string][]byte{}
	t := tar.NewReader(r)
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", nil, err
		}
		if files[h.Name], err = io.ReadAll(t); err != nil {
			return "", nil, err
		}
	}
	var manifest []struct {
		RepoTags []string
		Layers   []string
	}
	if err := json.Unmarshal(files["manifest.json"], &manifest); err != nil {
		return "", nil, fmt.Errorf("manifest.json: %w", err)
	}
	if len(manifest) == 0 || len(manifest[0].RepoTags) == 0 {
		return "", nil, errors.New("manifest.json names no image")
	}
	for _, l := range manifest[0].Layers {
		layers = append(layers, files[l])
	}
	return manifest[0].RepoTags[0], layers, nil
}

// unpack is the mistake of the first container engines: entries become paths below root by putting strings together.
// The drill's archives aim at nothing but the drill's own canary directory.
func unpack(root string, layer []byte) error {
	t := tar.NewReader(bytes.NewReader(layer))
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		to := root + "/" + h.Name
		if path.IsAbs(h.Name) {
			to = h.Name
		}
		if h.Typeflag != tar.TypeDir && !strings.Contains(h.Name, "..") {
			if err := os.MkdirAll(path.Dir(to), 0o755); err != nil {
				return err
			}
		}
		switch h.Typeflag {
		case tar.TypeDir:
			err = os.MkdirAll(to, 0o755)
		case tar.TypeReg:
			content, readErr := io.ReadAll(t)
			if err = readErr; err == nil {
				err = os.WriteFile(to, content, h.FileInfo().Mode())
			}
		case tar.TypeSymlink:
			err = os.Symlink(h.Linkname, to)
		case tar.TypeLink:
			from := h.Linkname
			if !path.IsAbs(from) {
				from = root + "/" + from
			}
			err = os.Link(from, to)
		case tar.TypeBlock:
			err = unix.Mknod(to, unix.S_IFBLK|0o666, int(unix.Mkdev(uint32(h.Devmajor), uint32(h.Devminor))))
		}
		if err != nil {
			return err
		}
	}
}
