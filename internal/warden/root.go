package warden

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/cred"
	"github.com/brig-engine/brig/internal/kernel/path"
	"github.com/brig-engine/brig/internal/warden/idmap"
	"github.com/brig-engine/brig/internal/warden/rootfs"
	"github.com/brig-engine/brig/internal/wire"
	"github.com/brig-engine/brig/internal/wire/client"
)

// images keeps one detached, read-only mount per image that was used, and asks brig-store for the files of the others.
type images struct {
	mu     sync.Mutex
	mounts map[string]int
	store  *client.Client
}

// image gives a descriptor of the mount of an index, for the caller to close.
func (w *Warden) image(digest string) (int, error) {
	w.images.mu.Lock()
	defer w.images.mu.Unlock()
	if fd, ok := w.images.mounts[digest]; ok {
		return dup(fd)
	}
	files, err := w.images.store.Call(context.Background(), wire.OpIndexOpen, wire.ObjectRef{Digest: digest}, nil)
	if err != nil {
		return -1, err
	}
	defer wire.CloseAll(files)
	fd, err := rootfs.MountImage(files, w.label(imageFiles, "s0"))
	if err == nil && w.facts.AttachImages {
		err = cmp.Or(os.MkdirAll(w.imageDir(digest), 0o700), rootfs.Attach(fd, w.imageDir(digest)))
	}
	if err != nil {
		return -1, fmt.Errorf("image %s: %w", digest, err)
	}
	w.images.mounts[digest] = fd
	return dup(fd)
}

// imageDir is where the mount of an image is attached, before Linux 6.15: it needs a place for being cloned.
func (w *Warden) imageDir(digest string) string {
	return filepath.Join(w.cfg.Run, "images", strings.TrimPrefix(digest, "sha256:"))
}

func (w *Warden) indexRemove(q wire.ObjectRef) (any, error) {
	w.images.mu.Lock()
	defer w.images.mu.Unlock()
	if fd, ok := w.images.mounts[q.Digest]; ok {
		unix.Close(fd)
		delete(w.images.mounts, q.Digest)
		if w.facts.AttachImages {
			unix.Unmount(w.imageDir(q.Digest), unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		}
	}
	_, err := w.images.store.Call(context.Background(), wire.OpIndexRemove, q, nil)
	return nil, err
}

// lower is the image with ids of the sandbox, for the caller to close.
func (b *birth) lower() (int, error) {
	image, err := b.w.image(b.spec.Image)
	if err != nil {
		return -1, err
	}
	defer unix.Close(image)
	return rootfs.Idmap(image, b.fds["userns"], false)
}

// rootfs makes the container's root: the image below a directory of the container's own.
func (b *birth) rootfs() error {
	lower, err := b.lower()
	if err != nil {
		return err
	}
	b.own = append(b.own, lower)
	upper, work, err := b.directories()
	if err != nil {
		return err
	}
	defer wire.CloseAll([]int{upper, work})
	b.w.overlay.Lock() // the scratch directory is for one at a time
	defer b.w.overlay.Unlock()
	root, err := rootfs.Overlay(lower, upper, work, b.spec.Volatile, b.w.scratch, b.made.Started.MountLabel)
	b.give("root", root)
	if err != nil {
		return fmt.Errorf("root of container %s: %w", short(b.c.id), wire.Full(err))
	}
	if err := b.w.disk.Bound(b.w.directory(b.c.id), b.spec.Disk, false); err != nil {
		return fmt.Errorf("bound the disk of container %s: %w", short(b.c.id), err)
	}
	if b.spec.ShmSize == 0 || b.spec.ShmSize == defaultShm { // the sandbox brings it
		return nil
	}
	shm, err := rootfs.Tmpfs(b.spec.ShmSize, 0o1777, b.box.base, b.box.base, b.made.Started.MountLabel)
	b.give("shm", shm)
	return err
}

// directories makes or opens upper and work of the overlay. The owner of work is the record of the container's ids: the
// container cannot reach it, while it may give its own root, which is upper, to anybody.
func (b *birth) directories() (upper, work int, err error) {
	dir := b.w.directory(b.c.id)
	if b.first {
		err = errors.Join(b.w.disk.Remove(dir), b.w.disk.Make(dir, b.spec.Disk))
	} else { // one that has filled its disk can be started again
		err = b.w.disk.Bound(dir, -1, false)
	}
	if err != nil {
		return -1, -1, wire.Full(err)
	}
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, -1, fmt.Errorf("directory of container %s: %w", short(b.c.id), err)
	}
	defer unix.Close(fd)
	if upper, err = rootfs.Layer(fd, "upper", b.box.base); err != nil {
		return -1, -1, wire.Full(err)
	}
	if work, err = rootfs.Layer(fd, "work", b.box.base); err != nil {
		unix.Close(upper)
	}
	return upper, work, wire.Full(err)
}

// mounts prepares what the spec asks for, each as a detached mount.
func (b *birth) mounts() error {
	for i := range b.spec.Mounts {
		m := &b.spec.Mounts[i]
		fd, err := b.mount(m)
		b.give(fmt.Sprintf("mount%d", i), fd)
		if err == nil {
			err = cmp.Or(b.noteFile(i, fd), b.relabel(m, fd))
		}
		if err != nil {
			return fmt.Errorf("mount on %s: %w", m.Target, err)
		}
	}
	return nil
}

