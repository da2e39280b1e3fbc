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
	openDir = unix.O_PATH | unix.O_DIRECTORY
	// Not for writing: an open writer would keep the root from becoming read-only.
	openFile = unix.O_CREAT | unix.O_EXCL | unix.O_NOFOLLOW
)

// filesystem builds what the container sees, and makes it all that there is.
func (b *builder) filesystem(in *Input) {
	s := in.Spec
	b.private()
	if len(s.Files) > 0 {
		b.park("<files>", "the engine's files")
	}
	if len(s.MaskedPaths) > 0 {
		b.fresh("empty", "tmpfs", inert|unix.MOUNT_ATTR_RDONLY)
		b.park("empty", "an empty file system")
	}
	const why = "The root file system was mounted without a path; it becomes one here, over the old root."
	b.do("mount the root", why, "move_mount", res(b.root), str(""), flags("AT_FDCWD", at(unix.AT_FDCWD)), str("/"),
		flags("F_EMPTY_PATH", unix.MOVE_MOUNT_F_EMPTY_PATH))
	b.confine(b.root, quiet, "the root", false)
	b.base(in)
	for i, m := range s.Mounts {
		b.mount(fmt.Sprintf("<mount%d>", i), m, in.Mounts[i].File)
	}
	for i, f := range s.Files {
		if slices.ContainsFunc(s.Mounts, func(m wire.Mount) bool { return m.Target == f.Path }) {
			continue // a person's own file wins
		}
		b.do("bind "+f.Path, "A file of the engine, on a file system of 64 KiB (A2).", "open_tree", res("<files>"),
			str(strconv.Itoa(i)), flags("CLONE|CLOEXEC|AT_SYMLINK_NOFOLLOW", tree|unix.AT_SYMLINK_NOFOLLOW)).to("file")
		b.mount("file", wire.Mount{Target: f.Path, Writable: true}, true)
	}
	if s.Process.Terminal {
		b.console()
	}
	b.sysctls(s)
	b.protect(s)
	b.pivot(!s.WritableRoot)
}

// private cuts the mount namespace off from the one that it is a copy of.
func (b *builder) private() {
	b.do("make mounts private", "Nothing that happens here reaches the host's mounts.", "mount_setattr",
		flags("AT_FDCWD", at(unix.AT_FDCWD)), str("/"), flags("AT_RECURSIVE", unix.AT_RECURSIVE),
		words("{MS_PRIVATE}", 0, 0, unix.MS_PRIVATE, 0), num(unix.MOUNT_ATTR_SIZE_VER0))
}

// park attaches a mount where it is gone with the old root: only a tree that is attached can be bound from (6.15).
func (b *builder) park(mount, what string) {
	b.parked++
	b.do("park "+what, "Parts of a mount can be bound only while it is attached in this namespace; under the old root it "+
		"goes with it.", "move_mount", res(mount), str(""), flags("AT_FDCWD", at(unix.AT_FDCWD)), str("/"),
		flags("F_EMPTY_PATH", unix.MOVE_MOUNT_F_EMPTY_PATH))
}

// at is AT_FDCWD as a system call argument.
func at(fd int) uintptr { return uintptr(fd) }

// base mounts proc, dev and sys on directories, not links, of the root.
func (b *builder) base(in *Input) {
	b.fresh("proc", "proc", inert)
	b.attach("proc", b.ours(b.root, "proc"), "/proc")
	b.attach("<dev>", b.ours(b.root, "dev"), "/dev")
	b.attach("<pts>", b.ours("<dev>", "pts"), "/dev/pts")
	b.attach("<shm>", b.ours("<dev>", "shm"), "/dev/shm")
	b.confine("<shm>", inert, "/dev/shm", false)
	b.fresh("mqueue", "mqueue", inert)
	b.attach("mqueue", b.ours("<dev>", "mqueue"), "/dev/mqueue")
	b.fresh("sys", "sysfs", inert|unix.MOUNT_ATTR_RDONLY)
	b.attach("sys", b.ours(b.root, "sys"), "/sys")
	if in.CgroupRoot {
		b.fresh("cgroup", "cgroup2", inert|unix.MOUNT_ATTR_RDONLY)
		b.attach("cgroup", b.ours("sys", "fs/cgroup"), "/sys/fs/cgroup")
	}
}

