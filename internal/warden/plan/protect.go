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

func (b *builder) mask(where string) {
	const why = "What procfs and sysfs tell about the host is covered: files by our own null device, directories by an " +
		"empty, read-only file system."
	what := "hide " + where
	file, done := b.label("file"), b.label("done")
	b.because(why)
	b.open(what, b.root, where[1:], openDir, inRoot|unix.RESOLVE_NO_SYMLINKS).to("masked").jump(done, unix.ENOENT).
		jump(file, unix.ENOTDIR)
	b.do(what, unix.SYS_OPEN_TREE, Ref("empty"), "", tree|unix.AT_EMPTY_PATH).to("nothing")
	b.attach("nothing", "masked", where).then(done)
	b.place(file)
	b.because(why)
	b.open(what, b.root, where[1:], unix.O_PATH, inRoot|unix.RESOLVE_NO_SYMLINKS).to("masked").
		jump(done, unix.ENOENT, unix.ENOTDIR)
	b.do(what, unix.SYS_OPEN_TREE, Ref("<dev>"), "null", tree|unix.AT_SYMLINK_NOFOLLOW).to("null")
	b.attach("null", "masked", where)
	b.place(done)
}

func (b *builder) readOnly(where string) {
	what := "protect " + where
	done := b.label("done")
	b.because("Switches of procfs can be read, not set.")
	b.open(what, b.root, where[1:], unix.O_PATH, inRoot|unix.RESOLVE_NO_SYMLINKS).to("protected").
		jump(done, unix.ENOENT, unix.ENOTDIR)
	b.do(what, unix.SYS_OPEN_TREE, Ref("protected"), "", tree|unix.AT_EMPTY_PATH|unix.AT_RECURSIVE).to("copy")
	b.setattr(what, Ref("copy"), inert|unix.MOUNT_ATTR_RDONLY, unix.AT_RECURSIVE)
	b.attach("copy", "protected", where)
	b.place(done)
}
