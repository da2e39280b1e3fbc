package warden

import (
	"errors"
	"fmt"

	"github.com/containerd/errdefs"
)

// A container that joins namespaces of another one is in its sandbox: it has the same range of ids, and its processes are
// in the same user namespace, without which they could do nothing in the others. The range is free again when the last of
// them is removed. Who may join whom is for brigd to say, as who executes what in which container.

// joined opens what is needed of the container whose namespaces another one joins, if there is one. No lock is held: two
// that join each other would wait for ever.
func (w *Warden) joined(id string) (p program, err error) {
	p.fds = map[string]int{}
	if id == "" {
		return p, nil
	}
	if p.c, err = w.running(id); err != nil {
		return p, err
	}
	defer p.c.mu.Unlock()
	if err = p.processOne(); err != nil {
		return p, err
	}
	delete(p.fds, "root") // that one's, and no birth's
	fd, err := dup(p.fds["pid1"])
	p.give("pid1", fd)
	return p, err
}

// inherit makes the sandbox of a container that joins another one, with its range: within its user namespace, or for a look
// at the files of one that never ran in a new one. own is the range of the container's directory, if it has one.
func (b *birth) inherit(own uint32, endpoint bool) (s *sandbox, err error) {
	owner := b.spec.Join.Container
	base, _ := b.w.rangeOf(owner)
	if b.first {
		own = base
		b.w.ranges.hold(base, 1)
	}
	// Its directory is still there: nobody else can have had the range before it was held.
	again, err := b.w.rangeOf(owner)
	if err != nil || again != base || own != base {
		err = fmt.Errorf("container %s was never started, or has other ids than %s: %w", short(owner), short(b.c.id), errors.Join(errdefs.ErrFailedPrecondition, err))
	} else {
		s, err = b.w.sandboxAt(base, b.fds["userns"], endpoint)
	}
	if err != nil && b.first {
		b.w.ranges.hold(base, -1)
	}
	return s, err
}
