package warden

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/path"
	"github.com/brig-engine/brig/internal/warden/plan"
	"github.com/brig-engine/brig/internal/wire"
)

// containerCopy starts a worker for cp, diff, export and commit: root of the container's user namespace, which sees what
// the container sees, and nothing of the host. Of one that runs it enters the mounts as they are (and no other namespace);
// for one that does not run the same root is made as for a start, for the worker alone (traps 24).
func (w *Warden) containerCopy(r *wire.Request, q wire.ContainerStart) (wire.Reply, error) {
	by, err := w.admit(r.FDs[1:], &q)
	if err != nil {
		return wire.Reply{}, err
	}
	c := w.locked(q.ID)
	defer c.mu.Unlock()
	q.Spec.Network, q.Spec.Volatile = wire.Network{}, false
	b := &birth{program: newProgram(w, c, by, &q.Spec.Process, &process{}), spec: &q.Spec, note: &note{}}
	defer func() { go wire.CloseAll(b.own) }()
	view := &plan.Input{Host: w.host}
	steps := []func() error{b.processOne}
	if c.note == nil || c.note.Exit != nil {
		view.Spec = b.spec
		steps = []func() error{func() error { return w.dismiss(c) }, b.sandbox, b.rootfs, b.mounts, b.files}
	}
	b.fds["fd0"] = r.FDs[0]
	if err := inOrder(append(steps, b.layers, func() error { return b.copier(view) })...); err != nil {
		return wire.Reply{}, errors.Join(err, b.undoRoot())
	}
	return wire.Reply{FDs: b.theirs}, nil
}

// layers opens what was changed and the image that it is a change of, each as a mount that leads nowhere else.
func (b *birth) layers() error {
	lower, err := b.lower()
	b.give("fd2", lower)
	upper, errUpper := unix.OpenTree(unix.AT_FDCWD, filepath.Join(b.w.directory(b.c.id), "upper"),
		unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_SYMLINK_NOFOLLOW)
	b.give("fd1", upper)
	return errors.Join(err, os.NewSyscallError("open the changes of a container", errUpper))
}

// copier gives birth to the worker. It executes nothing, makes no device, and reaches no network, whatever it was made to do.
func (b *birth) copier(view *plan.Input) error {
	view.Files = b.fileMounts
	d := domain{everything(^uint64(0)), map[string]uint64{path.Proc(b.fds["root"]): unix.LANDLOCK_ACCESS_FS_REFER}}
	d.handled.FS = deviceNodes | unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_REFER
	k, err := b.w.birthOfWorker(&service{filter: "copier", domain: &d, parts: parts{fds: b.fds},
		ServiceInput: plan.ServiceInput{Capabilities: copying, View: view, FDs: 2}})
	if err != nil {
		return err
	}
	k.patience = workerPatience
	b.theirs, err = dups(k.pidfd)
	b.c.copiers.Store(k.group, nil)
	b.c.cleaning.Add(1)
	b.w.background.Go(func() {
		defer b.c.cleaning.Done()
		defer b.c.copiers.Delete(k.group)
		b.w.reapWorker(k)
	})
	return err
}

// dismiss ends those workers and waits for the rest of the last run, so that nobody else has the root of a container that
// is about to start or to go. One that hangs in the kernel is waited for as long as for any group, and no longer.
func (w *Warden) dismiss(c *container) error {
	for group := range c.copiers.Range {
		if err := w.removeGroup(group.(string)); err != nil {
			return fmt.Errorf("what copies files of container %s does not end: %w: %w", short(c.id), errdefs.ErrConflict, err)
		}
	}
	c.cleaning.Wait()
	return nil
}
