package birth

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/calls"
)

// Device is a node that the container gets.
type Device struct {
	Path string
	Mode uint32 // with the type: S_IFCHR, S_IFBLK or S_IFIFO
	Dev  uint64
	UID  uint32
	GID  uint32
}

// devices makes the nodes and links of /dev. Below a user namespace nobody can make nodes: the host's are bound.
func (l *List) devices(in *Input) {
	for i, d := range in.Devices {
		what := "make the device " + d.Path
		if in.UserNS {
			l.attach(what, calls.Ref(fmt.Sprintf("<dev%d>", i)), l.target(d.Path, true))
			continue
		}
		parent, name := l.above(what, d.Path)
		there := l.label("there")
		l.do(what, unix.SYS_MKNODAT, parent, name, int(d.Mode), int(d.Dev)).Jump(there, unix.EEXIST)
		if d.UID != 0 || d.GID != 0 {
			l.do(what, unix.SYS_FCHOWNAT, parent, name, int(d.UID), int(d.GID), unix.AT_SYMLINK_NOFOLLOW)
		}
		l.place(there)
	}
	if !in.DevLinks {
		return
	}
	l.open("open /dev", l.root, "dev", openDir, inRoot).To("dev")
	for _, link := range [][2]string{{"fd", "/proc/self/fd"}, {"stdin", "/proc/self/fd/0"}, {"stdout", "/proc/self/fd/1"},
		{"stderr", "/proc/self/fd/2"}} {
		l.do("link /dev/"+link[0], unix.SYS_SYMLINKAT, link[1], calls.Ref("dev"), link[0]).Or(unix.EEXIST)
	}
	if in.Pts { // the terminals are those of the container's own devpts
		l.do("replace /dev/ptmx", unix.SYS_UNLINKAT, calls.Ref("dev"), "ptmx", 0).Or(unix.ENOENT)
		l.do("link /dev/ptmx", unix.SYS_SYMLINKAT, "pts/ptmx", calls.Ref("dev"), "ptmx")
	}
}

// terminal makes a pair of the container's own devpts, by descriptors alone (CVE-2025-52565), and shows its master to the
// parent.
func (l *List) terminal(p *Process) {
	l.open("open /dev/pts", l.root, "dev/pts", openDir, inRoot).To("pts")
	l.open("open a terminal of /dev/pts", calls.Ref("pts"), "ptmx", unix.O_RDWR|unix.O_NOCTTY, noLinks|unix.RESOLVE_NO_XDEV).To("master")
	l.do("unlock the terminal", unix.SYS_IOCTL, calls.Ref("master"), unix.TIOCSPTLCK, []uint32{0})
	l.do("open the terminal", unix.SYS_IOCTL, calls.Ref("master"), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC).To("tty")
	if p.Rows != 0 || p.Cols != 0 {
		l.do("resize the terminal", unix.SYS_IOCTL, calls.Ref("master"), unix.TIOCSWINSZ,
			[]uint32{uint32(p.Rows) | uint32(p.Cols)<<16, 0})
	}
	l.do("give the terminal to its user", unix.SYS_FCHOWN, calls.Ref("tty"), int(p.UID), -1)
	l.show("master", ShownTerminal)
}

// console binds the terminal over /dev/console.
func (l *List) console() {
	l.open("open /dev", l.root, "dev", openDir, inRoot).To("dev")
	l.open("make /dev/console", calls.Ref("dev"), "console", makeFile, noLinks).Or(unix.EEXIST)
	l.open("open /dev/console", calls.Ref("dev"), "console", unix.O_PATH, noLinks).To("console")
	l.do("clone the terminal", unix.SYS_OPEN_TREE, calls.Ref("tty"), "", tree|unix.AT_EMPTY_PATH).To("clone")
	l.attach("mount the terminal on /dev/console", "clone", "console")
}

// stdio places the terminal, or other standard descriptors than the runtime's.
func (l *List) stdio(p *Process) {
	place := func(what string, fd calls.Ref, number int) { l.do("place the "+what, unix.SYS_DUP3, fd, number, 0) }
	switch {
	case p.Piped:
		place("input", "<stdin>", 0)
		place("output", "<stderr>", 1)
		place("errors", "<stderr>", 2)
	case p.Terminal:
		for fd := range 3 {
			place("terminal", "tty", fd)
		}
		l.do("take the terminal", unix.SYS_IOCTL, 0, unix.TIOCSCTTY, 0)
	}
}
