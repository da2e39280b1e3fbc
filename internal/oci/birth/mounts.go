package birth

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/calls"
	"github.com/brig-engine/brig/internal/oci/config"
)

// Hierarchy is a directory of control groups that the container sees, as <cgN>; Links are further names of it.
type Hierarchy struct {
	Name  string // in /sys/fs/cgroup; "": all there is, in version 2
	Links []string
}

// rootMount puts the root file system on its own path, which is the working directory, as hooks find it. It covers nothing
// else: what hooks name must be the host's.
func (l *List) rootMount(in *Input) {
	l.do("make mounts private", unix.SYS_MOUNT_SETATTR, unix.AT_FDCWD, "/", unix.AT_RECURSIVE,
		[]uint64{0, 0, unix.MS_PRIVATE, 0}, unix.MOUNT_ATTR_SIZE_VER0)
	l.do("mount the root on "+in.Root, unix.SYS_MOVE_MOUNT, l.root, "", unix.AT_FDCWD, "",
		unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
}

// mounts makes the mounts of the configuration, in their order. Those that are for reading become so when everything is in
// them.
func (l *List) mounts(in *Input) {
	for i, m := range in.Mounts {
		what := fmt.Sprintf("mount %s on %s", m.Type, m.Target)
		switch {
		case m.Bind:
			what = fmt.Sprintf("mount %s on %s", m.Source, m.Target)
			l.attach(what, calls.Ref(fmt.Sprintf("<bind%d>", i)), l.point(m, in.Files[i]))
		case m.Type == "cgroup" || m.Type == "cgroup2":
			l.cgroups(in, m)
		default:
			name := calls.Ref(fmt.Sprintf("mount%d", i))
			made := *m
			if m.Type == "tmpfs" { // mount points of others are made in it
				made.Set, made.AllSet = m.Set&^unix.MOUNT_ATTR_RDONLY, m.AllSet&^unix.MOUNT_ATTR_RDONLY
			}
			l.fresh(what, name, &made)
			if m.Type == "mqueue" && in.MountLabel != "" { // its label is not to be given as an option: the kernel has made it already
				l.do("enter mqueue", unix.SYS_FCHDIR, name)
				l.do("label mqueue", unix.SYS_SETXATTR, ".", "security.selinux", in.MountLabel, len(in.MountLabel), 0)
			}
			if m.CopyUp {
				l.copyUp(m.Target, name)
			}
			target := l.point(m, false)
			l.attach(what, name, target)
			l.spread(what, name, m)
		}
	}
}

// point opens the mount point. /proc and /sys are directories and not links (CVE-2026-41579, CVE-2019-19921).
func (l *List) point(m *config.Mount, file bool) calls.Ref {
	if m.Target != "/proc" && m.Target != "/sys" {
		return l.target(m.Target, file)
	}
	what := "open the mount point " + m.Target
	have := l.label("have")
	open := func() *calls.Op { return l.open(what, l.root, m.Target[1:], openDir, noLinks).To("target") }
	open().Next(have).Or(unix.ENOENT)
	l.do(what, unix.SYS_MKDIRAT, l.root, m.Target[1:], 0o755).Or(unix.EEXIST)
	open()
	l.place(have)
	return "target"
}

// fresh makes an instance of a file system, by a process in the container's namespaces.
func (l *List) fresh(what string, name calls.Ref, m *config.Mount) {
	const context = calls.Ref("fs")
	l.do(what, unix.SYS_FSOPEN, m.Type, unix.FSOPEN_CLOEXEC).To(context)
	source := m.Source
	if source == "" {
		source = m.Type
	}
	l.do(what, unix.SYS_FSCONFIG, context, unix.FSCONFIG_SET_STRING, "source", source, 0)
	for _, d := range m.Data {
		said := what + " with " + d
		if key, value, ok := strings.Cut(d, "="); ok {
			l.do(said, unix.SYS_FSCONFIG, context, unix.FSCONFIG_SET_STRING, key, value, 0)
		} else {
			l.do(said, unix.SYS_FSCONFIG, context, unix.FSCONFIG_SET_FLAG, d, 0, 0)
		}
	}
	l.do(what, unix.SYS_FSCONFIG, context, unix.FSCONFIG_CMD_CREATE, 0, 0, 0)
	l.do(what, unix.SYS_FSMOUNT, context, unix.FSMOUNT_CLOEXEC, int(m.Set|m.AllSet)).To(name)
}

func (l *List) spread(what string, name calls.Ref, m *config.Mount) {
	for _, s := range m.Propagation {
		l.set(what, name, 0, 0, s.Flag, s.Recursive)
	}
}

// copyUp shows the new file system, and the directory that it will cover, to the parent, who copies.
func (l *List) copyUp(where string, name calls.Ref) {
	l.show(name, ShownOver)
	l.show(l.target(where, false), ShownUnder)
	l.gate("wait until " + where + " is copied")
}

// finish makes read-only what was kept open for mount points.
func (l *List) finish(in *Input) {
	for i, m := range in.Mounts {
		if m.Type == "tmpfs" && (m.Set|m.AllSet)&unix.MOUNT_ATTR_RDONLY != 0 {
			l.set("restrict "+m.Target+" to reading", calls.Ref(fmt.Sprintf("mount%d", i)), unix.MOUNT_ATTR_RDONLY, 0, 0, false)
		}
	}
}

// cgroups shows the container its own groups: their directories were opened on the host, in the container they are roots.
func (l *List) cgroups(in *Input, m *config.Mount) {
	what := "mount control groups on " + m.Target
	if len(in.Hierarchies) == 1 && in.Hierarchies[0].Name == "" {
		l.attach(what, "<cg0>", l.target(m.Target, false))
		return
	}
	const over = calls.Ref("cgroups")
	l.fresh(what, over, &config.Mount{Type: "tmpfs", Data: []string{"mode=755"}, Set: inert})
	l.attach(what, over, l.target(m.Target, false))
	for i, h := range in.Hierarchies {
		l.do(what, unix.SYS_MKDIRAT, over, h.Name, 0o755)
		l.open(what, over, h.Name, openDir, noLinks).To("target")
		l.attach(what, calls.Ref(fmt.Sprintf("<cg%d>", i)), "target")
		for _, other := range h.Links {
			l.do(what, unix.SYS_SYMLINKAT, h.Name, over, other)
		}
	}
	if m.Set&unix.MOUNT_ATTR_RDONLY != 0 {
		l.set(what, over, unix.MOUNT_ATTR_RDONLY, 0, 0, false)
	}
}

// protect hides masked paths and makes others read-only, from descriptor to descriptor: what covers them is the host's null
// device and a new, empty file system, never a path of the container (CVE-2025-31133).
func (l *List) protect(in *Input) {
	masked := in.Spec.Linux.MaskedPaths
	if len(masked) > 0 {
		l.fresh("make an empty file system", "empty", &config.Mount{Type: "tmpfs", Data: []string{"size=0k"},
			Set: inert | unix.MOUNT_ATTR_RDONLY})
		// Only a tree that is attached can be cloned before Linux 6.15; it goes with the old root.
		l.do("park an empty file system", unix.SYS_MOVE_MOUNT, calls.Ref("empty"), "", calls.Ref("hostproc"), "",
			unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
	}
	for _, p := range masked {
		l.mask(p)
	}
	for _, p := range in.Spec.Linux.ReadonlyPaths {
		l.readOnly(p)
	}
}

// mask hides a path, and what a link of the image on the way to it leads to inside the root. Nothing is hidden where nothing
// is; a path that cannot be resolved is an error.
func (l *List) mask(where string) {
	what, name := "hide "+where, strings.TrimPrefix(where, "/")
	file, done := l.label("file"), l.label("done")
	l.open(what, l.root, name, openDir, inRoot).To("masked").Jump(done, unix.ENOENT).Jump(file, unix.ENOTDIR)
	l.do(what, unix.SYS_OPEN_TREE, calls.Ref("empty"), "", tree|unix.AT_EMPTY_PATH).To("nothing")
	l.attach(what, "nothing", "masked").Next(done)
	l.place(file)
	l.open(what, l.root, name, unix.O_PATH, inRoot).To("masked").Jump(done, unix.ENOENT, unix.ENOTDIR)
	l.do(what, unix.SYS_OPEN_TREE, unix.AT_FDCWD, "/dev/null", tree).To("null")
	l.attach(what, "null", "masked")
	l.place(done)
}

// readOnly resolves a path as mask does.
func (l *List) readOnly(where string) {
	what, done := "protect "+where, l.label("done")
	l.open(what, l.root, strings.TrimPrefix(where, "/"), unix.O_PATH, inRoot).To("protected").Jump(done, unix.ENOENT, unix.ENOTDIR)
	l.do(what, unix.SYS_OPEN_TREE, calls.Ref("protected"), "", tree|unix.AT_EMPTY_PATH|unix.AT_RECURSIVE).To("copy")
	l.set("restrict "+where+" to reading", "copy", unix.MOUNT_ATTR_RDONLY, 0, 0, true)
	l.attach(what, "copy", "protected")
	l.place(done)
}

// dropHost takes the host's proc and sys away, the last mount first, and what was parked on /proc before that.
func (l *List) dropHost(in *Input) {
	if len(in.Spec.Linux.MaskedPaths) > 0 {
		l.do("drop what is parked", unix.SYS_UMOUNT2, "/proc", unix.MNT_DETACH)
	}
	for _, at := range slices.Backward(in.HostMounts) {
		l.do("drop the host's "+at, unix.SYS_UMOUNT2, at, unix.MNT_DETACH).Or(unix.EINVAL, unix.ENOENT) // it went with the one above
	}
}

// pivot leaves the host's file systems.
func (l *List) pivot(in *Input) {
	l.do("enter the root", unix.SYS_FCHDIR, l.root)
	if in.NoPivot {
		// The root of a machine that runs from its initial file system cannot be pivoted away from: it is covered, and
		// what it had of proc and sys is gone.
		l.dropHost(in)
		l.do("cover the host's root", unix.SYS_MOUNT, ".", "/", 0, unix.MS_MOVE, 0)
		l.do("change the root", unix.SYS_CHROOT, ".")
	} else {
		l.do("pivot the root", unix.SYS_PIVOT_ROOT, ".", ".")
		// "." is the root with the old one stacked on it.
		l.do("drop the host's mounts", unix.SYS_UMOUNT2, ".", unix.MNT_DETACH)
	}
	if in.Spec.Root.Readonly {
		l.set("restrict the root to reading", l.root, unix.MOUNT_ATTR_RDONLY, 0, 0, false)
	}
	if flag, recursive, _ := config.Propagation(in.Spec.Linux.RootfsPropagation); flag != 0 {
		l.set("set the propagation of the root", l.root, 0, 0, flag, recursive)
	}
	l.do("enter the root", unix.SYS_FCHDIR, l.root)
}
