package rootfs

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/mount"
	"github.com/brig-engine/brig/internal/kernel/path"
	"github.com/brig-engine/brig/internal/wire"
)

const quiet = unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV

// ownSize is the size in bytes of the file system for what the engine puts into a container, which can fill it and nothing else.
const ownSize = 128 << 10

// Tmpfs makes a tmpfs of size bytes whose root has the permission bits of mode and belongs to uid and gid of the host. label is
// SELinux's, here and below, if there is to be one.
func Tmpfs(size int64, mode, uid, gid uint32, label string) (int, error) {
	return mount.New("tmpfs", quiet, mount.String("source", "tmpfs"), mount.String("size", fmt.Sprint(size)),
		mount.Octal("mode", mode), mount.UInt("uid", uid), mount.UInt("gid", gid), mount.Context(label))
}

// Pts makes a devpts instance; terminals belong to the group 5 (tty) of the range at base. The machine has 4,096 by
// default, and without a bound one container could take them all (A2).
func Pts(base uint32, label string) (int, error) {
	return mount.New("devpts", unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NOEXEC, mount.String("source", "devpts"),
		mount.Octal("ptmxmode", 0o666), mount.Octal("mode", 0o620), mount.UInt("gid", base+5), mount.UInt("max", 256), mount.Context(label))
}

// Sys makes the sysfs of a network namespace, by a thread in there, which must not be the process's first one. The kernel
// looks through those of all namespaces for one that exists, for 1.5 ms with 2,000 containers: it is for the pool.
func Sys(netns int) (fd int, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends here
		if err = unix.Setns(netns, unix.CLONE_NEWNET); err == nil {
			fd, err = mount.New("sysfs", quiet|unix.MOUNT_ATTR_NOEXEC|unix.MOUNT_ATTR_RDONLY, mount.String("source", "sysfs"))
		}
	}()
	<-done
	return fd, err
}

// Own makes the file system of what the engine puts into a container, one for all of it: with each file system that there is,
// the kernel takes longer to make control groups and further ones. Its directories are dev, which becomes /dev, with the six
// harmless devices, the usual links, and the mount points of pts, shm, mqueue and the console; and empty, which covers what is
// masked. The container cannot make nodes in it (it has no CAP_MKNOD in the host's user namespace).
func Own(base uint32, label string) (fd int, err error) {
	fd, err = mount.New("tmpfs", unix.MOUNT_ATTR_NOSUID, mount.String("source", "tmpfs"), mount.String("size", fmt.Sprint(ownSize)),
		mount.String("mode", "755"), mount.UInt("uid", base), mount.UInt("gid", base), mount.Context(label))
	if err == nil {
		err = fill(fd, int(base), own)
	}
	if err != nil {
		wire.CloseAll([]int{fd})
		return -1, fmt.Errorf("/dev: %w", err)
	}
	return fd, nil
}

// node is something that Own makes. Its type and its permissions are those of mode.
type node struct {
	name   string
	mode   uint32
	device uint64
	target string
}

var own = []node{
	{"empty", unix.S_IFDIR | 0o755, 0, ""}, {"dev", unix.S_IFDIR | 0o755, 0, ""},
	{"dev/null", unix.S_IFCHR | 0o666, unix.Mkdev(1, 3), ""}, {"dev/zero", unix.S_IFCHR | 0o666, unix.Mkdev(1, 5), ""},
	{"dev/full", unix.S_IFCHR | 0o666, unix.Mkdev(1, 7), ""}, {"dev/random", unix.S_IFCHR | 0o666, unix.Mkdev(1, 8), ""},
	{"dev/urandom", unix.S_IFCHR | 0o666, unix.Mkdev(1, 9), ""}, {"dev/tty", unix.S_IFCHR | 0o666, unix.Mkdev(5, 0), ""},
	{"dev/console", unix.S_IFREG | 0o600, 0, ""},
	{"dev/fd", unix.S_IFLNK, 0, "/proc/self/fd"}, {"dev/stdin", unix.S_IFLNK, 0, "/proc/self/fd/0"},
	{"dev/stdout", unix.S_IFLNK, 0, "/proc/self/fd/1"}, {"dev/stderr", unix.S_IFLNK, 0, "/proc/self/fd/2"},
	{"dev/ptmx", unix.S_IFLNK, 0, "pts/ptmx"}, {"dev/pts", unix.S_IFDIR | 0o755, 0, ""}, {"dev/shm", unix.S_IFDIR | 0o755, 0, ""},
	{"dev/mqueue", unix.S_IFDIR | 0o755, 0, ""},
}

func fill(fd, base int, nodes []node) (err error) {
	for _, n := range nodes {
		kind := n.mode & unix.S_IFMT
		switch kind {
		case unix.S_IFLNK:
			err = unix.Symlinkat(n.target, fd, n.name)
		case unix.S_IFDIR:
			err = unix.Mkdirat(fd, n.name, n.mode)
		default:
			err = unix.Mknodat(fd, n.name, n.mode, int(n.device))
		}
		if err == nil && kind != unix.S_IFLNK { // the warden's umask is not relied on
			err = unix.Fchmodat(fd, n.name, n.mode&^unix.S_IFMT, 0)
		}
		if err == nil {
			err = unix.Fchownat(fd, n.name, base, base, unix.AT_SYMLINK_NOFOLLOW)
		}
		if err != nil {
			return fmt.Errorf("make %s: %w", n.name, err)
		}
	}
	return nil
}

// Device makes a device of the host, dev/NAME, in what Own made, with the directories that it is in. Links, those of Own too, are
// not followed. It belongs to root, and to the group that has it on the host.
func Device(own int, name string, base uint32, host *unix.Stat_t) error {
	for at, c := range name {
		if c == '/' {
			unix.Mkdirat(own, name[:at], 0o755) // or the next step fails
		}
	}
	dir, err := path.Open(own, filepath.Dir(name), unix.O_PATH|unix.O_DIRECTORY, 0, path.NoLinks)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	name = filepath.Base(name)
	if err := fill(dir, int(base), []node{{name, host.Mode, host.Rdev, ""}}); err != nil || host.Gid > 65535 {
		return err
	}
	return unix.Fchownat(dir, name, -1, int(base+host.Gid), unix.AT_SYMLINK_NOFOLLOW)
}

// writeFile makes a file of the range at base. Its content is far below what one write takes.
func writeFile(dir int, name, content string, base int) error {
	fd, err := unix.Openat(dir, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	n, err := unix.Write(fd, []byte(content))
	if err == nil && n < len(content) {
		err = unix.ENOSPC
	}
	return errors.Join(err, unix.Fchmod(fd, 0o644), unix.Fchown(fd, base, base))
}

// Files adds the engine's files (hosts, resolv.conf, hostname) to what Own made, named by their place in the list. The plan
// binds each of them. The container may write to them, as in Docker, but not grow them on the host (A2).
func Files(own int, files []wire.File, base uint32) error {
	for i, f := range files {
		if err := writeFile(own, fmt.Sprint(i), f.Content, int(base)); err != nil {
			return fmt.Errorf("file %s: %w", f.Path, err)
		}
	}
	return nil
}
