package birth

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/calls"
	"github.com/brig-engine/brig/internal/kernel/clone"
	"github.com/brig-engine/brig/internal/kernel/path"
)

const (
	inRoot   = path.InRoot
	noLinks  = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS
	tree     = unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC
	openDir  = unix.O_PATH | unix.O_DIRECTORY
	makeFile = unix.O_CREAT | unix.O_EXCL | unix.O_NOFOLLOW
	inert    = unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC
)

// The numbers under which a child shows descriptors to its parent, which takes them by pidfd_getfd(2).
const (
	ShownTerminal = 242
	ShownOver     = 243 // a new tmpfs
	ShownUnder    = 244 // and what it covers
)

// List is a plan in the making.
type List struct {
	calls.Plan
	labels   int
	root     calls.Ref
	program0 string // as it was asked for
	waits    bool   // at <fifo>
	// search and execute are the operations whose failure means that there is no such program, or that it cannot be executed.
	search, execute map[*calls.Op]bool
}

func newList(title string, root calls.Ref) *List {
	return &List{Plan: calls.Plan{Title: title}, root: root, search: map[*calls.Op]bool{}, execute: map[*calls.Op]bool{}}
}

func (l *List) stage(title string) { l.Ops = append(l.Ops, &calls.Op{Stage: title}) }

// do appends a system call; what is said when it fails.
func (l *List) do(what string, nr uintptr, args ...any) *calls.Op {
	o := &calls.Op{Nr: nr, Args: args, What: what}
	l.Ops = append(l.Ops, o)
	return o
}

// open opens a name below a directory, in a way to resolve it. O_CLOEXEC is always added.
func (l *List) open(what string, dir any, name string, flags, resolve uint64) *calls.Op {
	mode := uint32(0)
	if flags&unix.O_CREAT != 0 {
		mode = 0o644
	}
	how := path.How(flags, mode, resolve)
	return l.do(what, unix.SYS_OPENAT2, dir, name, []uint64{how.Flags, how.Mode, how.Resolve}, unix.SizeofOpenHow)
}

// close closes a descriptor that processes of the container may not find.
func (l *List) close(fd calls.Ref) { l.do("close a descriptor", unix.SYS_CLOSE_RANGE, fd, fd, 0) }

// gate lets the parent act: it is woken, and the child waits.
func (l *List) gate(what string) {
	l.do(what, unix.SYS_SENDTO, calls.Ref("<sync>"), []byte{0}, 1, unix.MSG_NOSIGNAL)
	l.do(what, unix.SYS_READ, calls.Ref("<sync>"), []byte{0}, 1).Kind = clone.Gate
}

// show gives a descriptor a number that the parent knows.
func (l *List) show(fd calls.Ref, number int) {
	l.do("show a descriptor to brig-oci", unix.SYS_DUP3, fd, number, unix.O_CLOEXEC)
}

// label returns a new name for a place, which place puts into the list.
func (l *List) label(about string) string {
	l.labels++
	return fmt.Sprintf("%s.%d", about, l.labels)
}

func (l *List) place(label string) { l.Ops = append(l.Ops, &calls.Op{Label: label}) }

// attach moves a detached mount to an open directory or file: no path, no race.
func (l *List) attach(what string, mount, target calls.Ref) *calls.Op {
	return l.do(what, unix.SYS_MOVE_MOUNT, mount, "", target, "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
}

// set changes attributes and the propagation of a mount.
func (l *List) set(what string, mount calls.Ref, set, clear, propagation uint64, recursive bool) {
	at := unix.AT_EMPTY_PATH
	if recursive {
		at |= unix.AT_RECURSIVE
	}
	l.do(what, unix.SYS_MOUNT_SETATTR, mount, "", at, []uint64{set, clear, propagation, 0}, unix.MOUNT_ATTR_SIZE_VER0)
}

// above makes the directories above a place below the root, and returns the last of them, and the name in it. mkdirat
// follows no link in its last part, and the parts before it are resolved below the root (CVE-2021-30465).
func (l *List) above(what, where string) (parent calls.Ref, name string) {
	parts := strings.Split(where[1:], "/")
	parent, name = l.root, parts[len(parts)-1]
	for i, part := range parts[:len(parts)-1] {
		l.do(what, unix.SYS_MKDIRAT, parent, part, 0o755).Or(unix.EEXIST)
		l.open(what, l.root, strings.Join(parts[:i+1], "/"), openDir, inRoot).To("part")
		parent = "part"
	}
	return parent, name
}

// target opens a mount point below the root, and makes what is missing of it.
func (l *List) target(where string, file bool) calls.Ref {
	const opened = calls.Ref("target")
	what, have := "make the mount point "+where, l.label("have")
	kind := uint64(openDir)
	if file {
		kind = unix.O_PATH
	}
	open := func() *calls.Op {
		return l.open("open the mount point "+where, l.root, where[1:], kind, inRoot).To(opened)
	}
	open().Next(have).Or(unix.ENOENT)
	parent, name := l.above(what, where)
	if file { // a dangling link of the image is replaced: what it points to is not there
		made := l.label("made")
		create := func() *calls.Op { return l.open(what, parent, name, makeFile, noLinks) }
		create().Next(made).Or(unix.EEXIST)
		l.do(what, unix.SYS_UNLINKAT, parent, name, 0)
		create()
		l.place(made)
	} else {
		l.do(what, unix.SYS_MKDIRAT, parent, name, 0o755).Or(unix.EEXIST)
	}
	open()
	l.place(have)
	return opened
}
