package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/brig-engine/brig/test/room"
)

// images are the files that all engines get.
type images struct {
	busybox      string // a static busybox of this machine
	small, large string // archives as `docker save` writes them; large may be ""
	largeLayer   string // the compressed layer of the large one
}

const largeFiles = 13_000

func makeImages(dir string, largeMB int) (*images, error) {
	busybox, err := staticBusybox()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	m := &images{busybox: busybox, small: filepath.Join(dir, "small.tar")}
	small := filepath.Join(dir, "small.layer")
	id, err := writeLayer(small, busybox, 0, false)
	if err == nil {
		err = writeArchive(m.small, smallImage, small, id)
	}
	if err != nil || largeMB == 0 {
		return m, err
	}
	room.Note("making an image of %d MB", largeMB)
	m.large, m.largeLayer = filepath.Join(dir, "large.tar"), filepath.Join(dir, "large.layer")
	if id, err = writeLayer(m.largeLayer, busybox, int64(largeMB)<<20, true); err != nil {
		return m, err
	}
	return m, writeArchive(m.large, largeImage, m.largeLayer, id)
}

// staticBusybox finds a busybox that needs no other file.
func staticBusybox() (string, error) {
	for _, path := range []string{"/bin/busybox", "/usr/bin/busybox", "/bin/busybox.static", "/usr/local/bin/busybox"} {
		f, err := elf.Open(path)
		if err != nil {
			continue
		}
		static := true
		for _, p := range f.Progs {
			static = static && p.Type != elf.PT_INTERP
		}
		f.Close()
		if static {
			return path, nil
		}
	}
	return "", errors.New("the containers run a static busybox, " +
		"and there is none. Next: apt-get install busybox-static")
}

// layer writes a tar and knows the digest of its uncompressed bytes.
type layer struct {
	tar    *tar.Writer
	gzip   *gzip.Writer // nil: not compressed
	digest hash.Hash
	file   *os.File
}

// writeLayer writes busybox, its links, the usual directories, and size bytes of further files. It returns the digest
// of the uncompressed tar, in hex. The same arguments make the same bytes.
func writeLayer(path, busybox string, size int64, compress bool) (id string, err error) {
	f, err := os.Create(path)
	if err != nil {
		return "", err
	}
	l := &layer{digest: sha256.New(), file: f}
	defer func() { err = errors.Join(err, f.Close()) }()
	var out io.Writer = f
	if compress {
		if l.gzip, err = gzip.NewWriterLevel(f, gzip.BestSpeed); err != nil {
			return "", err
		}
		out = l.gzip
	}
	l.tar = tar.NewWriter(io.MultiWriter(out, l.digest))
	if err := l.root(busybox); err != nil {
		return "", err
	}
	if size > 0 {
		if err := l.fill(size); err != nil {
			return "", err
		}
	}
	if err := l.tar.Close(); err != nil {
		return "", err
	}
	if l.gzip != nil {
		if err := l.gzip.Close(); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(l.digest.Sum(nil)), nil
}

// add writes one entry. The time is fixed so that the bytes are.
func (l *layer) add(h tar.Header, content []byte) error {
	h.ModTime, h.Size, h.Format = time.Unix(1700000000, 0), int64(len(content)), tar.FormatUSTAR
	if err := l.tar.WriteHeader(&h); err != nil {
		return err
	}
	_, err := l.tar.Write(content)
	return err
}

// The root that all containers run: archives get it as entries, bundles as files.
var (
	rootDirs  = []string{"bin", "dev", "etc", "proc", "run", "sys", "tmp", "var"}
	rootLinks = []string{"true", "sleep", "sh"}
)

func (l *layer) root(busybox string) error {
	program, err := os.ReadFile(busybox)
	if err != nil {
		return err
	}
	for _, d := range rootDirs {
		if err := l.add(tar.Header{Typeflag: tar.TypeDir, Name: d + "/", Mode: 0o755}, nil); err != nil {
			return err
		}
	}
	if err := l.add(tar.Header{Typeflag: tar.TypeReg, Name: "bin/" + room.IdleProgram, Mode: 0o755}, program); err != nil {
		return err
	}
	for _, name := range rootLinks {
		h := tar.Header{Typeflag: tar.TypeSymlink, Name: "bin/" + name, Linkname: room.IdleProgram, Mode: 0o777}
		if err := l.add(h, nil); err != nil {
			return err
		}
	}
	return nil
}

// fill writes largeFiles files of together about size bytes. Their sizes differ by up to a factor of 16, and gzip makes
// about a third of them, as it does of programs and text.
func (l *layer) fill(size int64) error {
	random := rand.New(rand.NewPCG(1, 2))
	words := make([][]byte, 4096)
	for i := range words {
		words[i] = make([]byte, 3+random.IntN(9))
		for j := range words[i] {
			words[i][j] = byte(random.IntN(256))
		}
	}
	const perDir = 100
	if err := l.add(tar.Header{Typeflag: tar.TypeDir, Name: "data/", Mode: 0o755}, nil); err != nil {
		return err
	}
	var content bytes.Buffer
	for i := range largeFiles {
		dir := fmt.Sprintf("data/%03d/", i/perDir)
		if i%perDir == 0 {
			if err := l.add(tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: 0o755}, nil); err != nil {
				return err
			}
		}
		content.Reset()
		want := int(size / largeFiles * int64(1+random.IntN(16)) * 2 / 17)
		for content.Len() < want {
			content.Write(words[random.IntN(len(words))])
		}
		h := tar.Header{Typeflag: tar.TypeReg, Name: fmt.Sprintf("%s%05d", dir, i), Mode: 0o644}
		if err := l.add(h, content.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

// writeArchive packs one layer as `docker save` does: a configuration, the layer, and a manifest that names both.
func writeArchive(path, name, layerPath, id string) (err error) {
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH, "os": "linux", "created": "2023-11-14T22:13:20Z",
		"config":  map[string]any{"Env": []string{"PATH=/bin"}, "Cmd": []string{"true"}},
		"rootfs":  map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + id}},
		"history": []any{map[string]any{"created": "2023-11-14T22:13:20Z"}},
	})
	if err != nil {
		return err
	}
	sum := sha256.Sum256(config)
	configName, layerName := hex.EncodeToString(sum[:])+".json", id+"/layer.tar"
	manifest, err := json.Marshal([]any{map[string]any{
		"Config": configName, "RepoTags": []string{name}, "Layers": []string{layerName},
	}})
	if err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	l := &layer{tar: tar.NewWriter(f)}
	if err := l.add(tar.Header{Typeflag: tar.TypeReg, Name: configName, Mode: 0o644}, config); err != nil {
		return err
	}
	if err := l.addFile(layerName, layerPath); err != nil {
		return err
	}
	if err := l.add(tar.Header{Typeflag: tar.TypeReg, Name: "manifest.json", Mode: 0o644}, manifest); err != nil {
		return err
	}
	return l.tar.Close()
}

func (l *layer) addFile(name, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	s, err := f.Stat()
	if err != nil {
		return err
	}
	h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: s.Size(), ModTime: time.Unix(1700000000, 0)}
	if err := l.tar.WriteHeader(h); err != nil {
		return err
	}
	_, err = io.Copy(l.tar, f)
	return err
}