// noteFile notes whether what is mounted is a file.
func (b *birth) noteFile(i, fd int) error {
	var st unix.Stat_t
	err := unix.Fstat(fd, &st)
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		b.fileMounts = append(b.fileMounts, i)
	}
	return err
}

func (b *birth) mount(m *wire.Mount) (int, error) {
	switch m.Kind {
	case wire.MountTmpfs:
		return rootfs.Tmpfs(m.Size, m.Mode, b.box.base+m.UID, b.box.base+m.GID, b.made.Started.MountLabel)
	case wire.MountVolume, wire.MountImage:
		return b.volume(m)
	}
	return b.bind(m)
}

// volume maps the ids that volumes have on disk, or an image, to those of the sandbox. Links in it lead nowhere else.
func (b *birth) volume(m *wire.Mount) (int, error) {
	ids, open := idmap.Volume(b.box.base), b.w.volumes.open
	if m.Kind == wire.MountImage {
		ids, open = idmap.Range(b.box.base), b.w.image
	}
	dir, err := open(m.Source)
	if err != nil {
		return -1, err
	}
	defer unix.Close(dir)
	part, err := path.Open(dir, cmp.Or(m.Subpath, "."), unix.O_PATH, 0, path.InRoot)
	if err != nil {
		return -1, fmt.Errorf("nothing that could be mounted is at %q of %s %s: %w", m.Subpath, m.Kind, m.Source, errdefs.ErrInvalidArgument)
	}
	defer unix.Close(part)
	fd, err := mapped(part, ids, ids, false)
	if err == nil && m.Fill {
		err = b.fill(m, fd)
	}
	return fd, err
}

// source opens a host path as its caller would.
func (b *birth) source(m *wire.Mount) (int, error) {
	src, err := rootfs.OpenHostPath(m.Source, cred.Peer(*b.by), false)
	if errors.Is(err, unix.ENOENT) {
		return -1, fmt.Errorf("bind source %s does not exist on the host. Next: mkdir -p %s: %w", m.Source, m.Source, errdefs.ErrInvalidArgument)
	}
	if err != nil {
		return -1, fmt.Errorf("open %s as user %d: %w: %w", m.Source, b.by.UID, err, errdefs.ErrInvalidArgument)
	}
	err = b.w.bindable(src)
	if name, _ := os.Readlink(path.Proc(src)); b.w.facts.SELinux && m.Relabel != "" && strings.Contains(outside, " "+name+" ") {
		err = fmt.Errorf("the floor policy relabels no directory that the host itself needs: %s: %w", name, errdefs.ErrPermissionDenied)
	}
	if err != nil {
		unix.Close(src)
		return -1, err
	}
	return src, nil
}

// bind maps exactly the caller's ids to the container's user: nothing else can be created, and what belongs to others reads
// as nobody (traps 8, CVE-2021-41091).
func (b *birth) bind(m *wire.Mount) (int, error) {
	src, err := b.source(m)
	if err != nil {
		return -1, err
	}
	defer unix.Close(src)
	by, u := b.by, b.spec.Process.User
	fd, err := mapped(src, idmap.Single(by.UID, b.box.base, u.UID), idmap.Single(by.GID, b.box.base, u.GID), m.Recursive)
	if err != nil {
		return -1, fmt.Errorf("%s: %w", m.Source, err)
	}
	return fd, nil
}

// mapped is a mount of a directory, or of the mounts below it as well, with other ids.
func mapped(dir int, uids, gids idmap.Extent, recursive bool) (int, error) {
	userns, err := idmap.NewUserns(uids, gids)
	if err != nil {
		return -1, err
	}
	defer unix.Close(userns)
	return rootfs.Idmap(dir, userns, recursive)
}

// bindable refuses what no container may have, whoever asks: the engine's own directories, what lies below them or above
// them, and the kernel's. Directories are compared as such, not by what a path calls them.
func (w *Warden) bindable(fd int) error {
	name, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
	st, statErr := os.Stat(fmt.Sprintf("/proc/self/fd/%d", fd))
	if err := errors.Join(err, statErr); err != nil {
		return err
	}
	for _, p := range []string{w.cfg.Root, w.cfg.Run, "/proc", "/sys", "/dev"} {
		why := "it belongs to " + p
		inside, err := within(name, p)
		if err == nil && !inside && st.IsDir() && p != "/proc" && p != "/sys" && p != "/dev" {
			why = p + ", the engine's own, lies below it"
			inside, err = within(p, name)
		}
		if err != nil || inside || name == "/" {
			return fmt.Errorf("the floor policy gives %s to no container: %s: %w", name, why, errors.Join(errdefs.ErrPermissionDenied, err))
		}
	}
	return nil
}

// within tells whether path, or a directory above it, is the directory dir.
func within(path, dir string) (bool, error) {
	want, err := os.Stat(dir)
	if err != nil {
		return false, err
	}
	for ; ; path = filepath.Dir(path) {
		have, err := os.Stat(path)
		if err != nil {
			return false, err
		}
		if os.SameFile(have, want) || path == "/" {
			return os.SameFile(have, want), nil
		}
	}
}

// files makes the engine's own small files, on a file system of their own size.
func (b *birth) files() error {
	if e := b.box.endpoint; e != nil {
		for i := range b.spec.Files {
			f := &b.spec.Files[i]
			f.Content = strings.ReplaceAll(f.Content, "{{ADDRESS}}", e.Addr.String())
		}
	}
	return rootfs.Files(b.fds["own"], b.spec.Files, b.box.base)
}
