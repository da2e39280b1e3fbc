package rootfs

import (
	"cmp"
	"encoding/binary"
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/clone"
	"github.com/brig-engine/brig/internal/kernel/cred"
	"github.com/brig-engine/brig/internal/kernel/path"
)

// OpenHostPath opens an absolute host path as the caller could: in a child that has his ids and no capability, and that
// is killed when the file system behind the path does not answer in time (T2, T10). The descriptor is O_PATH; or it is a
// connection to the unix socket that is there, for which the caller needs the right to write to it.
func OpenHostPath(name string, c cred.Peer, connect bool) (int, error) {
	fd, err := openAs(name, c, connect)
	var step *clone.StepError
	if errors.As(err, &step) {
		err = cmp.Or(step.Unwrap(), err) // the errno; ETIMEDOUT where nobody answers
	}
	if err != nil {
		err = &os.PathError{Op: "open", Path: name, Err: err}
	}
	return fd, err
}

func openAs(name string, c cred.Peer, connect bool) (int, error) {
	if len(name) == 0 || name[0] != '/' || len(name) >= unix.PathMax {
		return -1, unix.EINVAL
	}
	child := clone.NewChild(0)
	defer child.Kill()
	if err := child.Start(opener(name, c, connect), nil); err != nil {
		return -1, err
	}
	return child.Await()
}

// opener is the child: supplementary groups, ids, no capability (root keeps the rights of its id alone), open, send.
func opener(name string, c cred.Peer, connect bool) *clone.Program {
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
	open := clone.Do(unix.SYS_OPENAT2, 0, p.String(name), words, unix.SizeofOpenHow)
	if connect { // a link of /proc leads to nothing that the caller could not reach: this child has no capability, and one socket
		socket, _ := p.NewSlot()
		p.Add(clone.Step{Nr: unix.SYS_SOCKET, Args: [6]uintptr{unix.AF_UNIX, unix.SOCK_STREAM | unix.SOCK_CLOEXEC}, Out: socket})
		at := append(binary.NativeEndian.AppendUint16(nil, unix.AF_UNIX), name+"\x00"...)
		p.Add(clone.Step{Nr: unix.SYS_CONNECT, Args: [6]uintptr{0, p.Bytes(at), uintptr(len(at))}, From: [6]clone.Slot{socket}})
		open = clone.Step{Nr: unix.SYS_FCNTL, Args: [6]uintptr{0, unix.F_DUPFD_CLOEXEC}, From: [6]clone.Slot{socket}}
	}
	p.SendFD(open)
	return p
}
