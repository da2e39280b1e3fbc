package tree

import (
	"io/fs"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/wire/jobs"
)

// describe makes the API's description of a file.
func describe(root int, at *spot, p, base string, st *unix.Stat_t) *jobs.PathStat {
	out := &jobs.PathStat{Name: base, Size: st.Size, Mode: uint32(mode(st.Mode)), MTime: st.Mtim.Sec, MTimeNs: st.Mtim.Nsec}
	if st.Mode&unix.S_IFMT == unix.S_IFLNK {
		out.LinkTarget = target(root, p)
	}
	return out
}

// mode is the kernel's as Go and the API write it.
func mode(m uint32) fs.FileMode {
	out := fs.FileMode(m & 0o777)
	for bit, means := range map[uint32]fs.FileMode{unix.S_ISUID: fs.ModeSetuid, unix.S_ISGID: fs.ModeSetgid, unix.S_ISVTX: fs.ModeSticky} {
		if m&bit != 0 {
			out |= means
		}
	}
	switch m & unix.S_IFMT {
	case unix.S_IFDIR:
		out |= fs.ModeDir
	case unix.S_IFLNK:
		out |= fs.ModeSymlink
	case unix.S_IFIFO:
		out |= fs.ModeNamedPipe
	case unix.S_IFSOCK:
		out |= fs.ModeSocket
	case unix.S_IFBLK:
		out |= fs.ModeDevice
	case unix.S_IFCHR:
		out |= fs.ModeDevice | fs.ModeCharDevice
	}
	return out
}
