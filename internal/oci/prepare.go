package oci

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/oci/birth"
	"github.com/brig-engine/brig/internal/oci/config"
	"github.com/brig-engine/brig/internal/oci/userns"
)

// plan prepares on the host what the list of the birth names, and makes the list.
func (c *container) plan(tasks []int) (*birth.List, error) {
	in := &birth.Input{Spec: c.spec, Root: c.Root, NoPivot: c.o.noPivot, NoKeyring: c.o.noKeyring, Wait: c.wait, Tasks: len(tasks),
		UserNS: config.Has(c.spec.Linux, specs.UserNamespace)}
	for i, fd := range tasks {
		c.fds[fmt.Sprintf("tasks%d", i)] = fd
	}
	for _, step := range []func(*birth.Input) error{c.withoutPivot, c.openNamespaces, c.openRoot, c.openMounts, c.openDevices,
		c.describeProcess, c.openFIFO} {
		if err := step(in); err != nil {
			return nil, err
		}
	}
	return birth.Create(in)
}

// openNamespaces opens those by path, and makes the user namespace.
func (c *container) openNamespaces(in *birth.Input) error {
	for _, n := range c.spec.Linux.Namespaces {
		if n.Path == "" {
			continue
		}
		fd, err := unix.Open(n.Path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("open the namespace %s: %w", n.Path, err)
		}
		c.fds[config.File(n.Type)+"ns"] = fd
		kind, err := unix.IoctlRetInt(fd, unix.NS_GET_NSTYPE)
		if err != nil || kind != config.Flag(n.Type) {
			return fmt.Errorf("linux.namespaces: %s is no namespace of type %s", n.Path, n.Type)
		}
		if n.Type == specs.MountNamespace && same(fd, "/proc/self/ns/mnt") {
			return fmt.Errorf("linux.namespaces: %s is the mount namespace of the runtime, and would lose its root", n.Path)
		}
	}
	if !config.New(c.spec.Linux, specs.UserNamespace) {
		return nil
	}
	fd, err := userns.New(c.spec.Linux.UIDMappings, c.spec.Linux.GIDMappings)
	if err == nil {
		c.fds["userns"] = fd
	}
	return err
}

func same(fd int, name string) bool {
	var a, b unix.Stat_t
	return unix.Fstat(fd, &a) == nil && unix.Stat(name, &b) == nil && a.Ino == b.Ino && a.Dev == b.Dev
}

// openRoot makes the root file system a mount of its own. What is mounted there later on the host is not the container's.
func (c *container) openRoot(*birth.Input) error {
	fd, err := unix.OpenTree(unix.AT_FDCWD, c.Root, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	if err != nil {
		return fmt.Errorf("open the root %s: %w", c.Root, err)
	}
	c.fds["root"] = fd
	spread := uint64(unix.MS_PRIVATE)
	if flag, _, _ := config.Propagation(c.spec.Linux.RootfsPropagation); flag == unix.MS_SLAVE { // later there is nobody to follow
		spread = flag
	}
	return setMount(fd, c.Root, &unix.MountAttr{Propagation: spread}, true)
}

func setMount(fd int, where string, attr *unix.MountAttr, recursive bool) error {
	at := uint(unix.AT_EMPTY_PATH)
	if recursive {
		at |= unix.AT_RECURSIVE
	}
	if err := unix.MountSetattr(fd, "", at, attr); err != nil {
		return fmt.Errorf("set the options of the mount on %s: %w", where, err)
	}
	return nil
}

// openMounts opens what is bound, from the host, and sets its options before it is anywhere.
func (c *container) openMounts(in *birth.Input) error {
	in.Files, in.MountLabel = map[int]bool{}, c.spec.Linux.MountLabel
	for i := range c.spec.Mounts {
		m, err := config.ParseMount(&c.spec.Mounts[i])
		if err != nil {
			return err
		}
		if label := c.spec.Linux.MountLabel; label != "" && (m.Type == "tmpfs" || m.Type == "devpts") {
			m.Data = append(m.Data, "context="+label)
		}
		in.Mounts = append(in.Mounts, m)
		in.Pts = in.Pts || m.Type == "devpts" && m.Target == "/dev/pts"
		switch {
		case m.Type == "cgroup" || m.Type == "cgroup2":
			err = c.openHierarchies(in, m)
		case m.Bind:
			in.Files[i], err = c.bind(fmt.Sprintf("bind%d", i), m)
		}
		if err != nil {
			return err
		}
	}
	in.DevLinks = !slices.ContainsFunc(in.Mounts, func(m *config.Mount) bool { return m.Bind && m.Target == "/dev" })
	return nil
}

// bind opens a file or directory of the host as a mount that is nowhere yet.
func (c *container) bind(name string, m *config.Mount) (file bool, err error) {
	source := m.Source
	if !filepath.IsAbs(source) {
		source = filepath.Join(c.o.bundle, source)
	}
	info, err := os.Stat(source)
	if err != nil {
		return false, fmt.Errorf("mount on %s: %w", m.Target, err)
	}
	flags := uint(unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC)
	if m.Recursive {
		flags |= unix.AT_RECURSIVE
	}
	fd, err := unix.OpenTree(unix.AT_FDCWD, source, flags)
	if err != nil {
		return false, fmt.Errorf("mount %s on %s: %w", source, m.Target, err)
	}
	c.fds[name] = fd
	if err := c.dress(fd, m); err != nil {
		return false, err
	}
	return !info.IsDir(), nil
}

// dress gives a bind its options. Without a word about propagation, the container sees what the host mounts there later,
// and the host nothing of the container.
func (c *container) dress(fd int, m *config.Mount) error {
	if m.Set|m.Clear != 0 {
		if err := setMount(fd, m.Target, &unix.MountAttr{Attr_set: m.Set, Attr_clr: m.Clear}, false); err != nil {
			return err
		}
	}
	if m.AllSet|m.AllClear != 0 {
		if err := setMount(fd, m.Target, &unix.MountAttr{Attr_set: m.AllSet, Attr_clr: m.AllClear}, true); err != nil {
			return err
		}
	}
	if m.IDMap {
		if err := c.mapIDs(fd, m); err != nil {
			return err
		}
	}
	spread := m.Propagation
	if len(spread) == 0 {
		spread = []config.Spread{{Flag: unix.MS_SLAVE, Recursive: true}}
	}
	for _, s := range spread {
		if err := setMount(fd, m.Target, &unix.MountAttr{Propagation: s.Flag}, s.Recursive); err != nil {
			return err
		}
	}
	return nil
}

// mapIDs maps the ids of a mount: by its own maps, or as the container's user namespace does.
func (c *container) mapIDs(fd int, m *config.Mount) error {
	user, ok := c.fds["userns"]
	if len(m.UIDs) > 0 {
		var err error
		if user, err = userns.New(m.UIDs, m.GIDs); err != nil {
			return fmt.Errorf("mount on %s: %w", m.Target, err)
		}
		defer unix.Close(user)
	} else if !ok {
		return fmt.Errorf("mount on %s: idmap needs uidMappings and gidMappings, or a user namespace", m.Target)
	}
	return setMount(fd, m.Target, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(user)}, m.AllIDMap)
}

