package room

import (
	"debug/buildinfo"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Peers are where engines come from: packages that were unpacked, programs that were built, or the machine itself.
type Peers struct{ packages, built string }

// FindPeers says where they are; there may be none yet.
func FindPeers() (Peers, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return Peers{}, fmt.Errorf("place for the peers: %w", err)
	}
	base := filepath.Join(cache, "brig-bench")
	return Peers{packages: filepath.Join(base, "debian"), built: filepath.Join(base, "newest")}, nil
}

// Cache is a directory of a person's for what is dear to make and the same in every run.
func Cache(name string) (dir string, err error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir = filepath.Join(base, name)
	return dir, os.MkdirAll(dir, 0o755)
}

// SystemPath is PATH of a program that has nothing to do with the peers.
const SystemPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Path is PATH in a room. The distribution's docker.io must not meet a newer client in /usr/local; a newer moby must.
func (d Peers) Path(newest bool) string {
	if newest {
		return d.built + ":" + SystemPath
	}
	return "/usr/sbin:/usr/bin:/sbin:/bin"
}

// Tree is the directory to lay over the machine's /usr and /etc, if there is one.
func (d Peers) Tree() string {
	if _, err := os.Stat(filepath.Join(d.packages, "usr")); err != nil {
		return ""
	}
	return d.packages
}

// look finds a program as a room will.
func (d Peers) look(name string, newest bool) (string, error) {
	if filepath.IsAbs(name) {
		_, err := os.Stat(name)
		return name, err
	}
	for dir := range strings.SplitSeq(d.Path(newest), ":") {
		candidates := []string{filepath.Join(dir, name)}
		if dir != d.built {
			candidates = []string{filepath.Join(d.packages, dir, name), candidates[0]}
		}
		for _, file := range candidates {
			if s, err := os.Stat(file); err == nil && s.Mode().IsRegular() && s.Mode()&0o111 != 0 {
				return file, nil
			}
		}
	}
	return "", fmt.Errorf("%s is not installed", name)
}

// CopyInto copies Brig's programs, in bin, and the newest peers' into a directory, and says where Brig's are then.
func (d *Peers) CopyInto(dir, bin string) (string, error) {
	installed, built := filepath.Join(dir, "bin"), filepath.Join(dir, "peers")
	if err := errors.Join(copyPrograms(bin, installed), copyPrograms(d.built, built)); err != nil {
		return "", err
	}
	d.built = built
	return installed, nil
}

// copyPrograms makes programs as they are where they were installed: files that were written from their beginning to
// their end. Those that a linker has just written, through a mapping, are in the page cache in pieces, which makes each
// start of them slower. A directory that is not there has no programs.
func copyPrograms(from, to string) error {
	files, err := os.ReadDir(from)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Mkdir(to, 0o755); err != nil {
		return err
	}
	for _, f := range files {
		if !f.Type().IsRegular() {
			continue
		}
		program, err := os.ReadFile(filepath.Join(from, f.Name()))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(to, f.Name()), program, 0o755); err != nil {
			return err
		}
	}
	return nil
}

// builtVersion is the module version that a Go program was built as, or "".
func builtVersion(file string) string {
	info, err := buildinfo.ReadFile(file)
	if err != nil || info.Main.Version == "(devel)" || strings.Contains(info.Main.Version, "+") {
		return ""
	}
	return info.Main.Version
}

// saidVersion takes the version out of what a program prints: the first word of its first line that begins with a
// digit.
func saidVersion(text string) string {
	for word := range strings.FieldsSeq(FirstLine(text)) {
		if word[0] >= '0' && word[0] <= '9' {
			return strings.TrimSuffix(word, ",")
		}
	}
	return "unknown"
}
