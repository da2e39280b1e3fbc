// Package label gives what a caller lends to a container an SELinux label, file by file.
//
// Zone: brig-worker, as root of the container's own user namespace; no other file system than what it was given, where the ids
// of the caller are mapped and nobody else's.
// Input: a file or a directory of the caller's, which other processes may change meanwhile, containers too. Output: labels.
// Spec: -v of z and Z, as Docker has them. Answers: A3 (a link, or a directory moved away, leads to nothing else: all goes by
// descriptor, and the last part of a name is never followed).
package label

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/wire/jobs"
	"github.com/brig-engine/brig/internal/worker/walk"
)

// Bounds of what is walked.
const (
	maxEntries = 10_000_000
	maxDepth   = 256
)

const attribute = "security.selinux"

// Job carries out wire.JobLabel.
func Job(t *jobs.Task) (*jobs.Result, error) {
	if len(t.Files) != 1 {
		return nil, errors.New("label needs one file or directory")
	}
	if err := Tree(t.Files[0], t.Label); err != nil {
		return nil, err
	}
	return &jobs.Result{}, nil
}

// Tree labels a file, or a directory with all that is in it.
func Tree(top *os.File, label string) error {
	w := &walker{label: []byte(label), walk: walk.Walk{MaxEntries: maxEntries, MaxDepth: maxDepth}}
	var st unix.Stat_t
	fd := int(top.Fd())
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if err := unix.Fsetxattr(fd, attribute, w.label, 0); err != nil {
		return fmt.Errorf("set %s: %w", label, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return nil
	}
	return w.directory(fd, 0)
}

type walker struct {
	label []byte
	walk  walk.Walk
}

// directory labels what is in a directory, and goes into those in it.
func (w *walker) directory(dir, depth int) error {
	return w.walk.Directory(dir, depth, func(name string) error { return w.entry(dir, name, depth) })
}

// entry labels one name: lsetxattr takes a path, which is the name in the directory that this process is in. What is not the
// caller's keeps its label, with all that is in it.
func (w *walker) entry(dir int, name string, depth int) error {
	if err := unix.Fchdir(dir); err != nil {
		return err
	}
	// What is mounted there is not what was lent, and stays so: no mount comes to this copy, and none goes.
	fd, err := openat2(dir, name, unix.O_PATH|unix.O_NOFOLLOW)
	if err != nil {
		return gone(err)
	}
	unix.Close(fd)
	err = unix.Lsetxattr(name, attribute, w.label, 0)
	if errors.Is(err, unix.EPERM) { // somebody else's
		return nil
	}
	if err != nil {
		return gone(err)
	}
	fd, err = openat2(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW)
	if err != nil {
		return gone(err)
	}
	defer unix.Close(fd)
	return w.directory(fd, depth+1)
}

func openat2(dir int, name string, flags uint64) (int, error) {
	return unix.Openat2(dir, name, &unix.OpenHow{Flags: flags | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_XDEV | unix.RESOLVE_NO_SYMLINKS})
}

// gone forgives what is not there any more, what is no directory and what is mounted there.
func gone(err error) error {
	for _, e := range []error{unix.ENOENT, unix.ENOTDIR, unix.ELOOP, unix.EXDEV} {
		if errors.Is(err, e) {
			return nil
		}
	}
	return err
}
