package cgroup

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/bpf"
	"github.com/brig-engine/brig/internal/warden/code"
)

// Parent is the group of one engine, the same name in every hierarchy; each container is a group in it. It keeps two
// descriptors per hierarchy. Its bounds leave the host enough to log in and act, whatever all containers do together.
type Parent struct {
	instance    string
	hierarchies []*hierarchy // version 2 first
	Missing     []string     // sentences: the default bounds that this kernel cannot give
	prog        int          // the device program
	device      []byte       // the same, and what Allow puts into it
	extra       int          // further flags for opening files: tests work on plain directories
}

// OpenParent makes, or finds, the engine's group and sets its bounds. One process of the engine calls it once at its
// start; in version 2 every process of the group that was given to us moves into its leaf "engine".
func OpenParent(instance string) (*Parent, error) {
	self, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, fmt.Errorf("find control groups: %w", err)
	}
	return openParent(instance, string(self), openRoot, 0)
}

func openParent(instance, self string, root opener, extra int) (*Parent, error) {
	if !validID(instance) {
		return nil, fmt.Errorf("control group %q: not a name", instance)
	}
	list, err := discover(self, root)
	if err != nil {
		return nil, err
	}
	p := &Parent{instance: instance, hierarchies: list, prog: -1, extra: extra}
	for _, h := range list {
		if err := p.open(h); err != nil {
			return nil, fmt.Errorf("control group %s in %s: %w", instance, h.name(), err)
		}
	}
	return p, p.finish()
}

func (p *Parent) unified() *hierarchy { return p.hierarchies[0] }

func (p *Parent) find(controller string) *hierarchy {
	for _, h := range p.hierarchies {
		if slices.Contains(h.controllers, controller) {
			return h
		}
	}
	return nil
}

// Version is "2", or "hybrid" where some controller is used in version 1.
func (p *Parent) Version() string {
	if len(p.hierarchies) == 1 {
		return "2"
	}
	return "hybrid"
}

func (p *Parent) open(h *hierarchy) (err error) {
	if h.v2 && len(h.controllers) > 0 {
		err = evacuate(h.base)
	}
	if err == nil {
		err = unix.Mkdirat(h.base, p.instance, 0o755)
	}
	if err != nil && err != unix.EEXIST {
		return err
	}
	if h.fd, err = openDir(h.base, p.instance); err != nil {
		return err
	}
	if h.v2 {
		p.delegate(h)
	}
	return p.inherit(h, h.base, h.fd, ".")
}

// delegate switches the controllers on for the engine's group and for the containers below.
func (p *Parent) delegate(h *hierarchy) {
	h.controllers = slices.DeleteFunc(h.controllers, func(c string) bool {
		file := c
		if c == "blkio" {
			file = "io"
		}
		for _, dir := range []int{h.base, h.fd} {
			if err := writeAt(dir, "cgroup.subtree_control", "+"+file, p.extra); err != nil {
				p.Missing = append(p.Missing, fmt.Sprintf("%s control group: %v", c, err))
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
		pids, err := readAt(dir, "cgroup.procs")
		if err != nil || pids == "" {
			return err
		}
		for pid := range strings.FieldsSeq(pids) {
			err := writeAt(dir, engineLeaf+"/cgroup.procs", pid, 0)
			if err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("move process %s into %s: %w", pid, engineLeaf, err)
			}
		}
	}
	return fmt.Errorf("processes keep appearing: %w", unix.EBUSY)
}

// inherit gives a group the processors and memory nodes of the one above where it has none: version 1 starts them
// empty, and nothing may enter an empty one.
func (p *Parent) inherit(h *hierarchy, above, dir int, name string) error {
	if h.v2 || !slices.Contains(h.controllers, "cpuset") {
		return nil
	}
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		if s, err := readAt(dir, name+"/"+file); err == nil && s != "" {
			continue
		}
		s, err := readAt(above, file)
		if err == nil {
			err = writeAt(dir, name+"/"+file, s, p.extra)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// finish sets the bounds of all containers together and loads the device program.
func (p *Parent) finish() (err error) {
	for _, c := range slices.Sorted(maps.Keys(wanted)) {
		if wanted[c] != "" && p.find(c) == nil {
			p.Missing = append(p.Missing, c+" control group: "+wanted[c])
		}
	}
	if h := p.find("memory"); h != nil {
		var info unix.Sysinfo_t
		if err := unix.Sysinfo(&info); err != nil {
			return fmt.Errorf("sysinfo: %w", err)
		}
		file := "memory.limit_in_bytes"
		if h.v2 {
			file = "memory.max"
		} else if _, err := readAt(h.fd, "memory.memsw.limit_in_bytes"); err != nil {
			p.Missing = append(p.Missing, "swap accounting: a container's use of swap has no bound of its own")
		}
		// The host keeps a sixteenth, at least 256 MiB, at most 2 GiB, never more than a quarter.
		reserve := func(total uint64) uint64 { return min(max(total/16, 256<<20), 2<<30, total/4) }
		if err := p.leave(h, file, reserve, uint64(info.Totalram)*uint64(info.Unit)); err != nil {
			return err
		}
	}
	if h := p.find("pids"); h != nil {
		most := min(parseNumber(readFile("/proc/sys/kernel/pid_max")), parseNumber(readFile("/proc/sys/kernel/threads-max")))
		// An eighth of the numbers, at least 512, at most 4,096, never more than half.
		if err := p.leave(h, "pids.max", func(most uint64) uint64 { return min(max(most/8, 512), 4096, most/2) }, most); err != nil {
			return err
		}
	}
	if p.device, err = code.Read("devices"); err == nil {
		p.prog, err = bpf.LoadProgram(bpf.CgroupDevice, "brig_devices", p.device[:len(p.device)-64])
	}
	return err
}

// leave bounds all containers together to what there is, or what was given to us of it, less what the host keeps.
func (p *Parent) leave(h *hierarchy, file string, reserve func(uint64) uint64, total uint64) error {
	given, _ := readAt(h.base, file) // "", the largest number, where there is no such file: in the root
	total = min(total, parseNumber(given))
	return writeAt(h.fd, file, strconv.FormatUint(total-reserve(total), 10), p.extra)
}

func readFile(path string) string {
	s, _ := readAt(unix.AT_FDCWD, path)
	return s
}

// Remove removes the engine's group, in which no container is left, from every hierarchy.
func (p *Parent) Remove() (failed error) {
	for _, h := range p.hierarchies {
		err := unix.Unlinkat(h.base, p.instance, unix.AT_REMOVEDIR)
		if err != nil && err != unix.ENOENT {
			failed = errors.Join(failed, fmt.Errorf("remove control group %s in %s: %w", p.instance, h.name(), err))
		}
	}
	return failed
}
