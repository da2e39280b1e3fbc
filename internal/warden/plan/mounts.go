package plan

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/wire"
)

const (
	quiet   = unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV
	inert   = quiet | unix.MOUNT_ATTR_NOEXEC
	inRoot  = unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS
	noLinks = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS
	tree    = unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC
	openDir = unix.O_PATH | unix.O_DIRECTORY
	// Not for writing: an open writer would keep the root from becoming read-only.
	openFile = unix.O_CREAT | unix.O_EXCL | unix.O_NOFOLLOW

	own = Ref("<own>") // the file system of rootfs.Own: dev, empty, and the engine's files by number
	dev = Ref("dev")
)

// filesystem builds what the container sees, and makes it all that there is.
func (b *builder) filesystem(in *Input) {
	s := in.Spec
	b.private()
	b.park(own, "what the engine puts in")
	// The root file system was mounted without a path; it becomes one here, over the old root.
	if in.Runtime == nil {
		b.cover("mount the root", b.root, "/")
	} else {
		b.outside()
	}
	b.confine(b.root, "the root", quiet, 0)
	b.base(s, in.MountLabel)
	for i, m := range s.Mounts {
		b.mount(Ref(fmt.Sprintf("<mount%d>", i)), m, slices.Contains(in.Files, i))
	}
	taken := func(path string) bool { // a person's own file wins
		return slices.ContainsFunc(s.Mounts, func(m wire.Mount) bool { return m.Target == path })
	}
	for _, p := range slices.DeleteFunc(b.shared, taken) {
		b.mount(Ref("shared "+p), wire.Mount{Target: p, Writable: true}, p != "/dev/shm")
	}
	for i, f := range s.Files {
		if taken(f.Path) {
			continue
		}
		// A file of the engine, on a file system of 128 KiB (A2).
		b.clone("bind "+f.Path, strconv.Itoa(i)).To("file")
		b.mount("file", wire.Mount{Target: f.Path, Writable: true}, true)
	}
	if s.Process.Terminal {
		b.console()
	}
	b.sysctls(s)
	b.protect(s)
	if in.Runtime != nil {
		b.handOver()
		return
	}
	b.pivot(!s.WritableRoot)
}

// private cuts the mount namespace off from the one that it is a copy of.
func (b *builder) private() {
	// Nothing that happens here reaches the host's mounts.
	b.do("make mounts private", unix.SYS_MOUNT_SETATTR, unix.AT_FDCWD, "/", unix.AT_RECURSIVE,
		[]uint64{0, 0, unix.MS_PRIVATE, 0}, unix.MOUNT_ATTR_SIZE_VER0)
}

// park attaches a mount where it is gone with the old root: only a tree that is attached can be bound from (6.15).
func (b *builder) park(mount Ref, what string) {
	// Parts of a mount can be bound only while it is attached in this namespace; under the old root it goes with it.
	b.cover("park "+what, mount, "/proc")
}

// clone makes a mount of a file or directory of what the engine puts in.
func (b *builder) clone(what, name string) *Op {
	return b.do(what, unix.SYS_OPEN_TREE, own, name, tree|unix.AT_SYMLINK_NOFOLLOW)
}

// cover attaches a mount over a directory of the old root.
func (b *builder) cover(what string, mount Ref, dir string) {
	b.do(what, unix.SYS_MOVE_MOUNT, mount, "", unix.AT_FDCWD, dir, unix.MOVE_MOUNT_F_EMPTY_PATH)
}

// base mounts proc, dev and sys on directories, not links, of the root.
func (b *builder) base(s *wire.Spec, label string) {
	b.fresh("proc", "proc", inert)
	b.attach("proc", b.ours(b.root, "proc"), "/proc")
	b.clone("take /dev", "dev").To(dev)
	b.attach(dev, b.ours(b.root, "dev"), "/dev")
	b.attach("<pts>", b.ours(dev, "pts"), "/dev/pts")
	if !s.NoShm {
		b.attach("<shm>", b.ours(dev, "shm"), "/dev/shm")
		b.confine("<shm>", "/dev/shm", inert, 0)
	}
	b.fresh("mqueue", "mqueue", inert)
	if label != "" {
		// What a user namespace mounts is given no label as a whole, but its root can have one.
		b.do("enter mqueue", unix.SYS_FCHDIR, Ref("mqueue"))
		b.do("label mqueue", unix.SYS_SETXATTR, ".", "security.selinux", label, len(label), 0)
	}
	b.attach("mqueue", b.ours(dev, "mqueue"), "/dev/mqueue")
	sys := Ref("<sys>")
	if s.Join.Namespaces&unix.CLONE_NEWNET != 0 { // that one shows another network
		sys = "sys"
		b.fresh(sys, "sysfs", inert|unix.MOUNT_ATTR_RDONLY)
	}
	b.attach(sys, b.ours(b.root, "sys"), "/sys")
}

