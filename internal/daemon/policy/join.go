package policy

import (
	"slices"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"golang.org/x/sys/unix"

	brignet "github.com/brig-engine/brig/internal/daemon/network"
	"github.com/brig-engine/brig/internal/wire"
)

// Owner is a container whose namespaces another one wants to join.
type Owner struct {
	ID                   string
	Hostname, Domainname string
	ShareableIPC         bool
	Level                string // of its SELinux label, if one was asked for
}

// owner is Input.Owner, where there is one.
func (in Input) owner(ref string) (*Owner, error) {
	if in.Owner == nil {
		return nil, errdefs.ErrNotFound
	}
	return in.Owner(ref)
}

// join reads container:NAME of --network, --ipc and --pid. The names become ids, as in Docker: the containers stay
// together when one of them is renamed. Whether the owner runs is asked at each start. Who joins it has its level, so that both
// reach what they share.
func (c *collector) join(in Input, e *Effective) (j wire.Join, level string) {
	h := &e.HostConf
	var owner *Owner
	for _, n := range []struct {
		option, ref string
		namespace   int
		set         func(mode string)
	}{
		{"--network", h.NetworkMode.ConnectedContainer(), unix.CLONE_NEWNET, func(m string) { h.NetworkMode = container.NetworkMode(m) }},
		{"--ipc", h.IpcMode.Container(), unix.CLONE_NEWIPC, func(m string) { h.IpcMode = container.IpcMode(m) }},
		{"--pid", h.PidMode.Container(), unix.CLONE_NEWPID, func(m string) { h.PidMode = container.PidMode(m) }},
	} {
		if n.ref == "" {
			continue
		}
		mode := "container:" + n.ref
		o, err := in.owner(n.ref)
		switch {
		case err != nil: // not "not found", which clients take for the image, and pull
			c.invalid(n.option, mode, "no such container: %s. Next: brig ps -a", clip(n.ref))
			continue
		case n.namespace == unix.CLONE_NEWIPC && !o.ShareableIPC:
			c.invalid(n.option, mode, "container %s: non-shareable IPC (hint: use IpcMode:shareable for the donor container): "+
				"make it with --ipc shareable", o.ID[:12])
			continue
		case owner != nil && owner.ID != o.ID:
			c.refuseAs(n.option, "HostConfig.PidMode=container:OTHER", mode)
			continue
		}
		owner, level = o, o.Level
		n.set("container:" + o.ID)
		j.Container, j.Namespaces = o.ID, j.Namespaces|n.namespace
	}
	if j.Namespaces&unix.CLONE_NEWNET != 0 {
		c.sharedNetwork(in.Request, owner, e)
	}
	return j, level
}

// sharedNetwork refuses what would be of a network of the container's own, in Docker's words, and takes over the owner's
// name.
func (c *collector) sharedNetwork(r *Request, owner *Owner, e *Effective) {
	h, cfg := &r.Host, &r.Config
	others := slices.DeleteFunc(sortedKeys(r.Networking.EndpointsConfig), func(ref string) bool { return ref == string(h.NetworkMode) })
	for _, x := range []struct {
		option string
		wrong  bool
		what   string
	}{
		{"-h", cfg.Hostname != "", "hostname and the network mode"},
		{"--domainname", cfg.Domainname != "", "hostname and the network mode"},
		{"--link", len(h.Links) > 0, "container type network can't be used with links. This would result in undefined behavior"},
		{"--dns", len(h.DNS)+len(h.DNSSearch)+len(h.DNSOptions) > 0, "dns and the network mode"},
		{"--add-host", len(h.ExtraHosts) > 0, "custom host-to-IP mapping and the network mode"},
		{"--mac-address", r.legacy.MacAddress != "", "mac-address and the network mode"},
		{"-p", len(h.PortBindings) > 0 || h.PublishAllPorts, "port publishing and the container type network mode"},
		{"--expose", len(cfg.ExposedPorts) > 0, "port exposing and the container type network mode"},
		{"NetworkDisabled", cfg.NetworkDisabled, "no network and the network mode"},
		{"--network", len(others) > 0, "container sharing network namespace with another container or host cannot be connected " +
			"to any other network"},
	} {
		if x.wrong {
			c.invalid(x.option, "", "conflicting options: %s", x.what)
		}
	}
	if s := r.Networking.EndpointsConfig[string(h.NetworkMode)]; s != nil {
		// It has no endpoint that anything could be said of: settings are refused as those of the default network's are.
		c.member(&brignet.Network{Name: brignet.Bridge, Builtin: true}, s)
	}
	e.Config.Hostname, e.Config.Domainname = owner.Hostname, owner.Domainname
	e.Networks = []brignet.Membership{}
}
