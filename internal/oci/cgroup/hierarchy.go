package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Group is one container's groups. It is part of a container's record.
type Group struct {
	// Dirs has the container's directory in each hierarchy.
	Dirs []Dir `json:"dirs"`
	// Unit is the scope of systemd that the groups belong to, in a slice; "" without systemd.
	Unit  string `json:"unit,omitempty"`
	Slice string `json:"slice,omitempty"`
	// Serial is the number of the scope's group, which no other group ever has; 0 until systemd has made it.
	Serial uint64 `json:"serial,omitempty"`
}

// Dir is a control group in one hierarchy.
type Dir struct {
	// Controllers of version 1, or its name=…; none in version 2.
	Controllers []string `json:"controllers,omitempty"`
	Mount       string   `json:"mount"`
	Path        string   `json:"path"` // below Mount, begins with /
}

// V2 tells whether the group is one of version 2.
func (d *Dir) V2() bool { return len(d.Controllers) == 0 }

// Name is the directory.
func (d *Dir) Name() string { return d.Mount + d.Path }

func (d *Dir) file(name string) string { return d.Mount + d.Path + "/" + name }

// Place says where a container's groups are: at path in every hierarchy if that is absolute, below the groups of this
// process if it is relative, and in a group of the container's name there if there is none.
func Place(path, id string) (*Group, error) {
	if strings.Count(path, ":") == 2 && !filepath.IsAbs(path) {
		return nil, fmt.Errorf("linux.cgroupsPath %q is a scope of systemd. Next: brig-oci --systemd-cgroup, or set the engine to cgroupfs", path)
	}
	return placeFrom("self", path, id)
}

// placeFrom takes the groups of a process for its own.
func placeFrom(process, path, id string) (*Group, error) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("find control groups: %w", err)
	}
	own, err := os.ReadFile("/proc/" + process + "/cgroup")
	if err != nil {
		return nil, fmt.Errorf("find control groups: %w", err)
	}
	g := place(string(mounts), string(own), path, id)
	if len(g.Dirs) == 0 {
		return nil, errors.New("no control groups are mounted")
	}
	return g, nil
}

// place finds the mounts of control groups: the last field has a hierarchy's controllers, the fourth which group is
// mounted.
func place(mountinfo, own, path, id string) *Group {
	g := &Group{}
	for line := range strings.Lines(mountinfo) {
		mount, super, ok := strings.Cut(strings.TrimSpace(line), " - ")
		m, s := strings.Fields(mount), strings.Fields(super)
		if !ok || len(m) < 5 || len(s) < 3 || s[0] != "cgroup" && s[0] != "cgroup2" {
			continue
		}
		d := Dir{Mount: m[4]}
		if s[0] == "cgroup" {
			d.Controllers = controllers(s[2])
		}
		if slices.ContainsFunc(g.Dirs, func(o Dir) bool { return slices.Equal(o.Controllers, d.Controllers) }) {
			continue
		}
		switch {
		case path == "":
			d.Path = filepath.Join(ownGroup(own, d.Controllers, m[3]), id)
		case filepath.IsAbs(path):
			d.Path = filepath.Clean(path)
		default:
			d.Path = filepath.Join(ownGroup(own, d.Controllers, m[3]), filepath.Join("/", path))
		}
		g.Dirs = append(g.Dirs, d)
	}
	return g
}

// controllers picks them out of the options of a mount.
func controllers(options string) (found []string) {
	for o := range strings.SplitSeq(options, ",") {
		switch o {
		case "rw", "ro", "xattr", "clone_children", "noprefix", "cpuset_v2_mode", "favordynmods":
		default:
			if !strings.HasPrefix(o, "release_agent=") {
				found = append(found, o)
			}
		}
	}
	return found
}