// fresh makes a new instance of a file system of the container's own namespaces, by a process in them.
func (b *builder) fresh(name Ref, fstype string, set int) {
	what, context := "make "+fstype, name+".fs"
	b.do(what, unix.SYS_FSOPEN, fstype, unix.FSOPEN_CLOEXEC).To(context)
	b.do(what, unix.SYS_FSCONFIG, context, unix.FSCONFIG_SET_STRING, "source", fstype, 0)
	b.do(what, unix.SYS_FSCONFIG, context, unix.FSCONFIG_CMD_CREATE, 0, 0, 0)
	b.do(what, unix.SYS_FSMOUNT, context, unix.FSMOUNT_CLOEXEC, set).To(name)
}

// ours opens a directory that has to be one: an image in which /proc is a link is refused (CVE-2026-41579,
// CVE-2026-47766). It is made if it is missing.
func (b *builder) ours(dir Ref, name string) Ref {
	const opened = Ref("point")
	where := name
	if dir == b.root {
		where = "/" + name
	}
	open := func() *Op { return b.open("open the mount point "+where, dir, name, openDir, noLinks).To(opened) }
	if dir != b.root {
		open()
		return opened
	}
	have := b.label("have")
	open().Next(have).Or(unix.ENOENT)
	b.do("make the mount point "+where, unix.SYS_MKDIRAT, dir, name, 0o755).Or(unix.EEXIST)
	open()
	b.place(have)
	return opened
}

