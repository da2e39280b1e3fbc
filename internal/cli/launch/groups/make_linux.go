package groups

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/control"
	"github.com/brig-engine/brig/internal/wire"
)

// Make makes, or finds, the control groups of an engine, and sets the bounds of all containers together. It tells which default
// bounds this kernel cannot give, in sentences. In version 2 every process of the group that was given to us, this one too, moves
// into its leaf "engine". Another start of the same engine changes nothing.
func Make(instance string) (made wire.Groups, missing []string, err error) {
	self, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return made, nil, fmt.Errorf("find control groups: %w", err)
	}
	return makeBelow(instance, string(self), control.Root, 0)
}

// maker is one making. Tests work on plain directories, with extra flags for opening files.
type maker struct {
	wire.Groups
	list    []*hierarchy
	missing []string
	extra   int
}

func makeBelow(instance, self string, root opener, extra int) (made wire.Groups, missing []string, err error) {
	list, err := discover(self, root)
	if err != nil {
		return made, nil, err
	}
	m := &maker{Groups: wire.Groups{Instance: instance}, list: list, extra: extra}
	for _, h := range list {
		err := m.make(h)
		if err != nil {
			return made, nil, fmt.Errorf("control group %s in %s: %w", instance, h.name(), err)
		}
	}
	err = m.bound()
	for _, h := range list {
		unix.Close(h.base)
		unix.Close(h.fd)
		h.Path = filepath.Join(h.Path, instance)
		m.Hierarchies = append(m.Hierarchies, h.Hierarchy)
	}
	return m.Groups, m.missing, err
}

func (m *maker) find(controller string) *hierarchy {
	for _, h := range m.list {
		if slices.Contains(h.Used, controller) {
			return h
		}
	}
	return nil
}

func (m *maker) make(h *hierarchy) (err error) {
	if h.v2() && len(h.Used) > 0 {
		err = evacuate(h.base)
	}
	if err == nil {
		err = unix.Mkdirat(h.base, m.Instance, 0o755)
	}
	if err != nil && err != unix.EEXIST {
		return err
	}
	if h.fd, err = control.Dir(h.base, m.Instance); err != nil {
		return err
	}
	if h.v2() {
		m.delegate(h)
	} else if slices.Contains(h.Used, "cpuset") {
		return control.Inherit(h.base, h.fd, ".", m.extra)
	}
	return nil
}

// delegate switches the controllers on for the engine's group and for the containers below.
func (m *maker) delegate(h *hierarchy) {
	h.Used = slices.DeleteFunc(h.Used, func(c string) bool {
		file := c
		if c == "blkio" {
			file = "io"
		}
		for _, dir := range []int{h.base, h.fd} {
			if err := control.Write(dir, "cgroup.subtree_control", "+"+file, m.extra); err != nil {
				m.missing = append(m.missing, fmt.Sprintf("%s control group: %v", c, err))
				return true
			}
		}
		return false
	})
}

// evacuate moves every process of a group into its engine leaf, until none is left: a group that hands controllers to
// its children may hold no process itself, save the root of all (the only one without a cgroup.type file).
func evacuate(dir int) error {
	if unix.Faccessat(dir, "cgroup.type", unix.F_OK, 0) != nil {
		return nil
	}
	if err := unix.Mkdirat(dir, engineLeaf, 0o755); err != nil && err != unix.EEXIST {
		return err
	}
	for range 100 {
		pids, err := control.Read(dir, "cgroup.procs")
		if err != nil || pids == "" {
			return err
		}
		for pid := range strings.FieldsSeq(pids) {
			err := control.Write(dir, engineLeaf+"/cgroup.procs", pid, 0)
			if err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("move process %s into %s: %w", pid, engineLeaf, err)
			}
		}
	}
	return fmt.Errorf("processes keep appearing: %w", unix.EBUSY)
}

// bound sets the bounds of all containers together.
func (m *maker) bound() error {
	for _, c := range slices.Sorted(maps.Keys(wanted)) {
		if wanted[c] != "" && m.find(c) == nil {
			m.missing = append(m.missing, c+" control group: "+wanted[c])
		}
	}
	if h := m.find("memory"); h != nil {
		var info unix.Sysinfo_t
		if err := unix.Sysinfo(&info); err != nil {
			return fmt.Errorf("sysinfo: %w", err)
		}
		file := "memory.limit_in_bytes"
		if h.v2() {
			file = "memory.max"
		} else if _, err := control.Read(h.fd, "memory.memsw.limit_in_bytes"); err != nil {
			m.missing = append(m.missing, "swap accounting: a container's use of swap has no bound of its own")
		}
		// The host keeps a sixteenth, at least 256 MiB, at most 2 GiB, never more than a quarter.
		reserve := func(total uint64) uint64 { return min(max(total/16, 256<<20), 2<<30, total/4) }
		if err := m.leave(h, file, reserve, uint64(info.Totalram)*uint64(info.Unit)); err != nil {
			return err
		}
	}
	if h := m.find("pids"); h != nil {
		most := min(number("/proc/sys/kernel/pid_max"), number("/proc/sys/kernel/threads-max"))
		// An eighth of the numbers, at least 512, at most 4,096, never more than half.
		if err := m.leave(h, "pids.max", func(most uint64) uint64 { return min(max(most/8, 512), 4096, most/2) }, most); err != nil {
			return err
		}
	}
	if h := m.find("hugetlb"); h != nil {
		return m.noHugePages(h)
	}
	return nil
}

// noHugePages keeps all containers from the huge pages that were set aside for a program of the host: no other bound counts
// them, and no option of a container asks for any.
func (m *maker) noHugePages(h *hierarchy) error {
	files, err := os.ReadDir(fmt.Sprintf("/proc/self/fd/%d", h.fd))
	for _, f := range files { // …max and …rsvd.max in version 2, …limit_in_bytes in version 1, for each size that there is
		bound := strings.HasSuffix(f.Name(), ".max") || strings.HasSuffix(f.Name(), ".limit_in_bytes")
		if strings.HasPrefix(f.Name(), "hugetlb.") && bound && err == nil {
			err = control.Write(h.fd, f.Name(), "0", m.extra)
		}
	}
	return err
}

// leave bounds all containers together to what there is, or what was given to us of it, less what the host keeps.
func (m *maker) leave(h *hierarchy, file string, reserve func(uint64) uint64, total uint64) error {
	given, _ := control.Read(h.base, file) // "", the largest number, where there is no such file: in the root
	total = min(total, parse(given))
	return control.Write(h.fd, file, strconv.FormatUint(total-reserve(total), 10), m.extra)
}

func number(path string) uint64 {
	s, _ := control.Read(unix.AT_FDCWD, path)
	return parse(s)
}

// parse reads what control files hold; "max" and everything unreadable is the largest number.
func parse(s string) uint64 {
	n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 64)
	if err != nil {
		return math.MaxUint64
	}
	return n
}