// ownGroup is the group of this process in a hierarchy whose mount shows top.
func ownGroup(own string, controllers []string, top string) string {
	for line := range strings.Lines(own) {
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(f) != 3 {
			continue
		}
		list := strings.Split(f[1], ",")
		if f[1] == "" {
			list = nil
		}
		if len(list) == len(controllers) && !slices.ContainsFunc(list, func(c string) bool { return !slices.Contains(controllers, c) }) {
			if rest, ok := strings.CutPrefix(f[2], strings.TrimSuffix(top, "/")); ok {
				return filepath.Join("/", rest)
			}
		}
	}
	return "/"
}

// find gives the group of a controller, in whichever version holds it.
func (g *Group) find(controller string) *Dir {
	for i := range g.Dirs {
		d := &g.Dirs[i]
		if slices.Contains(d.Controllers, controller) {
			return d
		}
	}
	u := g.unified()
	if u == nil {
		return nil
	}
	names, _ := os.ReadFile(u.file("cgroup.controllers"))
	if controller == "blkio" {
		controller = "io"
	}
	if slices.Contains(strings.Fields(string(names)), controller) {
		return u
	}
	return nil
}

func (g *Group) unified() *Dir {
	for i := range g.Dirs {
		if g.Dirs[i].V2() {
			return &g.Dirs[i]
		}
	}
	return nil
}

// Create makes the groups. Those that are there already are used, if nobody is in them.
func (g *Group) Create() error {
	for i := range g.Dirs {
		d := &g.Dirs[i]
		err := unix.Mkdir(d.Name(), 0o755)
		if err == unix.ENOENT || err == nil && d.needsFilling() || err == unix.EEXIST && d.needsFilling() {
			err = d.fill()
		}
		if err == unix.EEXIST {
			err = nil
		}
		if err == nil && d.V2() {
			d.delegate()
		}
		if err != nil {
			return fmt.Errorf("make control group %s: %w", d.Name(), err)
		}
	}
	if g.Unit != "" { // it was new, and one process waits in it
		return nil
	}
	// Whose processes these were would get the bounds of this container, and its end.
	switch pids, err := g.PIDs(true); {
	case err != nil:
		return fmt.Errorf("look into control group %s: %w", g.counted().Name(), err)
	case len(pids) > 0:
		return fmt.Errorf("control group %s has processes already, such as %d: %w", g.counted().Name(), pids[0], unix.EBUSY)
	}
	return nil
}

// needsFilling: nothing may enter a group of version 1 that has no processors or memory nodes.
func (d *Dir) needsFilling() bool { return slices.Contains(d.Controllers, "cpuset") }

// fill makes the groups above, and gives each processors and memory nodes from the one above it where it has none.
func (d *Dir) fill() error {
	at := d.Mount
	for part := range strings.SplitSeq(strings.Trim(d.Path, "/"), "/") {
		above := at
		at += "/" + part
		if err := unix.Mkdir(at, 0o755); err != nil && err != unix.EEXIST {
			return err
		}
		if !d.needsFilling() {
			continue
		}
		for _, file := range []string{"/cpuset.cpus", "/cpuset.mems"} {
			if s, err := os.ReadFile(at + file); err != nil || strings.TrimSpace(string(s)) != "" {
				continue
			}
			s, err := os.ReadFile(above + file)
			if err == nil {
				err = os.WriteFile(at+file, s, 0)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// delegate switches on, from the top down, what version 2 has. What cannot be switched on is missed when it is asked for.
func (d *Dir) delegate() {
	names, err := os.ReadFile(d.Mount + "/cgroup.controllers")
	if err != nil {
		return
	}
	at := d.Mount
	for part := range strings.SplitSeq(strings.Trim(d.Path, "/"), "/") {
		on, _ := os.ReadFile(at + "/cgroup.subtree_control")
		for _, c := range strings.Fields(string(names)) {
			if !slices.Contains(strings.Fields(string(on)), c) {
				_ = os.WriteFile(at+"/cgroup.subtree_control", []byte("+"+c), 0)
			}
		}
		at += "/" + part
	}
}
