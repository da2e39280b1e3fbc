package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/bpf"
)

// Parent is the group of one engine, the same name in every hierarchy; each container is a group in it. It keeps one
// descriptor per hierarchy. Its bounds leave the host enough to log in and act, whatever all containers do together.
type Parent struct {
	host  *Host
	prog  int // the device program of containers without devices of their own; -1 where version 1 does it
	extra int // further flags for opening files: tests work on plain directories
}

// Parent makes, or finds, the engine's group and sets its bounds. One process of the engine calls it once at its
// start; in version 2 every process of the group that was given to us moves into its leaf "engine".
func (h *Host) Parent(instance string) (*Parent, error) { return h.parent(instance, 0) }

func (h *Host) parent(instance string, extra int) (*Parent, error) {
	if !validID(instance) {
		return nil, fmt.Errorf("control group %q: not a name", instance)
	}
	p := &Parent{host: h, prog: -1, extra: extra}
	for _, hi := range h.hierarchies {
		if err := p.open(hi, instance); err != nil {
			p.Close()
			return nil, fmt.Errorf("control group %s/%s: %w", hi.base, instance, err)
		}
	}
	if err := p.finish(); err != nil {
		p.Close()
		return nil, fmt.Errorf("control group %s: %w", instance, err)
	}
	return p, nil
}

// Close drops the descriptors and nothing else.
func (p *Parent) Close() {
	for _, h := range p.host.hierarchies {
		if h.fd >= 0 {
			unix.Close(h.fd)
			h.fd = -1
		}
	}
	if p.prog >= 0 {
		unix.Close(p.prog)
	}
}

func (p *Parent) open(h *hierarchy, instance string) error {
	if h.v2 {
		if err := p.delegate(h, instance); err != nil {
			return err
		}
	} else if slices.Contains(h.controllers, "cpuset") {
		if err := fillDown(h.mount, filepath.Join(h.base, instance)); err != nil {
			return err
		}
	}
	dir := filepath.Join(h.base, instance)
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	h.fd = fd
	return err
}

// delegate switches the controllers on for the engine's group and for the containers below. A group that hands
// controllers to its children may hold no process itself, save the root of all (the only one without a cgroup.type
// file).
func (p *Parent) delegate(h *hierarchy, instance string) error {
	if len(h.wanted()) == 0 {
		return nil // hybrid: the controllers are in version 1
	}
	if _, err := os.Stat(filepath.Join(h.base, "cgroup.type")); err == nil {
		if err := evacuate(h.base); err != nil {
			return err
		}
	}
	dir := filepath.Join(h.base, instance)
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	for _, c := range h.wanted() {
		for _, d := range []string{h.base, dir} {
			if err := p.switchOn(d, c); err != nil {
				p.host.missing = append(p.host.missing, fmt.Sprintf("%s control group: %v", c, err))
				h.controllers = slices.DeleteFunc(h.controllers, func(x string) bool { return x == c })
				break
			}
		}
	}
	return nil
}

func (h *hierarchy) wanted() []string {
	var out []string
	for _, c := range h.controllers {
		if slices.Contains([]string{"memory", "pids", "cpu", "cpuset", "blkio"}, c) {
			out = append(out, c)
		}
	}
	return out
}

func (p *Parent) switchOn(dir, controller string) error {
	if controller == "blkio" {
		controller = "io"
	}
	return writeAt(unix.AT_FDCWD, dir+"/cgroup.subtree_control", "+"+controller, p.extra)
}

// evacuate moves every process of dir into its engine leaf, until none is left.
func evacuate(dir string) error {
	leaf := filepath.Join(dir, engineLeaf)
	if err := os.Mkdir(leaf, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	for range 100 {
		pids := strings.Fields(readPath(filepath.Join(dir, "cgroup.procs")))
		if len(pids) == 0 {
			return nil
		}
		for _, pid := range pids {
			err := writeAt(unix.AT_FDCWD, leaf+"/cgroup.procs", pid, 0)
			if err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("move process %s into %s: %w", pid, leaf, err)
			}
		}
	}
	return fmt.Errorf("processes keep appearing in %s: %w", dir, unix.EBUSY)
}

