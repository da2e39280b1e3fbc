package plan

import (
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/wire"
)

// protect hides the masked paths and makes others read-only. All of it goes from descriptor to descriptor: the source
// of a mask is the null device of our own tmpfs or a new empty one, never a path that could lead elsewhere
// (CVE-2025-31133, CVE-2025-52565).
func (b *builder) protect(s *wire.Spec) {
	for _, p := range s.MaskedPaths {
		b.mask(p)
	}
	for _, p := range s.ReadonlyPaths {
		b.readOnly(p)
	}
}

const tree = unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC

func (b *builder) mask(where string) {
	const why = "What procfs and sysfs tell about the host is covered: files by our own null device, directories by an " +
		"empty, read-only file system."
	what := "hide " + where
	target, file, done := "masked", b.label("file"), b.label("done")
	b.do(what, why, "openat2", res(b.root), str(where[1:]), how(openDir, 0, inRoot|unix.RESOLVE_NO_SYMLINKS),
		num(sizeofHow)).to(target).jump(done, unix.ENOENT).jump(file, unix.ENOTDIR)
	b.do(what, why, "open_tree", res("empty"), str(""), flags("CLONE|CLOEXEC|AT_EMPTY_PATH", tree|unix.AT_EMPTY_PATH)).
		to("nothing")
	b.attach("nothing", target, where)
	b.ops[len(b.ops)-1].Then = done
	b.place(file)
	b.do(what, why, "openat2", res(b.root), str(where[1:]), how(unix.O_PATH, 0, inRoot|unix.RESOLVE_NO_SYMLINKS),
		num(sizeofHow)).to(target).jump(done, unix.ENOENT, unix.ENOTDIR)
	b.do(what, why, "open_tree", res("<dev>"), str("null"),
		flags("CLONE|CLOEXEC|AT_SYMLINK_NOFOLLOW", tree|unix.AT_SYMLINK_NOFOLLOW)).to("null")
	b.attach("null", target, where)
	b.place(done)
}

func (b *builder) readOnly(where string) {
	const why = "Switches of procfs can be read, not set."
	what := "protect " + where
	const target, clone = "protected", "copy"
	done := b.label("done")
	b.do(what, why, "openat2", res(b.root), str(where[1:]), how(unix.O_PATH, 0, inRoot|unix.RESOLVE_NO_SYMLINKS),
		num(sizeofHow)).to(target).jump(done, unix.ENOENT, unix.ENOTDIR)
	b.do(what, why, "open_tree", res(target), str(""), flags("CLONE|CLOEXEC|AT_EMPTY_PATH|AT_RECURSIVE",
		tree|unix.AT_EMPTY_PATH|unix.AT_RECURSIVE)).to(clone)
	b.do(what, why, "mount_setattr", append([]Arg{res(clone), str(""), flags("AT_EMPTY_PATH|AT_RECURSIVE",
		unix.AT_EMPTY_PATH|unix.AT_RECURSIVE)}, attr(inert|unix.MOUNT_ATTR_RDONLY)...)...)
	b.attach(clone, target, where)
	b.place(done)
}
