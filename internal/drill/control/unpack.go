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

// imageConfig is what an image says of the containers made of it.
type imageConfig struct {
	Volumes    map[string]any
	Labels     map[string]string
	Env        []string
	User       string
	WorkingDir string
}

// readArchive takes the first image out of an archive, believing everything.
func readArchive(r io.Reader) (name string, layers [][]byte, config imageConfig, err error) {
	files := map[string][]byte{}
	t := tar.NewReader(r)
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", nil, config, err
		}
		if files[h.Name], err = io.ReadAll(t); err != nil {
			return "", nil, config, err
		}
	}
	var manifest []struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	if err := json.Unmarshal(files["manifest.json"], &manifest); err != nil {
		return "", nil, config, fmt.Errorf("manifest.json: %w", err)
	}
	if len(manifest) == 0 || len(manifest[0].RepoTags) == 0 {
		return "", nil, config, errors.New("manifest.json names no image")
	}
	for _, l := range manifest[0].Layers {
		layers = append(layers, files[l])
	}
	var whole struct{ Config imageConfig }
	if err := json.Unmarshal(files[manifest[0].Config], &whole); err != nil {
		return "", nil, config, fmt.Errorf("%s: %w", manifest[0].Config, err)
	}
	return manifest[0].RepoTags[0], layers, whole.Config, nil
}

// fillVolume is the mistake of CVE-2022-23648: what is copied to the new volume lies where the image's link leads.
func fillVolume(at string) error {
	content := map[string][]byte{}
	entries, err := os.ReadDir(at)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if content[e.Name()], err = os.ReadFile(at + "/" + e.Name()); err != nil {
			return err
		}
	}
	if err := os.Remove(at); err != nil {
		return err
	}
	if err := os.Mkdir(at, 0o755); err != nil {
		return err
	}
	for name, text := range content {
		if err := os.WriteFile(at+"/"+name, text, 0o644); err != nil {
			return err
		}
	}
	return nil
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
				err = writeFile(to, content, h)
			}
		case tar.TypeSymlink:
			if err = os.RemoveAll(to); err == nil { // what a lower layer has there
				err = os.Symlink(h.Linkname, to)
			}
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

// writeFile keeps the mode and what rights the file gives.
func writeFile(to string, content []byte, h *tar.Header) error {
	err := os.WriteFile(to, content, h.FileInfo().Mode())
	if err == nil {
		err = os.Chmod(to, h.FileInfo().Mode())
	}
	const attribute = "security.capability"
	if rights := h.PAXRecords["SCHILY.xattr."+attribute]; rights != "" && err == nil {
		err = unix.Setxattr(to, attribute, []byte(rights), 0)
	}
	return err
}
