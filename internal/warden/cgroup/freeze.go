package cgroup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Freeze stops every process of the group and waits until the kernel says so. When ctx ends first the group is thawed
// again.
func (g *Group) Freeze(ctx context.Context) error {
	err := g.setFrozen(true)
	if err == nil {
		err = retry(ctx, g.frozen)
	}
	if err != nil {
		_ = g.setFrozen(false) // what failed is told below
		return fmt.Errorf("freeze control group %s: %w", g.id, class(err))
	}
	return nil
}

// Thaw lets the processes go on.
func (g *Group) Thaw() error {
	if err := g.setFrozen(false); err != nil {
		return fmt.Errorf("thaw control group %s: %w", g.id, err)
	}
	return nil
}

func (g *Group) setFrozen(on bool) error {
	value, state := "0", "THAWED"
	if on {
		value, state = "1", "FROZEN"
	}
	if h := g.p.host.unified; h != nil {
		return g.write(h, "cgroup.freeze", value)
	}
	h := g.p.host.find("freezer")
	if h == nil {
		return errors.New("this kernel has neither the freezer control group nor version 2")
	}
	return g.write(h, "freezer.state", state)
}

// frozen is nil when all are stopped, EBUSY while some are not. Version 1 may have to be told again while processes
// fork.
func (g *Group) frozen() error {
	if h := g.p.host.unified; h != nil {
		s, err := readAt(h.fd, g.id+"/cgroup.events")
		if err == nil && !strings.Contains(s, "frozen 1") {
			err = unix.EBUSY
		}
		return err
	}
	s, err := readAt(g.p.host.find("freezer").fd, g.id+"/freezer.state")
	if err != nil || s == "FROZEN" {
		return err
	}
	if err := g.setFrozen(true); err != nil {
		return err
	}
	return unix.EBUSY
}

// Kill sends SIGKILL to every process of the group and of those below, frozen or not. In version 2 the kernel does it
// at once; in version 1 alone the group is frozen, so that nothing forks, until ctx ends. It does not wait for their
// end in version 2.
func (g *Group) Kill(ctx context.Context) error {
	if h := g.p.host.unified; h != nil {
		if err := g.write(h, "cgroup.kill", "1"); err != nil {
			return fmt.Errorf("kill control group %s: %w", g.id, class(err))
		}
		return nil
	}
	err := retry(ctx, func() error {
		short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		defer cancel()
		frozen := g.Freeze(short)
		left, err := g.killEach()
		if frozen == nil {
			err = errors.Join(err, g.Thaw())
		}
		if err == nil && left > 0 {
			err = unix.EBUSY
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("kill control group %s: %w", g.id, err)
	}
	return nil
}

// killEach signals every process once and returns how many there were. The group is read again between opening a pidfd
// and using it: a number that is still listed then belongs to the group, and a process that ended meanwhile is not hit
// through its successor.
func (g *Group) killEach() (int, error) {
	pids, err := g.Procs()
	if err != nil || len(pids) == 0 {
		return 0, err
	}
	for chunk := range slices.Chunk(pids, 64) { // descriptors are few (traps 12)
		if err := g.killSome(chunk); err != nil {
			return 0, err
		}
	}
	return len(pids), nil
}

func (g *Group) killSome(pids []int) error {
	fds := make(map[int]int, len(pids))
	defer func() {
		for _, fd := range fds {
			unix.Close(fd)
		}
	}()
	for _, pid := range pids {
		if fd, err := unix.PidfdOpen(pid, 0); err == nil {
			fds[pid] = fd
		} else if err != unix.ESRCH {
			return err
		}
	}
	still, err := g.Procs()
	if err != nil {
		return err
	}
	for _, pid := range still {
		if fd, ok := fds[pid]; ok {
			if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && err != unix.ESRCH {
				return err
			}
		}
	}
	return nil
}
