package container

import (
	"fmt"
	"time"

	"github.com/containerd/errdefs"

	"github.com/brig-engine/brig/internal/daemon/policy"
)

// A container that joins namespaces of another one depends on it at each start. While both run, the owner may end: who
// shares its process namespace ends with it, others go on, with a network that leads nowhere; as in Docker, only a start
// of theirs finds the owner's next run.

// owner gives what a request that wants to join a container has to know of it.
func (e *Engine) owner(name string) (*policy.Owner, error) {
	c, err := e.Find(name)
	if err != nil {
		return nil, err
	}
	v := c.View()
	return &policy.Owner{ID: v.ID, Hostname: v.Config.Hostname, Domainname: v.Config.Domainname,
		Level: v.Spec.Process.Level, ShareableIPC: v.Host.IpcMode.IsShareable() || v.Host.IpcMode.IsContainer()}, nil
}

// ownerRuns says why a container cannot start, in Docker's words, if that is because of the one that it joins.
func (c *Container) ownerRuns() error {
	id := c.rec.Spec.Join.Container
	if id == "" {
		return nil
	}
	what, h := "network", &c.rec.Host
	switch {
	case h.NetworkMode.IsContainer():
	case h.IpcMode.IsContainer():
		what = "IPC"
	default:
		what = "PID"
	}
	owner, err := c.e.Find(id)
	if err != nil { // "not found" would be about this container
		return fmt.Errorf("joining %s namespace of container: No such container: %s: %w", what, id, errdefs.ErrConflict)
	}
	switch v := owner.View(); v.State {
	case Running:
		return nil
	case Restarting:
		return fmt.Errorf("cannot join %s namespace of container: Container %s is restarting, wait until the container is running: %w",
			what, v.Name, errdefs.ErrConflict)
	default:
		return fmt.Errorf("cannot join %s namespace of a non running container: container %s is %s: %w", what, v.Name, v.Status(),
			errdefs.ErrConflict)
	}
}

// ownerPause is between two looks at an owner that is about to start again.
const ownerPause = 200 * time.Millisecond

// ownerComes tells whether the one that this container joins is about to start again by itself, or is on its way: it is
// called running before the warden has it. Nobody waits for that here: the owner may need the place that this start has.
func (c *Container) ownerComes() bool {
	owner, err := c.e.Find(c.rec.Spec.Join.Container)
	if err != nil {
		return false
	}
	if !owner.life.TryLock() {
		return true
	}
	defer owner.life.Unlock()
	return owner.state() == Restarting
}
