// Package walk goes through the directories of a stranger's tree by descriptor, within bounds.
//
// Zone: brig-worker. Input: a directory whose names a stranger chose. Output: the names, one by one, for who resolves them below
// that directory. Answers: A4 (a tree without an end).
package walk

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// Walk is one, and what it may meet at most.
type Walk struct {
	MaxEntries, MaxDepth int

	entries int
}

// Directory calls entry for each name in a directory that is so deep in the tree, until one fails.
func (w *Walk) Directory(dir, depth int, entry func(name string) error) error {
	if depth > w.MaxDepth {
		return fmt.Errorf("more than %d directories deep", w.MaxDepth)
	}
	names, err := names(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if w.entries++; w.entries > w.MaxEntries {
			return fmt.Errorf("more than %d files", w.MaxEntries)
		}
		if err := entry(name); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// names reads a directory by a copy of its descriptor, and opens nothing.
func names(dir int) ([]string, error) {
	fd, err := unix.FcntlInt(uintptr(dir), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "directory")
	defer f.Close()
	if _, err := f.Seek(0, io.SeekStart); err != nil { // both have one place
		return nil, err
	}
	return f.Readdirnames(-1)
}
