package groups

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/control"
	"github.com/brig-engine/brig/internal/wire"
)

// hierarchy is one tree of groups, with two descriptors in it.
type hierarchy struct {
	wire.Hierarchy
	base int // the group that the engine's group is made in
	fd   int // the engine's group
}

func (h *hierarchy) v2() bool { return len(h.Mounted) == 0 }

// name is for messages.
func (h *hierarchy) name() string {
	if h.v2() {
		return "version 2"
	}
	return strings.Join(h.Used, ",")
}

// wanted are the controllers that this package knows, with what is lost without them. A spec that asks for the optional
// one ("") is refused where the kernel lacks it.
var wanted = map[string]string{
	"memory": "containers have no memory bound",
	"pids":   "containers have no bound on processes",
	"cpu":    "containers do not share the processors fairly",
	"blkio":  "containers do not share block devices fairly",
	"cpuset": "", "hugetlb": "",
}

// opener gives a descriptor of the root of a hierarchy: of version 1 with exactly these controllers, or of version 2
// without any.
type opener func(controllers []string) (int, error)

// discover opens version 2 and then the hierarchies of version 1 that hold a controller we want. Its failure is the end of
// the engine, and closes nothing. self is the content of /proc/self/cgroup, lines id:controllers:path, without controllers
// for version 2.
func discover(self string, root opener) (list []*hierarchy, err error) {
	own := map[string]string{"": "/"}
	for line := range strings.Lines(self) {
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(f) == 3 && (f[1] == "" || len(known(strings.Split(f[1], ","))) > 0) {
			own[f[1]] = f[2]
		}
	}
	for _, controllers := range slices.Sorted(maps.Keys(own)) {
		h, err := openHierarchy(controllers, own[controllers], root)
		if err != nil {
			return nil, fmt.Errorf("open control groups %q: %w", controllers, err)
		}
		list = append(list, h)
	}
	return list, nil
}

// openHierarchy opens one hierarchy of "cpu,cpuacct", or of version 2 for "".
func openHierarchy(controllers, own string, root opener) (*hierarchy, error) {
	h := &hierarchy{fd: -1}
	if controllers != "" {
		h.Mounted = strings.Split(controllers, ",")
	}
	top, err := root(h.Mounted)
	if err != nil {
		return nil, err
	}
	defer unix.Close(top)
	if h.base, h.Path, err = choose(top, own); err != nil {
		return nil, err
	}
	all := h.Mounted
	if h.v2() {
		list, err := control.Read(h.base, "cgroup.controllers")
		if err != nil {
			return nil, err
		}
		all = strings.Fields(list)
	}
	h.Used = known(all)
	return h, nil
}

// known picks the controllers that we use, under one name for both versions.
func known(names []string) (out []string) {
	for _, n := range names {
		if n == "io" {
			n = "blkio"
		}
		if _, ok := wanted[n]; ok {
			out = append(out, n)
		}
	}
	return out
}

// engineLeaf is the group that the engine's own processes are in, where version 2 forbids them to be in an inner one.
// It is the unit's DelegateSubgroup, and lies outside the containers' bounds.
const engineLeaf = "engine"

// choose opens the group to work in, found from our own one. A login session's scope belongs to the session manager and
// other programs are in it: the root is used instead, as it is by other engines. Any other group was given to us, with
// its bounds. path is where it is.
func choose(top int, own string) (fd int, path string, err error) {
	own = filepath.Join("/", own) // a group outside our cgroup namespace begins with /..
	if filepath.Base(own) == engineLeaf {
		own = filepath.Dir(own)
	}
	fd, err = control.Dir(top, "."+own)
	if err == nil && strings.HasSuffix(own, ".scope") && !delegated(fd) {
		unix.Close(fd)
		own = "/"
		fd, err = control.Dir(top, ".")
	}
	return fd, own, err
}

// delegated reads the mark that systemd leaves on a group with Delegate=yes.
func delegated(dir int) bool {
	var b [1]byte
	for _, name := range []string{"trusted.delegate", "user.delegate"} {
		if n, err := unix.Fgetxattr(dir, name, b[:]); err == nil && n == 1 && b[0] == '1' {
			return true
		}
	}
	return false
}
