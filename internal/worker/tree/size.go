package tree

import (
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/wire/jobs"
	"github.com/brig-engine/brig/internal/worker/toc"
)

// sizer adds up the lengths of files, as Docker does: those with several names once, and holes in full.
type sizer struct {
	limit          int64
	bytes, entries int64
	seen           map[[2]uint64]bool // device and number of files with several names
}

// size is that of all that the container has written.
func (w *work) size() (*jobs.TreeResult, error) {
	s := &sizer{limit: w.limits.MaxEntries, seen: map[[2]uint64]bool{}}
	if err := s.directory(w.changed, 0); err != nil {
		return nil, err
	}
	return &jobs.TreeResult{Entries: s.entries, Bytes: s.bytes}, nil
}

func (s *sizer) directory(dir, depth int) error {
	if depth > maxDepth {
		return toc.Exceeded("directories in each other", maxDepth)
	}
	names, err := list(dir)
	if err != nil {
		return err
	}
	if s.entries += int64(len(names)); s.entries > s.limit {
		return toc.Exceeded("files", s.limit)
	}
	for _, name := range names {
		if err := s.name(dir, name, depth); err != nil {
			return err
		}
	}
	return nil
}

func (s *sizer) name(dir int, name string, depth int) error {
	var st unix.Stat_t
	if unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
		return nil // it went while it was looked for
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		file := [2]uint64{st.Dev, st.Ino}
		if st.Nlink == 1 || !s.seen[file] {
			s.bytes += st.Size
		}
		if st.Nlink > 1 {
			s.seen[file] = true
		}
	case unix.S_IFDIR:
		fd, err := below(dir, name, openDir, 0)
		if vanished(err) {
			return nil
		}
		if err != nil {
			return classify(err)
		}
		defer unix.Close(fd)
		return s.directory(fd, depth+1)
	}
	return nil
}