// fresh makes a new instance of a file system of the container's own namespaces.
func (b *builder) fresh(name, fstype string, set uint64) {
	what := "make " + fstype
	why := "A new " + fstype + " of the container's own namespaces, made by a process in them."
	b.do(what, why, "fsopen", str(fstype), flags("CLOEXEC", unix.FSOPEN_CLOEXEC)).to(name + ".fs")
	b.do(what, why, "fsconfig", res(name+".fs"), flags("SET_STRING", unix.FSCONFIG_SET_STRING), str("source"), str(fstype),
		num(0))
	b.do(what, why, "fsconfig", res(name+".fs"), flags("CMD_CREATE", unix.FSCONFIG_CMD_CREATE), num(0), num(0), num(0))
	b.do(what, why, "fsmount", res(name+".fs"), flags("CLOEXEC", unix.FSMOUNT_CLOEXEC),
		flags(spell(set, mountFlags()), uintptr(set))).to(name)
}

// ours opens a directory that has to be one: an image in which /proc is a link is refused (CVE-2026-41579,
// CVE-2026-47766). It is made if it is missing.
func (b *builder) ours(dir, name string) string {
	const opened = "point"
	where := name
	if dir == b.root {
		where = "/" + name
	}
	why := "No symbolic link is followed: the image cannot say where " + where + " is."
	open := func() *Op {
		return b.do("open the mount point "+where, why, "openat2", res(dir), str(name), how(openDir, 0, noLinks),
			num(sizeofHow)).to(opened)
	}
	if dir != b.root {
		open()
		return opened
	}
	have := b.label("have")
	open().then(have).or(unix.ENOENT)
	b.do("make the mount point "+where, why, "mkdirat", res(dir), str(name), octal(0o755)).or(unix.EEXIST)
	open()
	b.place(have)
	return opened
}

// attach moves a detached mount to an open directory or file.
func (b *builder) attach(mount, target, where string) {
	b.do("mount "+strings.Trim(mount, "<>")+" on "+where, "From descriptor to descriptor: no path, no race.", "move_mount",
		res(mount), str(""), res(target), str(""),
		flags("F_EMPTY_PATH|T_EMPTY_PATH", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH))
}

// confine adds attributes to an attached mount.
func (b *builder) confine(mount string, set uint64, where string, recursive bool) {
	flag := flags("AT_EMPTY_PATH", unix.AT_EMPTY_PATH)
	if recursive {
		flag = flags("AT_EMPTY_PATH|AT_RECURSIVE", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE)
	}
	b.do("restrict "+where, "Set-user-id bits and device nodes are dead here, whatever the source says.",
		"mount_setattr", append([]Arg{res(mount), str(""), flag}, attr(set)...)...)
}

// mount puts a mount of the specification, or a file of the engine, at its target.
func (b *builder) mount(fd string, m wire.Mount, file bool) {
	target := b.target(m.Target, file)
	b.attach(fd, target, m.Target)
	if m.Kind != "" {
		b.ops[len(b.ops)-1].What = strings.TrimSpace(fmt.Sprintf("mount %s %s", m.Kind, m.Source)) + " on " + m.Target
	}
	set := uint64(quiet)
	if !m.Exec {
		set |= unix.MOUNT_ATTR_NOEXEC
	}
	if !m.Writable {
		set |= unix.MOUNT_ATTR_RDONLY
	}
	b.confine(fd, set, m.Target, true)
}

