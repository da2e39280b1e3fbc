// Package cp is the local side of copying from and to a container: what a path means, packing a local tree, unpacking an
// archive that came out of a container.
//
// Zone: the command line, as whoever types, often root. Input: an archive that a hostile container may have shaped.
// Output: files below the directory that was named, and nowhere else. Spec: docker cp. Answers: A3 (an archive that
// leads out by "..", by links or by set-user-id files).
package cp

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Split takes CONTAINER:PATH apart; container is "" for a local path. As docker: what begins with a slash or a dot is
// local, whatever colons follow.
func Split(arg string) (container, path string) {
	if filepath.IsAbs(arg) {
		return "", arg
	}
	container, path, ok := strings.Cut(arg, ":")
	if !ok || strings.HasPrefix(container, ".") {
		return "", arg
	}
	return container, path
}

// End is one end of a copy.
type End struct {
	Path   string
	Exists bool
	IsDir  bool
	// Rename is the last name of the path that was asked for, where a link was followed that is called otherwise.
	Rename string
}

// Errors in docker's words.
var (
	errDirectoryToFile = errors.New("cannot copy directory")
	errNoDirectory     = errors.New("no such directory")
	errNotDirectory    = errors.New("not a directory")
)

// Entry takes the last name off a path; "/." at its end is one: "the content of".
func Entry(path string) (dir, base string) {
	clean := filepath.Clean(path)
	if filepath.Base(path) == "." || path == "." || strings.HasSuffix(path, "/.") {
		clean = strings.TrimSuffix(clean, "/") + "/."
		return filepath.Clean(strings.TrimSuffix(clean, ".")), "."
	}
	return filepath.Dir(clean), filepath.Base(clean)
}

// wantsDirectory tells whether a path is spelled as one of a directory.
func wantsDirectory(path string) bool {
	return strings.HasSuffix(path, "/") || strings.HasSuffix(path, "/.") || path == "."
}

// Plan says which directory an archive of src is unpacked in, so that it becomes dst, and what its top is called then.
func Plan(src, dst End) (dir, top string, err error) {
	_, top = Entry(src.Path)
	if src.Rename != "" {
		top = src.Rename
	}
	if top == "/" { // its entries have no common name
		top = "."
	}
	dstDir, dstBase := Entry(dst.Path)
	switch {
	case dst.Exists && dst.IsDir:
		return dst.Path, top, nil
	case dst.Exists && src.IsDir:
		return "", "", errDirectoryToFile
	case !dst.Exists && !src.IsDir && wantsDirectory(dst.Path):
		return "", "", errNoDirectory
	}
	return dstDir, dstBase, nil
}

// LocalSource looks at what is to be copied.
func LocalSource(path string, follow bool) (End, error) {
	at, rename := path, ""
	if follow {
		real, err := filepath.EvalSymlinks(path)
		if err != nil {
			return End{}, err
		}
		if at = real; filepath.Base(path) != filepath.Base(real) && !wantsDirectory(path) {
			rename = filepath.Base(filepath.Clean(path))
		}
		if strings.HasSuffix(path, "/.") || path == "." {
			at += "/."
		}
	}
	info, err := os.Lstat(at)
	if err != nil {
		return End{}, err
	}
	if wantsDirectory(at) {
		if info, err = os.Stat(at); err != nil {
			return End{}, err
		}
		if !info.IsDir() {
			return End{}, errNotDirectory
		}
	}
	return End{Path: at, Exists: true, IsDir: info.IsDir(), Rename: rename}, nil
}

// LocalTarget looks at where something is to be copied. Links are followed; its parent must be there.
func LocalTarget(path string) (End, error) {
	info, err := os.Stat(path)
	if err == nil {
		if wantsDirectory(path) && !info.IsDir() {
			return End{}, errNotDirectory
		}
		if !info.IsDir() && !info.Mode().IsRegular() {
			return End{}, fmt.Errorf("%s is neither a file nor a directory", path)
		}
		real, err := filepath.EvalSymlinks(path)
		return End{Path: real, Exists: true, IsDir: info.IsDir()}, err
	}
	dir, _ := Entry(path)
	if parent, perr := os.Stat(dir); !errors.Is(err, os.ErrNotExist) || perr != nil || !parent.IsDir() {
		return End{}, fmt.Errorf("invalid output path: directory %q does not exist", dir)
	}
	return End{Path: path}, nil
}
