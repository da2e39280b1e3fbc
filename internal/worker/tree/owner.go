package tree

import (
	"archive/tar"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// ids is how many a container has. An owner beyond them becomes its root.
const ids = 1 << 16

// owner gives the ids that an entry will have.
func (u *unpacker) owner(h *tar.Header) (uid, gid int) {
	if o := u.params.Owner; o != nil {
		return int(o.UID), int(o.GID)
	}
	uid, gid = h.Uid, h.Gid
	if uid < 0 || uid >= ids {
		uid = 0
	}
	if gid < 0 || gid >= ids {
		gid = 0
	}
	return uid, gid
}

// own sets owner and time of what cannot be opened.
func (u *unpacker) own(dir int, name string, h *tar.Header) error {
	uid, gid := u.owner(h)
	if err := unix.Fchownat(dir, name, uid, gid, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	return unix.UtimesNanoAt(dir, name, times(h.ModTime), unix.AT_SYMLINK_NOFOLLOW)
}

// finish sets owner, attributes, mode and time of an open file; the owner first, since that clears set-id bits.
func (u *unpacker) finish(fd int, h *tar.Header) error {
	uid, gid := u.owner(h)
	if err := unix.Fchown(fd, uid, gid); err != nil {
		return err
	}
	for k, v := range h.PAXRecords {
		name, ok := strings.CutPrefix(k, paxXattr)
		if !ok || !plain(name) {
			continue
		}
		if err := unix.Fsetxattr(fd, name, []byte(v), 0); err != nil && err != unix.ENOTSUP {
			return err
		}
	}
	if err := unix.Fchmod(fd, uint32(h.Mode)&0o7777); err != nil {
		return err
	}
	return unix.UtimesNanoAt(fd, "", times(h.ModTime), unix.AT_EMPTY_PATH)
}

// stamp sets the time of a directory; one that is not there any more has none.
func (u *unpacker) stamp(s stamp) {
	dir, base := path.Split(s.name)
	fd, err := u.open(strings.TrimSuffix(dir, "/"))
	if err != nil {
		return
	}
	defer unix.Close(fd)
	_ = unix.UtimesNanoAt(fd, base, times(s.time), unix.AT_SYMLINK_NOFOLLOW)
}

// times keeps within what file systems have.
func times(t time.Time) []unix.Timespec {
	ts := unix.Timespec{Sec: min(max(t.Unix(), 0), 1<<33), Nsec: int64(t.Nanosecond())}
	return []unix.Timespec{ts, ts}
}
