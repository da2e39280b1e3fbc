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

// filesSize is the size in bytes of the file system for the engine's files; a container can fill it and nothing else.
const filesSize = 64 << 10

// Tmpfs makes a tmpfs of size bytes whose root has the permission bits of mode and belongs to uid and gid of the host.
func Tmpfs(size int64, mode, uid, gid uint32) (int, error) {
	return mount.New("tmpfs", quiet, mount.String("source", "tmpfs"), mount.String("size", fmt.Sprint(size)),
		mount.Octal("mode", mode), mount.UInt("uid", uid), mount.UInt("gid", gid))
}

// Pts makes a devpts instance; terminals belong to the group 5 (tty) of the range at base. The machine has 4,096 by
// default, and without a bound one container could take them all (A2).
func Pts(base uint32) (int, error) {
	return mount.New("devpts", unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NOEXEC, mount.String("source", "devpts"),
		mount.Octal("ptmxmode", 0o666), mount.Octal("mode", 0o620), mount.UInt("gid", base+5), mount.UInt("max", 256))
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

// Dev makes /dev: a small tmpfs with the six harmless devices, the usual links, and the mount points of pts, shm,
// mqueue and the console. The container cannot make nodes in it (it has no CAP_MKNOD in the host's user namespace).
func Dev(base uint32) (fd int, err error) {
	fd, err = mount.New("tmpfs", unix.MOUNT_ATTR_NOSUID, mount.String("source", "tmpfs"), mount.String("size", "65536"),
		mount.String("mode", "755"), mount.UInt("uid", base), mount.UInt("gid", base))
	if err == nil {
		err = fillDev(fd, int(base), nodes)
	}
	if err != nil {
		wire.CloseAll([]int{fd})
		return -1, fmt.Errorf("/dev: %w", err)
	}
	return fd, nil
}

// node is something in /dev. Its type and its permissions are those of mode.
type node struct {
	name   string
	mode   uint32
	device uint64
	target string
}

var nodes = []node{
	{"null", unix.S_IFCHR | 0o666, unix.Mkdev(1, 3), ""}, {"zero", unix.S_IFCHR | 0o666, unix.Mkdev(1, 5), ""},
	{"full", unix.S_IFCHR | 0o666, unix.Mkdev(1, 7), ""}, {"random", unix.S_IFCHR | 0o666, unix.Mkdev(1, 8), ""},
	{"urandom", unix.S_IFCHR | 0o666, unix.Mkdev(1, 9), ""}, {"tty", unix.S_IFCHR | 0o666, unix.Mkdev(5, 0), ""},
	{"console", unix.S_IFREG | 0o600, 0, ""},
	{"fd", unix.S_IFLNK, 0, "/proc/self/fd"}, {"stdin", unix.S_IFLNK, 0, "/proc/self/fd/0"},
	{"stdout", unix.S_IFLNK, 0, "/proc/self/fd/1"}, {"stderr", unix.S_IFLNK, 0, "/proc/self/fd/2"},
	{"ptmx", unix.S_IFLNK, 0, "pts/ptmx"},
	{"pts", unix.S_IFDIR | 0o755, 0, ""}, {"shm", unix.S_IFDIR | 0o755, 0, ""}, {"mqueue", unix.S_IFDIR | 0o755, 0, ""},
}

func fillDev(fd, base int, nodes []node) (err error) {
	for _, n := range nodes {
		switch n.mode & unix.S_IFMT {
		case unix.S_IFLNK:
			err = unix.Symlinkat(n.target, fd, n.name)
		case unix.S_IFDIR:
			err = unix.Mkdirat(fd, n.name, n.mode)
		default:
			if err = unix.Mknodat(fd, n.name, n.mode, int(n.device)); err == nil { // the warden's umask is not relied on
				err = unix.Fchmodat(fd, n.name, n.mode&^unix.S_IFMT, 0)
			}
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

// Device makes a device of the host in a /dev, with the directories that it is in. Links, those of Dev too, are not followed.
// It belongs to root, and to the group that has it on the host.
func Device(dev int, name string, base uint32, host *unix.Stat_t) error {
	for at, c := range name {
		if c == '/' {
			unix.Mkdirat(dev, name[:at], 0o755) // or the next step fails
		}
	}
	dir, err := path.Open(dev, filepath.Dir(name), unix.O_PATH|unix.O_DIRECTORY, 0, path.NoLinks)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	name = filepath.Base(name)
	if err := fillDev(dir, int(base), []node{{name, host.Mode, host.Rdev, ""}}); err != nil || host.Gid > 65535 {
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

// Files makes a tmpfs of 64 KiB with the engine's files (hosts, resolv.conf, hostname), named by their place in the
// list. The plan binds each of them. The container may write to them, as in Docker, but not grow them on the host (A2).
func Files(files []wire.File, base uint32) (int, error) {
	fd, err := Tmpfs(filesSize, 0o755, base, base)
	if err != nil {
		return -1, fmt.Errorf("files of the engine: %w", err)
	}
	for i, f := range files {
		if err := writeFile(fd, fmt.Sprint(i), f.Content, int(base)); err != nil {
			unix.Close(fd)
			return -1, fmt.Errorf("file %s: %w", f.Path, err)
		}
	}
	return fd, nil
}
