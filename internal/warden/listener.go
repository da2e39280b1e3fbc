package warden

import (
	"encoding/json"
	"fmt"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/cred"
	"github.com/brig-engine/brig/internal/warden/rootfs"
)

// listen connects to the listener of the process's filter, if there is one. It is told the container process state of the OCI
// runtime specification and gets the descriptor that the kernel makes with the filter, which the child shows.
func (p *program) listen() error {
	f, child := p.want.Filter, p.entry.child
	if f == nil || !f.Notify {
		return nil
	}
	socket, as := filepath.Join(p.w.cfg.Run, "daemon", f.Listener), cred.Peer{UID: brigdID, GID: brigdID}
	if filepath.IsAbs(f.Listener) {
		socket, as = f.Listener, cred.Peer(*p.by)
	}
	conn, err := rootfs.OpenHostPath(socket, as, true)
	if err != nil {
		return fmt.Errorf("the listener of the seccomp profile: %w", err)
	}
	p.own = append(p.own, conn)
	child.Offered = func(fd int) error {
		status, first := "creating", child.PID
		if n := p.c.note; n != nil && n.pidfd >= 0 { // an execution
			status, first = "running", n.Started.PID
		}
		metadata, _ := json.Marshal(f.Metadata) // a string can be written
		const text = `{"ociVersion":"1.2.0","fds":["seccompFd"],"pid":%d,"metadata":%s,"state":{"ociVersion":"1.2.0","id":%q,"status":%q,"pid":%d,"bundle":""}}`
		return unix.Sendmsg(conn, fmt.Appendf(nil, text, child.PID, metadata, p.c.id, status, first), unix.UnixRights(fd), nil, unix.MSG_NOSIGNAL)
	}
	return nil
}
