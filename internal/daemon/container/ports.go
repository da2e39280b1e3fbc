package container

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/errdefs"

	"github.com/brig-engine/brig/internal/daemon/bundle"
	"github.com/brig-engine/brig/internal/daemon/policy"
	"github.com/brig-engine/brig/internal/wire"
)

// startOn starts the container on its ports of the host. Where a range of them was given, the first free one is found
// by trying: brigd may not listen itself, and only the start reserves a port without a race.
func (c *Container) startOn(ctx context.Context, req wire.ContainerStart, st *wire.Started, pass []int) (fds []int, err error) {
	req.Spec.Resources = policy.Version2(req.Spec.Resources)
	if req.Spec.Resources.Rates, err = policy.Disks(req.Spec.Resources.Rates); err != nil {
		return nil, err
	}
	if req.Spec.Runtime != "" {
		if req.Description, err = bundle.Config(&req.Spec); err != nil {
			return nil, err
		}
	}
	if c.rec.PortsTo == nil {
		return c.e.cfg.Warden.Call(ctx, wire.OpContainerStart, req, st, pass...)
	}
	ports := slices.Clone(req.Spec.Network.Ports)
	req.Spec.Network.Ports = ports
	for i := range ports {
		if c.rec.PortsTo[i] != 0 && twice(ports[:i+1], i) && !next(ports, i, c.rec.PortsTo[i]) {
			return nil, noneFree(&c.rec.Spec.Network.Ports[i], c.rec.PortsTo[i])
		}
	}
	for {
		fds, err := c.e.cfg.Warden.Call(ctx, wire.OpContainerStart, req, st, pass...)
		if !errdefs.IsConflict(err) {
			return fds, err
		}
		i := slices.IndexFunc(ports, func(p wire.Port) bool {
			return strings.Contains(err.Error(), fmt.Sprintf("port %d/%s on ", p.HostPort, p.Proto))
		})
		if i < 0 || c.rec.PortsTo[i] == 0 {
			return nil, err
		}
		if !next(ports, i, c.rec.PortsTo[i]) {
			return nil, fmt.Errorf("%w: %w", noneFree(&c.rec.Spec.Network.Ports[i], c.rec.PortsTo[i]), err)
		}
	}
}

func noneFree(p *wire.Port, to uint16) error {
	return fmt.Errorf("-p %d-%d:%d/%s: none of these ports is free", p.HostPort, to, p.ContainerPort, p.Proto)
}

// next moves ports[i] to the next port up to the last one that no other of the list has.
func next(ports []wire.Port, i int, last uint16) bool {
	for ports[i].HostPort < last {
		ports[i].HostPort++
		if !twice(ports, i) {
			return true
		}
	}
	return false
}

// twice tells whether another entry has the same port of the host.
func twice(ports []wire.Port, i int) bool {
	for j, p := range ports {
		if j != i && p.HostPort == ports[i].HostPort && p.Proto == ports[i].Proto {
			return true
		}
	}
	return false
}
