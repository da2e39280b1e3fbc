package fault

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// describe gives the text of a call that is a step, or "".
func (t *tracing) describe(pid int, c *callInfo) string {
	a := c.args
	at := func(name string, dir, path uint64) string {
		p := readString(pid, path)
		if !filepath.IsAbs(p) {
			p = filepath.Join(t.link(pid, dir), p)
		}
		return t.named(name, p)
	}
	of := func(name string, fd uint64) string { return t.named(name, t.link(pid, fd)) }
	switch c.nr {
	case unix.SYS_OPENAT:
		const makes = unix.O_CREAT | unix.O_TRUNC | (unix.O_TMPFILE &^ unix.O_DIRECTORY)
		if a[2]&makes == 0 {
			return ""
		}
		return at("openat", a[0], a[1])
	case unix.SYS_MKDIRAT:
		return at("mkdirat", a[0], a[1])
	case unix.SYS_UNLINKAT:
		return at("unlinkat", a[0], a[1])
	case unix.SYS_MKNODAT:
		return at("mknodat", a[0], a[1])
	case unix.SYS_FCHOWNAT:
		return at("fchownat", a[0], a[1])
	case unix.SYS_RENAMEAT, unix.SYS_RENAMEAT2:
		return at("renameat", a[2], a[3])
	case unix.SYS_LINKAT:
		return at("linkat", a[2], a[3])
	case unix.SYS_FSYNC:
		return of("fsync", a[0])
	case unix.SYS_FTRUNCATE:
		return of("ftruncate", a[0])
	case unix.SYS_WRITE, unix.SYS_PWRITE64:
		if to := t.link(pid, a[0]); strings.HasPrefix(to, "socket:") && t.roles[pid] == "brigd" {
			return "answer client"
		}
		return of("write", a[0])
	case unix.SYS_SENDMSG:
		return message(pid, a[1])
	case unix.SYS_SENDTO:
		return "sendto netlink"
	case unix.SYS_MOVE_MOUNT:
		return "move_mount"
	case unix.SYS_FSMOUNT:
		return "fsmount"
	case unix.SYS_PIDFD_SEND_SIGNAL:
		return "pidfd_send_signal"
	}
	return ""
}

// link is what a descriptor, or AT_FDCWD, leads to.
func (t *tracing) link(pid int, fd uint64) string {
	path := fmt.Sprintf("/proc/%d/fd/%d", pid, int32(fd))
	if int32(fd) == unix.AT_FDCWD {
		path = fmt.Sprintf("/proc/%d/cwd", pid)
	}
	to, _ := os.Readlink(path)
	return to
}

// named is a step on a file that matters: the engine's, a control group's, a process's.
func (t *tracing) named(call, path string) string {
	if path = t.Engine.short(path); path == "" {
		return ""
	}
	return call + " " + path
}

// message names what goes over a connection between the engine's processes: the operation, or an answer.
func message(pid int, msghdr uint64) string {
	head := read(pid, msghdr, 32) // name, length, iov, count
	if len(head) < 32 {
		return "sendmsg"
	}
	iov := read(pid, binary.NativeEndian.Uint64(head[16:]), 16)
	if len(iov) < 16 {
		return "sendmsg"
	}
	text := read(pid, binary.NativeEndian.Uint64(iov), int(min(binary.NativeEndian.Uint64(iov[8:]), 120)))
	if _, rest, ok := strings.Cut(string(text), `"op":"`); ok {
		op, _, _ := strings.Cut(rest, `"`)
		return "ask " + op
	}
	if strings.HasPrefix(string(text), `{"id":`) {
		return "answer"
	}
	return "sendmsg"
}

func read(pid int, from uint64, n int) []byte {
	if n == 0 {
		return nil
	}
	b := make([]byte, n)
	local := []unix.Iovec{{Base: &b[0], Len: uint64(n)}}
	n, err := unix.ProcessVMReadv(pid, local, []unix.RemoteIovec{{Base: uintptr(from), Len: n}}, 0)
	if err != nil {
		return nil
	}
	return b[:n]
}

// readString reads up to a zero byte, never over the end of a page that may be the last.
func readString(pid int, from uint64) string {
	var s []byte
	for len(s) < unix.PathMax {
		b := read(pid, from, int(4096-from%4096))
		if i := slices.Index(b, 0); i >= 0 || len(b) == 0 {
			return string(append(s, b[:max(i, 0)]...))
		}
		s, from = append(s, b...), from+uint64(len(b))
	}
	return string(s)
}
