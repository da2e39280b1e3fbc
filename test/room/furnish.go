package room

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const cgroupRoot = "/sys/fs/cgroup"

// mount is one mount(2) of a room.
type mount struct {
	source, target, kind string
	flags                uintptr
	data                 string
}

// mounts lists what a room sees instead of the machine's own, in order.
func (p *Plan) mounts() []mount {
	m := []mount{
		{"", "/", "", unix.MS_REC | unix.MS_PRIVATE, ""},
		{"proc", "/proc", "proc", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
		{"tmpfs", "/run", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=755"},
		{"tmpfs", "/dev/shm", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=1777"},
		{filepath.Join(p.Dir, "var-lib"), "/var/lib", "", unix.MS_BIND, ""},
	}
	if p.Tree == "" {
		return m
	}
	return append(m,
		mount{"overlay", "/usr", "overlay", unix.MS_RDONLY, "lowerdir=" + p.Tree + "/usr:/usr"},
		mount{"overlay", "/etc", "overlay", 0, fmt.Sprintf(
			"lowerdir=%s/etc:/etc,upperdir=%s/etc,workdir=%[2]s/etc-work", p.Tree, p.Dir)})
}

// furnish makes the namespaces that this process was born in a place to run an engine in.
func (p *Plan) furnish() error {
	if err := enterCgroup(p.Cgroup); err != nil {
		return fmt.Errorf("enter control group %s: %w", p.Cgroup, err)
	}
	for _, m := range p.mounts() {
		if err := unix.Mount(m.source, m.target, m.kind, m.flags, m.data); err != nil {
			return fmt.Errorf("mount %s: %w", m.target, err)
		}
	}
	if p.Plain {
		err := unix.Unmount(filepath.Join(cgroupRoot, "unified"), unix.MNT_DETACH)
		if err != nil && err != unix.EINVAL && err != unix.ENOENT { // a machine without that mount
			return fmt.Errorf("leave the cgroup v2 hierarchy out: %w", err)
		}
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find the loopback interface: %w", err)
	}
	if err := netlink.LinkSetUp(lo); err != nil || !p.Host {
		return err
	}
	if err := uplink(); err != nil {
		return fmt.Errorf("give the room a way out: %w", err)
	}
	return raiseLimits()
}

// uplink is the interface that a host has, with a cable that leads to nobody. 203.0.113.0/24 is TEST-NET-3, nobody's.
func uplink() error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "eth0"
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "beyond0"}); err != nil {
		return err
	}
	far, err := netlink.LinkByName("beyond0")
	if err == nil {
		err = netlink.LinkSetUp(far)
	}
	if err != nil {
		return err
	}
	near, err := netlink.LinkByName(attrs.Name)
	if err != nil {
		return err
	}
	addr, err := netlink.ParseAddr("203.0.113.2/24")
	if err == nil {
		err = netlink.AddrAdd(near, addr)
	}
	if err == nil {
		err = netlink.LinkSetUp(near)
	}
	if err != nil {
		return err
	}
	return netlink.RouteAdd(&netlink.Route{LinkIndex: near.Attrs().Index, Gw: net.IPv4(203, 0, 113, 1)})
}

// raiseLimits does what LimitNOFILE, LimitNPROC and LimitCORE=infinity of the engines' units do, as far as this machine
// lets them.
func raiseLimits() error {
	for _, what := range []int{unix.RLIMIT_NOFILE, unix.RLIMIT_NPROC, unix.RLIMIT_CORE} {
		var l unix.Rlimit
		if err := unix.Getrlimit(what, &l); err != nil {
			return err
		}
		l.Cur = l.Max
		if err := unix.Setrlimit(what, &l); err != nil {
			return fmt.Errorf("raise limit %d: %w", what, err)
		}
	}
	return nil
}

// hierarchies lists the mount points of control groups: one on a machine with v2 only, else one per v1 hierarchy and
// that of v2 beside them.
func hierarchies() []string {
	if _, err := os.Stat(filepath.Join(cgroupRoot, "cgroup.procs")); err == nil {
		return []string{cgroupRoot}
	}
	var found []string
	entries, _ := os.ReadDir(cgroupRoot)
	for _, e := range entries {
		if e.IsDir() { // the others are links to joint hierarchies
			found = append(found, filepath.Join(cgroupRoot, e.Name()))
		}
	}
	return found
}

// enterCgroup moves this process into NAME/agent of every hierarchy. What engines derive from their own group or are
// told to make below NAME can then be swept by its name. The agent sits in a leaf: v2 allows processes there only.
func enterCgroup(name string) error {
	for _, h := range hierarchies() {
		leaf := filepath.Join(h, name, "agent")
		if err := os.MkdirAll(leaf, 0o755); err != nil {
			return err
		}
		for _, file := range []string{"cpuset.cpus", "cpuset.mems"} { // v1: empty at first, and no process may enter
			all, err := os.ReadFile(filepath.Join(h, file))
			if err != nil {
				continue
			}
			for _, dir := range []string{filepath.Dir(leaf), leaf} {
				if err := os.WriteFile(filepath.Join(dir, file), all, 0); err != nil {
					return err
				}
			}
		}
		if err := os.WriteFile(filepath.Join(leaf, "cgroup.procs"), []byte("0"), 0); err != nil {
			return err
		}
	}
	return nil
}

// Missing are those of some control groups that no hierarchy has: whoever makes them later may remove them.
func Missing(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		return slices.ContainsFunc(hierarchies(), func(h string) bool {
			_, err := os.Stat(filepath.Join(h, name))
			return err == nil
		})
	})
}

// SweepCgroups removes the control groups whose names were derived from a directory, after all rooms have closed.
func SweepCgroups(names ...string) error {
	var left []string
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		left = left[:0]
		for _, h := range hierarchies() {
			for _, name := range names {
				left = append(left, removeGroups(filepath.Join(h, name))...)
			}
		}
		if len(left) == 0 {
			return nil
		}
		if time.Now().After(end) { // processes that have ended leave their groups with a delay
			return errors.New("control groups left behind: " + strings.Join(left, ", "))
		}
	}
}

// removeGroups removes a control group with all below it, deepest first, and returns those that would not go.
func removeGroups(top string) (left []string) {
	var dirs []string
	filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			dirs = append(dirs, path)
		}
		return nil
	})
	for _, d := range slices.Backward(dirs) {
		if err := os.Remove(d); err != nil && !errors.Is(err, fs.ErrNotExist) {
			left = append(left, d)
		}
	}
	return left
}