// fillDown gives every group from mount to dir the processors and memory nodes of the one above where it has none:
// version 1 starts them empty, and nothing may enter an empty one.
func fillDown(mount, dir string) error {
	rel, err := filepath.Rel(mount, dir)
	if err != nil {
		return err
	}
	at := mount
	for name := range strings.SplitSeq(rel, "/") {
		above := at
		at = filepath.Join(at, name)
		if err := os.Mkdir(at, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		for _, file := range []string{"/cpuset.cpus", "/cpuset.mems"} {
			if readPath(at+file) != "" {
				continue
			}
			if err := writeAt(unix.AT_FDCWD, at+file, readPath(above+file), 0); err != nil {
				return err
			}
		}
	}
	return nil
}

// finish sets the bounds of all containers together and loads the common device program.
func (p *Parent) finish() error {
	if h := p.host.find("memory"); h != nil {
		total := memoryTotal(readPath("/proc/meminfo"))
		file := "memory.limit_in_bytes"
		if h.v2 {
			file = "memory.max"
		} else if _, err := readAt(h.fd, "memory.memsw.limit_in_bytes"); err != nil {
			p.host.missing = append(p.host.missing,
				"swap accounting: a container's use of swap has no bound of its own")
		}
		total = min(total, parseNumber(readPath(filepath.Join(h.base, file))))
		if err := writeAt(h.fd, file, strconv.FormatUint(total-memoryReserve(total), 10), p.extra); err != nil {
			return err
		}
	}
	if h := p.host.find("pids"); h != nil {
		most := min(parseNumber(readPath("/proc/sys/kernel/pid_max")),
			parseNumber(readPath("/proc/sys/kernel/threads-max")))
		if above := readPath(filepath.Join(h.base, "pids.max")); above != "" {
			most = min(most, parseNumber(above))
		}
		if err := writeAt(h.fd, "pids.max", strconv.FormatUint(most-pidsReserve(most), 10), p.extra); err != nil {
			return err
		}
	}
	if p.host.find("devices") != nil {
		return nil
	}
	if p.host.unified == nil {
		return errors.New("neither the devices controller nor version 2 is there: devices cannot be refused to " +
			"containers; boot without cgroup_disable=devices")
	}
	var err error
	p.prog, err = bpf.LoadProgram(bpf.CgroupDevice, "brig_devices", deviceProgram(nil))
	return err
}

// memoryReserve is what the host keeps of total bytes: a sixteenth, at least 256 MiB, at most 2 GiB, never more than a
// quarter.
func memoryReserve(total uint64) uint64 {
	return min(max(total/16, 256<<20), 2<<30, total/4)
}

// pidsReserve is what the host keeps of its process ids: an eighth, at least 512, at most 4,096, never more than half.
func pidsReserve(most uint64) uint64 { return min(max(most/8, 512), 4096, most/2) }

// memoryTotal reads MemTotal, in bytes.
func memoryTotal(meminfo string) uint64 {
	f := strings.Fields(meminfo)
	if len(f) < 2 || f[0] != "MemTotal:" {
		return math.MaxUint64
	}
	return parseNumber(f[1]) << 10
}

// parseNumber reads what control files hold; "max" and everything unreadable is the largest number.
func parseNumber(s string) uint64 {
	n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 64)
	if err != nil {
		return math.MaxUint64
	}
	return n
}

// Remove removes the engine's group, in which no container is left, from every hierarchy.
func (p *Parent) Remove(instance string) error {
	var errs []error
	for _, h := range p.host.hierarchies {
		err := os.Remove(filepath.Join(h.base, instance))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("control group %s: %w", instance, err))
		}
	}
	return errors.Join(errs...)
}