// openHierarchies opens the container's own control groups.
func (c *container) openHierarchies(in *birth.Input, m *config.Mount) error {
	if in.Hierarchies != nil {
		return fmt.Errorf("mount on %s: control groups are mounted twice", m.Target)
	}
	alone := len(c.Groups.Dirs) == 1
	for _, d := range c.Groups.Dirs {
		if d.V2() && !alone { // on a machine with both, containers see version 1
			continue
		}
		h := birth.Hierarchy{Name: filepath.Base(d.Mount)}
		if d.V2() {
			h.Name = ""
		} else if strings.Contains(h.Name, ",") {
			h.Links = strings.Split(h.Name, ",")
		}
		fd, err := unix.OpenTree(unix.AT_FDCWD, d.Name(), unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
		if err != nil {
			return fmt.Errorf("open control group %s: %w", d.Name(), err)
		}
		c.fds[fmt.Sprintf("cg%d", len(in.Hierarchies))] = fd
		own := *m
		own.Set |= unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC
		own.Propagation = []config.Spread{{Flag: unix.MS_PRIVATE}}
		if err := c.dress(fd, &own); err != nil {
			return err
		}
		in.Hierarchies = append(in.Hierarchies, h)
	}
	return nil
}

// giveGroups makes the container's root the owner of its group of version 2, if it may write to it.
func (c *container) giveGroups() error {
	l := c.spec.Linux
	writes := slices.ContainsFunc(c.spec.Mounts, func(m specs.Mount) bool {
		return (m.Type == "cgroup" || m.Type == "cgroup2") && !slices.Contains(m.Options, "ro")
	})
	if !writes || !config.New(l, specs.UserNamespace) || !config.New(l, specs.CgroupNamespace) || len(c.Groups.Dirs) != 1 ||
		!c.Groups.Dirs[0].V2() {
		return nil
	}
	owner := int(userns.Host(l.UIDMappings, 0))
	for _, name := range []string{"", "/cgroup.procs", "/cgroup.subtree_control", "/cgroup.threads"} {
		if err := os.Chown(c.Groups.Dirs[0].Name()+name, owner, -1); err != nil {
			return fmt.Errorf("give control groups to the container's root: %w", err)
		}
	}
	return nil
}

func (c *container) openFIFO(*birth.Input) error {
	if !c.wait {
		return nil
	}
	fd, err := c.MakeFIFO()
	if err == nil {
		c.fds["fifo"] = fd
	}
	return err
}
