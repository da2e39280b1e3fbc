// Package idmap makes user namespaces, and pairs of a user and a network namespace, that exist as descriptors only.
//
// Zone: brig-warden (root). Input: id ranges that the warden chose. Output: descriptors.
// Spec: user_namespaces(7), network_namespaces(7), mount_setattr(2), netlink(7), Documentation/networking/ip-sysctl.
// Answers: A2 (no two sandboxes share an account that the kernel keeps), A3 (no id of a container is an id of the host), A5
// (no two sandboxes share an id), A6 (router advertisements: CVE-2020-13401).
package idmap

import (
	"cmp"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/clone"
	"github.com/brig-engine/brig/internal/kernel/mount"
	"github.com/brig-engine/brig/internal/wire"
)

// Size is the number of ids of a sandbox.
const Size = 65536

// Extent maps Size ids that begin at Inside to those that begin at Outside.
type Extent struct {
	Inside, Outside, Size uint32
}

// Range is the map of a sandbox whose range begins at base.
func Range(base uint32) Extent { return Extent{Outside: base, Size: Size} }

// VolumeBase is where the ids of volumes lie on disk: a range that no container runs with, so that a volume serves
// sandboxes of different ranges and a recycled range inherits nothing (T8).
const VolumeBase = 0x7FFC0000

// Volume is the map of a volume's mount for the sandbox whose range begins at base.
func Volume(base uint32) Extent { return Extent{Inside: VolumeBase, Outside: base, Size: Size} }

// Single maps one id of the host to one id of the sandbox whose range begins at base: the caller of a bind mount and
// the user of the container. All other ids are nobody's (T8).
func Single(host, base, inside uint32) Extent {
	return Extent{Inside: host, Outside: base + inside, Size: 1}
}

// NewUserns makes a user namespace, for the maps of a mount.
func NewUserns(uids, gids Extent) (int, error) {
	fds, err := namespaces(unix.CLONE_NEWUSER, uids, gids, nil, nil, "user")
	return append(fds, -1)[0], err
}

// NewSandbox makes the user namespace of the container whose range begins at base, and a network namespace that belongs to
// it, with settings and loopback. Nobody is in them; the descriptors keep them. route is a NETLINK_ROUTE socket in there,
// through which brig-router, which enters no namespace, furnishes the rest: the kernel acts on it for who has
// CAP_NET_ADMIN both where it was opened and where it is used. With the descriptor of a user namespace that has this range
// already, in place of 0, only the network namespace is new.
//
// The settings are written through a proc of their own: one for all would have "net" of each living namespace in one
// chain of its cache, and every start would look through it, for 1.8 ms with 2,000 containers.
func NewSandbox(base uint32, within int) (user, net, route int, err error) {
	proc, err := mount.New("proc", 0)
	if err != nil {
		return -1, -1, -1, err
	}
	defer unix.Close(proc)
	ids, flags, given := Range(base), uintptr(unix.CLONE_NEWUSER|unix.CLONE_NEWNET), []int{proc}
	if within > 0 {
		flags, given = unix.CLONE_NEWNET, []int{within, proc}
	}
	fds, err := namespaces(flags, ids, ids, furnish, given, "user", "net")
	fds = append(fds, -1, -1, -1)
	return fds[0], fds[1], fds[2], err
}

// names says what is attempted by the steps of a program that a person may have to do something about.
type names map[int]string

// namespaces lets a child make namespaces, writes their maps, opens them by name and ends the child. Before that the child
// does what inside adds, as root of the new namespaces and with the descriptors given, and sends one, which is the last
// of fds.
//
// The kernel charges whoever makes a user namespace for inotify instances, message queues, signals and locked memory that
// are taken in it. If that were the host's root for all, one container could take what belongs to every other and to the
// host (A2), so the child makes them as the first id of the range, with its capabilities: some kernels ask for them.
func namespaces(
	flags uintptr, uids, gids Extent, inside func(*clone.Program) names, given []int, kinds ...string,
) (fds []int, err error) {
	var what names
	defer func() {
		if err != nil {
			wire.CloseAll(fds)
			fds, err = nil, fmt.Errorf("make namespaces: %w", explain(err, what))
		}
	}()
	p := clone.New()
	const same, keepCaps = ^uintptr(0), 1 << 2 // SECBIT_NO_SETUID_FIXUP
	p.Add(clone.Do(unix.SYS_PRCTL, unix.PR_SET_SECUREBITS, keepCaps))
	p.Add(clone.Do(unix.SYS_SETRESUID, same, uintptr(uids.Outside), same))
	p.Add(clone.Do(unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 0))
	if flags&unix.CLONE_NEWUSER == 0 { // it is the first of what is given
		user, _ := p.NewSlot()
		p.Input(user)
		p.Add(clone.Step{Nr: unix.SYS_SETNS, Args: [6]uintptr{0, unix.CLONE_NEWUSER}, From: [6]clone.Slot{user}})
	}
	p.Add(clone.Do(unix.SYS_UNSHARE, flags))
	p.Gate()
	if inside != nil {
		what = inside(p)
	}
	child := clone.NewChild(0)
	defer child.Kill()
	if err = child.Start(p, given); err == nil {
		_, err = child.Await()
	}
	if err != nil {
		return nil, err
	}
	if fds, err = adopt(child.PID, flags&unix.CLONE_NEWUSER != 0, uids, gids, kinds); err != nil || inside == nil {
		return fds, err
	}
	if err := child.Pass(); err != nil {
		return fds, err
	}
	fd, err := child.Await() // -1 with an error
	return append(fds, fd), err
}

// adopt writes the maps of the process that made the namespaces, if they are new, and opens these. The process is our child and not
// reaped: its number means no other.
func adopt(pid int, new bool, uids, gids Extent, kinds []string) (fds []int, err error) {
	proc := fmt.Sprintf("/proc/%d/", pid)
	if new {
		err = cmp.Or(os.WriteFile(proc+"uid_map", uids.text(), 0), os.WriteFile(proc+"gid_map", gids.text(), 0))
	}
	if err != nil {
		return nil, err
	}
	for _, kind := range kinds {
		fd, err := unix.Open(proc+"ns/"+kind, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return fds, err
		}
		fds = append(fds, fd)
	}
	return fds, nil
}

func (e Extent) text() []byte { return fmt.Appendf(nil, "%d %d %d\n", e.Inside, e.Outside, e.Size) }

// explain names the step that failed.
func explain(err error, what names) error {
	var step *clone.StepError
	if errors.As(err, &step) && what[step.Step] != "" {
		return fmt.Errorf("%s: %w", what[step.Step], step)
	}
	return err
}
