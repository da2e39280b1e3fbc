package plan

import "golang.org/x/sys/unix"

// Another OCI runtime makes a container inside of a sandbox that Brig makes as always: its range of ids, its user, network, IPC
// and cgroup namespaces, its control group, its mounts. The runtime is the root of that sandbox and nobody on the host. What
// it sees is a root of its own: /usr of the host, for reading, and a bundle whose root file system is the container's.

// Where the runtime finds what it needs: its bundle, and with exec the description of a process.
const (
	BundleDir   = "/bundle"
	ProcessFile = "/proc/self/fd/3"
	outer       = Ref("outer")
)

// outside makes the runtime's root over the old one, and the container's root a directory of it.
func (b *builder) outside() {
	// What may be below /usr is taken along: the kernel shows no part of what covers something.
	b.do("take /usr", unix.SYS_OPEN_TREE, unix.AT_FDCWD, "/usr", tree|unix.AT_RECURSIVE).To("usr")
	b.fresh(outer, "tmpfs", quiet)
	b.cover("mount the runtime's root", outer, "/")
	for _, dir := range []string{"usr", "proc", "dev", "run", "tmp", "bundle", "bundle/rootfs", "sys", "sys/fs", "sys/fs/cgroup"} {
		b.do("make the runtime's /"+dir, unix.SYS_MKDIRAT, outer, dir, 0o755)
	}
	for _, dir := range []string{"bin", "lib", "lib64", "sbin"} {
		b.do("link the runtime's /"+dir, unix.SYS_SYMLINKAT, "usr/"+dir, outer, dir)
	}
	b.attach("usr", b.ours(outer, "usr"), "the runtime's /usr")
	b.confine("usr", "the runtime's /usr to reading", quiet|unix.MOUNT_ATTR_RDONLY, unix.AT_RECURSIVE)
	// A process makes a procfs only where it sees another that nothing covers.
	b.fresh("its proc", "proc", inert)
	b.attach("its proc", b.ours(outer, "proc"), "the runtime's /proc")
	// Runtimes look for control groups; these show the container's own as their root, and are not the sandbox's to write to.
	b.fresh("cgroup", "cgroup2", inert|unix.MOUNT_ATTR_RDONLY)
	b.attach("cgroup", b.ours(outer, "sys/fs/cgroup"), "the runtime's /sys/fs/cgroup")
	// Nodes of its own: the container's program may do what it likes with those that it has.
	for _, name := range []string{"dev/null", "dev/zero", "dev/full", "dev/random", "dev/urandom", "dev/tty"} {
		b.clone("take /"+name, name).To("node")
		b.open("make the runtime's /"+name, outer, name, openFile, noLinks).To("point")
		b.attach("node", "point", "the runtime's /"+name)
	}
	b.attach(b.root, b.ours(outer, "bundle/rootfs"), "the bundle")
}

// handOver gives the runtime its orders, and has it be where the container's root was to be. What is for reading it restricts
// itself: it could undo that in any case, so the floor lets it have nothing of the host for reading only.
func (b *builder) handOver() {
	b.open("make the bundle's config.json", outer, "bundle/config.json", openFile|unix.O_WRONLY, noLinks).To("file")
	const most = 8 << 20 // more than a message of brigd holds
	b.do("write the bundle's config.json", unix.SYS_SENDFILE, Ref("file"), Ref("<config>"), []uint64{0}, most)
	b.root = outer
	b.pivot(false)
}
