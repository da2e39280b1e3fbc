package warden

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/wire"
)

// keep is this process's side of the keeper's service: descriptors that a successor will need.
type keep struct{ conn *wire.Conn }

// openKeep takes over the connection to the keeper and reads what it kept for us.
func openKeep(fd int) (*keep, map[string]int, error) {
	conn, err := wire.FileConn(fd, "keeper")
	if err != nil {
		return nil, nil, err
	}
	have := map[string]int{}
	for {
		k, fds, err := conn.ReceiveKeep()
		if err != nil {
			return nil, nil, fmt.Errorf("read what the keeper holds: %w", err)
		}
		switch {
		case k.Op == wire.KeepEnd:
			return &keep{conn}, have, nil
		case k.Op == wire.KeepHave && len(fds) == 1:
			have[k.Key] = fds[0]
		default:
			wire.CloseAll(fds)
			return nil, nil, fmt.Errorf("the keeper sent %q with %d descriptors", k.Op, len(fds))
		}
	}
}

// hold gives the keeper a copy of fd. The message is in its socket when this returns, and survives us.
func (k *keep) hold(key string, fd int) error {
	if err := k.conn.SendKeep(wire.Keep{Op: wire.KeepHold, Key: key}, fd); err != nil {
		return fmt.Errorf("hand %s to the keeper: %w", key, err)
	}
	return nil
}

func (k *keep) drop(key string) error {
	return k.conn.SendKeep(wire.Keep{Op: wire.KeepDrop, Key: key})
}

// watch ends this process when the keeper is gone: without it nobody would start us again.
func (k *keep) watch() {
	for {
		_, fds, err := k.conn.ReceiveKeep()
		wire.CloseAll(fds)
		if err != nil {
			fmt.Fprintln(os.Stderr, "brig-warden: the keeper is gone")
			unix.Kill(unix.Getpid(), unix.SIGKILL)
		}
	}
}
