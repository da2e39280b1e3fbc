package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Host is how this machine's control groups are mounted, and the group in each hierarchy below which the engine works.
type Host struct {
	hierarchies []*hierarchy
	unified     *hierarchy // the one of version 2; nil without
	missing     []string
}

// hierarchy is one mounted tree.
type hierarchy struct {
	controllers []string // those that this package uses
	v2          bool
	mount, base string // absolute paths; base is the group that the engine's parent group is made in
	fd          int    // the engine's parent group, once Host.Parent made it
}

// wanted are the controllers that this package knows, with what is lost without them. A spec that asks for one of the
// optional ("") is refused where the kernel lacks it.
var wanted = []struct{ name, lost string }{
	{"memory", "containers have no memory bound"},
	{"pids", "containers have no bound on processes"},
	{"cpu", "containers do not share the processors fairly"},
	{"blkio", "no readings of block devices"},
	{"cpuset", ""}, {"devices", ""}, {"cpuacct", ""}, {"freezer", ""},
}

// Discover reads the calling process's view of the machine.
func Discover() (*Host, error) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("find control groups: %w", err)
	}
	self, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, fmt.Errorf("find control groups: %w", err)
	}
	return discover(string(mounts), string(self))
}

func discover(mountinfo, self string) (*Host, error) {
	own := ownPaths(self)
	host := &Host{}
	for line := range strings.Lines(mountinfo) {
		h := parseMount(line, own)
		if h == nil || slices.ContainsFunc(host.hierarchies, h.same) {
			continue
		}
		host.hierarchies = append(host.hierarchies, h)
		if h.v2 {
			host.unified = h
		}
	}
	if len(host.hierarchies) == 0 {
		return nil, errors.New("find control groups: no cgroup file system is mounted that shows this process's own " +
			"group; mount one: mount -t cgroup2 cgroup2 /sys/fs/cgroup")
	}
	if host.unified != nil { // it counts CPU time and freezes; every hierarchy costs each birth 15 µs and an attachment
		host.hierarchies = slices.DeleteFunc(host.hierarchies, func(h *hierarchy) bool {
			needed := func(c string) bool { return c != "cpuacct" && c != "freezer" }
			return !h.v2 && !slices.ContainsFunc(h.controllers, needed)
		})
	}
	for _, w := range wanted {
		if w.lost != "" && host.find(w.name) == nil {
			host.missing = append(host.missing, w.name+" control group: "+w.lost)
		}
	}
	return host, nil
}

// ownPaths maps each controller ("" for version 2) to this process's group, from /proc/self/cgroup:
// id:controllers:path.
func ownPaths(self string) map[string]string {
	own := map[string]string{}
	for line := range strings.Lines(self) {
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(f) != 3 {
			continue
		}
		for c := range strings.SplitSeq(f[1], ",") {
			own[c] = f[2]
		}
	}
	return own
}

// parseMount understands one line of mountinfo; nil if it is not a hierarchy that can be used.
func parseMount(line string, own map[string]string) *hierarchy {
	before, after, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " - ")
	f, g := strings.Fields(before), strings.Fields(after)
	if !ok || len(f) < 6 || len(g) < 3 {
		return nil
	}
	h := &hierarchy{v2: g[0] == "cgroup2", mount: unescape(f[4]), fd: -1}
	key := ""
	switch g[0] {
	case "cgroup2":
	case "cgroup":
		for o := range strings.SplitSeq(g[2], ",") {
			for _, w := range wanted {
				if o == w.name {
					h.controllers = append(h.controllers, o)
				}
			}
		}
		if len(h.controllers) == 0 {
			return nil // name=systemd and controllers that we do not use
		}
		key = h.controllers[0]
	default:
		return nil
	}
	path, ok := own[key]
	rel, err := filepath.Rel(unescape(f[3]), path)
	if !ok || err != nil || rel == ".." || strings.HasPrefix(rel, "../") {
		return nil // the mount shows another part of the tree
	}
	h.base = h.choose(filepath.Join("/", rel))
	if h.v2 {
		for _, c := range strings.Fields(readPath(filepath.Join(h.base, "cgroup.controllers"))) {
			if c == "io" {
				c = "blkio"
			}
			h.controllers = append(h.controllers, c)
		}
	}
	return h
}

// unescape undoes mountinfo's \ooo.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+4 <= len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// engineLeaf is the group that the engine's own processes are in, where version 2 forbids them to be in an inner one.
// It is the unit's DelegateSubgroup, and lies outside the containers' bounds.
const engineLeaf = "engine"

// choose picks the group to work in, from our own one. A login session's scope belongs to the session manager and
// other programs are in it: the root is used instead, as it is by other engines. Any other group was given to us, with
// its bounds.
func (h *hierarchy) choose(own string) string {
	if filepath.Base(own) == engineLeaf {
		own = filepath.Dir(own)
	}
	dir := filepath.Join(h.mount, own)
	if strings.HasSuffix(own, ".scope") && !delegated(dir) {
		return h.mount
	}
	return dir
}

// delegated reads the mark that systemd leaves on a group with Delegate=yes.
func delegated(dir string) bool {
	var b [1]byte
	for _, name := range []string{"trusted.delegate", "user.delegate"} {
		if n, err := unix.Getxattr(dir, name, b[:]); err == nil && n == 1 && b[0] == '1' {
			return true
		}
	}
	return false
}

func (h *hierarchy) same(other *hierarchy) bool {
	return h.v2 == other.v2 && (h.v2 || h.controllers[0] == other.controllers[0])
}

func (h *Host) find(controller string) *hierarchy {
	for _, hi := range h.hierarchies {
		if slices.Contains(hi.controllers, controller) {
			return hi
		}
	}
	return nil
}

// primary is a hierarchy that every container has a group in, and every process of it is in that group.
func (h *Host) primary() *hierarchy {
	if h.unified != nil {
		return h.unified
	}
	for _, hi := range h.hierarchies {
		if !hi.lazy() {
			return hi
		}
	}
	return h.hierarchies[0] // cpuset alone: nothing else could be asked
}

// Version is "1", "2" or "hybrid": both are mounted, and some controller is used in version 1.
func (h *Host) Version() string {
	switch {
	case h.unified == nil:
		return "1"
	case len(h.hierarchies) == 1:
		return "2"
	}
	return "hybrid"
}

// Missing lists, as sentences, the default bounds that this kernel cannot give. It is complete after Parent.
func (h *Host) Missing() []string { return slices.Clone(h.missing) }

func readPath(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}
