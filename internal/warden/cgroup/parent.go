package cgroup

import (
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/bpf"
	"github.com/brig-engine/brig/internal/kernel/control"
	"github.com/brig-engine/brig/internal/warden/code"
	"github.com/brig-engine/brig/internal/wire"
)

// Parent is the group of one engine, the same name in every hierarchy; each container is a group in it. It keeps a
// descriptor per hierarchy.
type Parent struct {
	instance    string
	hierarchies []*hierarchy // version 2 first
	prog        int          // the device program
	device      []byte       // the same, and what Allow puts into it
	extra       int          // further flags for opening files: tests work on plain directories
}

// hierarchy is one tree of groups, with a descriptor of the engine's.
type hierarchy struct {
	wire.Hierarchy
	v2 bool
	fd int
}

// lazy tells whether containers need a group here only if they ask for it.
func (h *hierarchy) lazy() bool { return !h.v2 && slices.Equal(h.Used, []string{"cpuset"}) }

// OpenParent opens the groups that who started the engine has made, and loads the device program.
func OpenParent(made wire.Groups) (*Parent, error) { return openParent(made, control.Root, 0) }

func openParent(made wire.Groups, root func(controllers []string) (int, error), extra int) (*Parent, error) {
	p := &Parent{instance: made.Instance, prog: -1, extra: extra}
	for _, m := range made.Hierarchies {
		h := &hierarchy{m, len(m.Mounted) == 0, -1}
		top, err := root(m.Mounted)
		if err == nil {
			h.fd, err = control.Dir(top, "."+m.Path)
			unix.Close(top)
		}
		if err != nil {
			return nil, fmt.Errorf("open control group %s in %v: %w", m.Path, h.Used, err)
		}
		p.hierarchies = append(p.hierarchies, h)
	}
	var err error
	if p.device, err = code.Read("devices"); err == nil {
		p.prog, err = bpf.LoadProgram(bpf.CgroupDevice, "brig_devices", p.device[:len(p.device)-64])
	}
	return p, err
}

func (p *Parent) unified() *hierarchy { return p.hierarchies[0] }

func (p *Parent) find(controller string) *hierarchy {
	for _, h := range p.hierarchies {
		if slices.Contains(h.Used, controller) {
			return h
		}
	}
	return nil
}

// inherit gives a new group of version 1 what nothing may enter it without.
func (p *Parent) inherit(h *hierarchy, name string) error {
	if h.v2 || !slices.Contains(h.Used, "cpuset") {
		return nil
	}
	return control.Inherit(h.fd, h.fd, name, p.extra)
}

// Remove removes the engine's group, in which no container is left, from every hierarchy.
func (p *Parent) Remove() (failed error) {
	for _, h := range p.hierarchies {
		above, err := unix.Openat(h.fd, "..", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err == nil {
			err = unix.Unlinkat(above, p.instance, unix.AT_REMOVEDIR)
			unix.Close(above)
		}
		if err != nil && err != unix.ENOENT {
			failed = errors.Join(failed, fmt.Errorf("remove control group %s in %v: %w", p.instance, h.Used, err))
		}
	}
	return failed
}