// attach moves a detached mount to an open directory or file.
func (b *builder) attach(mount, target Ref, where string) *Op {
	// From descriptor to descriptor: no path, no race.
	return b.do("mount "+strings.Trim(string(mount), "<>")+" on "+where, unix.SYS_MOVE_MOUNT, mount, "", target, "",
		unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
}

// confine adds attributes to a mount, and with AT_RECURSIVE to those below it: set-user-id bits and device nodes are dead
// there, whatever the source says.
func (b *builder) confine(mount Ref, where string, set uint64, recursive int) {
	b.do("restrict "+where, unix.SYS_MOUNT_SETATTR, mount, "", unix.AT_EMPTY_PATH|recursive, []uint64{set, 0, 0, 0},
		unix.MOUNT_ATTR_SIZE_VER0)
}

// mount puts a mount of the specification, or a file of the engine, at its target.
func (b *builder) mount(fd Ref, m wire.Mount, file bool) {
	move := b.attach(fd, b.target(m.Target, file), m.Target)
	if m.Kind != "" {
		move.What = strings.TrimSpace(fmt.Sprintf("mount %s %s", m.Kind, m.Source)) + " on " + m.Target
	}
	set := uint64(quiet)
	if !m.Exec {
		set |= unix.MOUNT_ATTR_NOEXEC
	}
	if !m.Writable {
		set |= unix.MOUNT_ATTR_RDONLY
	}
	b.confine(fd, m.Target, set, unix.AT_RECURSIVE)
}

// target opens a mount point below the root and makes what is missing of it, as the container's root, part by part:
// mkdirat follows no link in its last part, and the parts before it are resolved below the root.
func (b *builder) target(where string, file bool) Ref {
	// Links of the image are followed inside the root only (CVE-2021-30465); what is missing is made with the container's
	// ids.
	const opened = Ref("target")
	name, have := where[1:], b.label("have")
	kind := uint64(openDir)
	if file {
		kind = unix.O_PATH
	}
	what := "make the mount point " + where
	open := func() *Op { return b.open("open the mount point "+where, b.root, name, kind, inRoot).To(opened) }
	open().Next(have).Or(unix.ENOENT)
	parent := b.root
	parts := strings.Split(name, "/")
	for i, part := range parts {
		if i == len(parts)-1 && file {
			break
		}
		b.do(what, unix.SYS_MKDIRAT, parent, part, 0o755).Or(unix.EEXIST)
		if i < len(parts)-1 {
			b.open(what, b.root, strings.Join(parts[:i+1], "/"), openDir, inRoot).To("part")
			parent = "part"
		}
	}
	if file { // a dangling link of the image is replaced: what it points to is not there
		made, last := b.label("made"), parts[len(parts)-1]
		create := func() *Op { return b.open(what, parent, last, openFile, noLinks) }
		create().Next(made).Or(unix.EEXIST)
		b.do(what, unix.SYS_UNLINKAT, parent, last, 0)
		create()
		b.place(made)
	}
	open()
	b.place(have)
	return opened
}

// console binds the terminal over /dev/console.
func (b *builder) console() {
	// The container's terminal is one of its own devpts; it is bound by descriptor (CVE-2025-52565).
	b.do("clone the terminal", unix.SYS_OPEN_TREE, Ref("<tty>"), "", tree|unix.AT_EMPTY_PATH).To("console")
	b.open("open /dev/console", dev, "console", unix.O_PATH, noLinks).To("console.target")
	b.attach("console", "console.target", "/dev/console")
}

// sysctls writes to the proc that was just made, by descriptor: nothing can be in its place (CVE-2025-52881).
func (b *builder) sysctls(s *wire.Spec) {
	// Written through the container's own fresh proc, before /proc/sys becomes read-only (CVE-2025-52881).
	for _, k := range slices.Sorted(maps.Keys(s.Sysctl)) {
		what, file := "set sysctl "+k, "sys/"+strings.ReplaceAll(k, ".", "/")
		b.open(what, Ref("proc"), file, unix.O_WRONLY, noLinks|unix.RESOLVE_NO_XDEV).To("sysctl")
		b.do(what, unix.SYS_WRITE, Ref("sysctl"), s.Sysctl[k], len(s.Sysctl[k]))
	}
}

// pivot leaves the host's file systems.
func (b *builder) pivot(readOnly bool) {
	b.do("enter the root", unix.SYS_FCHDIR, b.root)
	b.do("pivot the root", unix.SYS_PIVOT_ROOT, ".", ".")
	// "." is the root with the old one stacked on it: that goes, with what was parked below it. Once: each time waits for
	// every processor.
	b.do("drop the host's mounts", unix.SYS_UMOUNT2, ".", unix.MNT_DETACH)
	if readOnly {
		b.confine(b.root, "the root to reading", quiet|unix.MOUNT_ATTR_RDONLY, 0)
	}
	b.do("enter the root", unix.SYS_FCHDIR, b.root)
}

// protect hides the masked paths and makes others read-only. All of it goes from descriptor to descriptor: the source
// of a mask is the null device of our own tmpfs or its empty directory, never a path that could lead elsewhere
// (CVE-2025-31133, CVE-2025-52565).
func (b *builder) protect(s *wire.Spec) {
	for _, p := range s.MaskedPaths {
		b.mask(p)
	}
	for _, p := range s.ReadonlyPaths {
		b.readOnly(p)
	}
}

func (b *builder) mask(where string) {
	// What procfs and sysfs tell about the host is covered: files by our own null device, directories by an empty
	// one that is read-only.
	what := "hide " + where
	file, done := b.label("file"), b.label("done")
	b.open(what, b.root, where[1:], openDir, inRoot|unix.RESOLVE_NO_SYMLINKS).To("masked").Jump(done, unix.ENOENT).
		Jump(file, unix.ENOTDIR)
	b.clone(what, "empty").To("nothing")
	b.confine("nothing", where+" to reading", inert|unix.MOUNT_ATTR_RDONLY, 0)
	b.attach("nothing", "masked", where).Next(done)
	b.place(file)
	b.open(what, b.root, where[1:], unix.O_PATH, inRoot|unix.RESOLVE_NO_SYMLINKS).To("masked").
		Jump(done, unix.ENOENT, unix.ENOTDIR)
	b.clone(what, "dev/null").To("null")
	b.attach("null", "masked", where)
	b.place(done)
}

func (b *builder) readOnly(where string) {
	what := "protect " + where
	done := b.label("done")
	// Switches of procfs can be read, not set.
	b.open(what, b.root, where[1:], unix.O_PATH, inRoot|unix.RESOLVE_NO_SYMLINKS).To("protected").
		Jump(done, unix.ENOENT, unix.ENOTDIR)
	b.do(what, unix.SYS_OPEN_TREE, Ref("protected"), "", tree|unix.AT_EMPTY_PATH|unix.AT_RECURSIVE).To("copy")
	b.confine("copy", where+" to reading", inert|unix.MOUNT_ATTR_RDONLY, unix.AT_RECURSIVE)
	b.attach("copy", "protected", where)
	b.place(done)
}
