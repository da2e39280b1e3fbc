package rootfs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/clone"
	"github.com/brig-engine/brig/internal/kernel/cred"
	"github.com/brig-engine/brig/internal/kernel/path"
)

// OpenHostPath opens an absolute host path as the caller could: in a child that has his ids and no capability, and that
// is killed when the file system behind the path does not answer in time (T2, T10). The descriptor is O_PATH.
func OpenHostPath(name string, c cred.Peer) (int, error) {
	fd, err := openAs(name, c)
	if err != nil {
		var step *clone.StepError
		if errors.As(err, &step) && step.Cause == clone.Late {
			return -1, fmt.Errorf("open %s: the file system did not answer within %v: %w", name, clone.Patience, err)
		}
		if errors.As(err, &step) && step.Errno != 0 {
			err = step.Errno
		}
		return -1, &os.PathError{Op: "open", Path: name, Err: err}
	}
	return fd, nil
}

func openAs(name string, c cred.Peer) (int, error) {
	if len(name) == 0 || name[0] != '/' || len(name) >= unix.PathMax {
		return -1, unix.EINVAL
	}
	child := clone.NewChild(0)
	defer child.Kill()
	if err := child.Start(opener(name, c), nil); err != nil {
		return -1, err
	}
	return child.Await()
}

// opener is the child: supplementary groups, ids, no capability (root keeps the rights of its id alone), open, send.
func opener(name string, c cred.Peer) *clone.Program {
	p := clone.New()
	groups := make([]byte, 0, 4*len(c.Groups))
	for _, g := range c.Groups {
		groups = binary.NativeEndian.AppendUint32(groups, g)
	}
	gid, uid := uintptr(c.GID), uintptr(c.UID)
	p.Add(clone.Do(unix.SYS_SETGROUPS, uintptr(len(c.Groups)), p.Bytes(groups)))
	p.Add(clone.Do(unix.SYS_SETRESGID, gid, gid, gid))
	p.Add(clone.Do(unix.SYS_SETRESUID, uid, uid, uid))
	header := binary.NativeEndian.AppendUint32(nil, unix.LINUX_CAPABILITY_VERSION_3)
	p.Add(clone.Do(unix.SYS_CAPSET, p.Bytes(append(header, 0, 0, 0, 0)), p.Bytes(make([]byte, 24))))
	p.Add(clone.Do(unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 0))
	how := path.How(unix.O_PATH, 0, unix.RESOLVE_NO_MAGICLINKS)
	words := p.Words([]uintptr{uintptr(how.Flags), uintptr(how.Mode), uintptr(how.Resolve)})
	p.SendFD(clone.Do(unix.SYS_OPENAT2, 0, p.String(name), words, unix.SizeofOpenHow))
	return p
}