// target opens a mount point below the root and makes what is missing of it, as the container's root, part by part:
// mkdirat follows no link in its last part, and the parts before it are resolved below the root.
func (b *builder) target(where string, file bool) string {
	const why = "Links of the image are followed inside the root only (CVE-2021-30465); what is missing is made with " +
		"the container's ids."
	name := where[1:]
	opened, have := "target", b.label("have")
	kind := uint64(openDir)
	if file {
		kind = unix.O_PATH
	}
	what := "make the mount point " + where
	open := func() *Op {
		return b.do("open the mount point "+where, why, "openat2", res(b.root), str(name), how(kind, 0, inRoot),
			num(sizeofHow)).to(opened)
	}
	open().then(have).or(unix.ENOENT)
	parent := b.root
	parts := strings.Split(name, "/")
	for i, part := range parts {
		if i == len(parts)-1 && file {
			break
		}
		b.do(what, why, "mkdirat", res(parent), str(part), octal(0o755)).or(unix.EEXIST)
		if i < len(parts)-1 {
			b.do(what, why, "openat2", res(b.root), str(strings.Join(parts[:i+1], "/")), how(openDir, 0, inRoot),
				num(sizeofHow)).to("part")
			parent = "part"
		}
	}
	if file { // a dangling link of the image is replaced: what it points to is not there
		made, last := b.label("made"), parts[len(parts)-1]
		create := func() *Op {
			return b.do(what, why, "openat2", res(parent), str(last), how(openFile, 0o644, noLinks), num(sizeofHow))
		}
		create().then(made).or(unix.EEXIST)
		b.do(what, why, "unlinkat", res(parent), str(last), num(0))
		create()
		b.place(made)
	}
	open()
	b.place(have)
	return opened
}

// console binds the terminal over /dev/console.
func (b *builder) console() {
	const why = "The container's terminal is one of its own devpts; it is bound by descriptor (CVE-2025-52565)."
	b.do("clone the terminal", why, "open_tree", res("<tty>"), str(""),
		flags("CLONE|CLOEXEC|AT_EMPTY_PATH", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_EMPTY_PATH)).to("console")
	b.do("open /dev/console", why, "openat2", res("<dev>"), str("console"), how(unix.O_PATH, 0, noLinks),
		num(sizeofHow)).to("console.target")
	b.attach("console", "console.target", "/dev/console")
}

// sysctls writes to the proc that was just made, by descriptor: nothing can be in its place (CVE-2025-52881).
func (b *builder) sysctls(s *wire.Spec) {
	values := maps.Clone(s.Sysctl)
	if s.Network.Mode == wire.NetworkNone { // other networks are prepared with their endpoint
		values = map[string]string{"net.ipv4.ip_unprivileged_port_start": "0", "net.ipv4.ping_group_range": "0 65535"}
		maps.Copy(values, s.Sysctl)
	}
	for _, k := range slices.Sorted(maps.Keys(values)) {
		const why = "Written through the container's own fresh proc, before /proc/sys becomes read-only (CVE-2025-52881)."
		what, v := "set sysctl "+k, values[k]
		b.do(what, why, "openat2", res("proc"), str("sys/"+strings.ReplaceAll(k, ".", "/")),
			how(unix.O_WRONLY, 0, noLinks|unix.RESOLVE_NO_XDEV), num(sizeofHow)).to("sysctl")
		b.do(what, why, "write", res("sysctl"), str(v), num(len(v)))
	}
}

// pivot leaves the host's file systems.
func (b *builder) pivot(readOnly bool) {
	const why = "The root becomes the root; the host's tree is not covered but gone."
	b.do("enter the root", why, "fchdir", res(b.root))
	b.do("pivot the root", why, "pivot_root", str("."), str("."))
	for range b.parked + 1 { // "." is the root with the old root, and on it what was parked, stacked on it: the top goes
		b.do("drop the host's mounts", why, "umount2", str("."), flags("MNT_DETACH", unix.MNT_DETACH))
	}
	if readOnly {
		b.confine(b.root, quiet|unix.MOUNT_ATTR_RDONLY, "the root to reading", false)
	}
	b.do("enter the root", why, "fchdir", res(b.root))
}
