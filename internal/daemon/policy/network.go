package policy

import (
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"

	brignet "github.com/brig-engine/brig/internal/daemon/network"
	"github.com/brig-engine/brig/internal/wire"
)

// network reads --network, -p, -P and the endpoint settings. A container has one endpoint, or none; which networks it is
// a member of is kept beside the spec, and turned into numbers at each start.
func (c *collector) network(in Input, e *Effective) wire.Network {
	r := in.Request
	mode := string(r.Host.NetworkMode)
	if r.Config.NetworkDisabled {
		mode = network.NetworkNone
	}
	switch {
	case mode == network.NetworkHost:
		c.forbid("--network", mode, "the container would see and use the host's network", "use bridge, none or a network of one's own")
		return wire.Network{}
	case r.Host.NetworkMode.IsContainer():
		c.missing(true, "--network", mode)
		return wire.Network{}
	}
	found := c.memberships(in, mode, e)
	none := slices.ContainsFunc(found, func(n brignet.Network) bool { return n.Builtin && n.Name == brignet.None })
	switch {
	case none && len(found) > 1:
		c.invalid("--network", "none", "a container without a network is in no other network")
	case none && len(r.Host.PortBindings) > 0:
		c.invalid("-p", "", "a container without a network cannot publish ports")
	case none || len(found) == 0:
	case in.Host.NetworkError != "":
		c.invalid("--network", found[0].Name, "this machine cannot have it: %s; --network none works", in.Host.NetworkError)
	default:
		return c.endpoint(in, e, found)
	}
	return wire.Network{}
}

// endpoint is that of a container in these networks.
func (c *collector) endpoint(in Input, e *Effective, found []brignet.Network) wire.Network {
	n := wire.Network{Mode: wire.NetworkEndpoint, Name: network.NetworkBridge,
		Ports: c.ports(in.Request, in.Image.Config.Config.ExposedPorts)}
	if !slices.ContainsFunc(found, func(n brignet.Network) bool { return !n.Internal }) && len(n.Ports) > 0 {
		c.invalid("-p", "", "every network of this container is internal: nothing outside reaches it")
	}
	if HasNames(e.Networks) && len(in.Request.Host.DNS) > 0 {
		c.missing(true, "--dns", "together with a network of one's own, whose names these servers do not know")
	}
	return n
}

// HasNames tells whether a container has names for others: in one of the networks that people make.
func HasNames(list []brignet.Membership) bool {
	return slices.ContainsFunc(list, func(m brignet.Membership) bool { return !brignet.IsBuiltin(m.Name) })
}

// memberships finds the networks that a request names: first the one of --network, then those of the endpoints. They may
// be named twice, by name and by id.
func (c *collector) memberships(in Input, mode string, e *Effective) (found []brignet.Network) {
	ends := in.Request.Networking.EndpointsConfig
	others := slices.DeleteFunc(sortedKeys(ends), func(ref string) bool { return ref == mode })
	for _, ref := range append([]string{mode}, others...) {
		name := ref
		if name == "" || name == network.NetworkDefault {
			name = network.NetworkBridge
		}
		n, err := in.find(name)
		if err != nil {
			c.invalid("--network", name, "there is no network of this name. Next: brig network ls")
			continue
		}
		m := c.member(&n, ends[ref])
		at := slices.IndexFunc(e.Networks, func(x brignet.Membership) bool { return x.ID == n.ID })
		if at >= 0 {
			e.Networks[at].Aliases = append(e.Networks[at].Aliases, m.Aliases...)
			e.Networks[at].Links = append(e.Networks[at].Links, m.Links...)
			continue
		}
		e.Networks, found = append(e.Networks, m), append(found, n)
	}
	// Docker's client says links twice, here and with the first network.
	switch links := in.Request.Host.Links; {
	case len(links) == 0:
	case len(found) == 0 || found[0].Builtin:
		c.missing(true, "--link", strings.Join(links, ","))
	default:
		c.links(&found[0], links, &e.Networks[0])
	}
	c.checkMemberships(e.Networks)
	return found
}

// Bounds of a container's names.
const (
	maxAliases = 64
	maxAlias   = 253
)

func (c *collector) checkMemberships(list []brignet.Membership) {
	if len(list) > wire.MaxNetworks {
		c.invalid("--network", "", "%d networks are more than the %d that a container may be in", len(list), wire.MaxNetworks)
	}
	for i := range list {
		m := &list[i]
		slices.SortFunc(m.Links, func(a, b brignet.Link) int { return strings.Compare(a.Target+":"+a.Alias, b.Target+":"+b.Alias) })
		m.Links = slices.Compact(m.Links)
		slices.Sort(m.Aliases)
		if m.Aliases = slices.Compact(m.Aliases); len(m.Aliases) > maxAliases {
			c.invalid("--network-alias", "", "%d names are more than the %d that a container may have in a network",
				len(m.Aliases), maxAliases)
		}
	}
}

// find is Input.Networks, where there is one.
func (in Input) find(ref string) (brignet.Network, error) {
	if in.Networks != nil {
		return in.Networks(ref)
	}
	if !brignet.IsBuiltin(ref) {
		return brignet.Network{}, errdefs.ErrNotFound
	}
	return brignet.Network{Name: ref, ID: ref, Builtin: true}, nil
}

// Connect decides about what `network connect` says of an endpoint.
func Connect(n brignet.Network, e *network.EndpointSettings, config *container.HostConfig) (brignet.Membership, error) {
	c := &collector{}
	m := []brignet.Membership{c.member(&n, e)}
	c.checkMemberships(m)
	if !n.Builtin && len(config.DNS) > 0 {
		c.missing(true, "--dns", "together with a network of one's own, whose names these servers do not know")
	}
	return m[0], c.err()
}

// member reads the settings of one endpoint.
func (c *collector) member(n *brignet.Network, e *network.EndpointSettings) brignet.Membership {
	m := brignet.Membership{ID: n.ID, Name: n.Name}
	if e == nil {
		return m
	}
	m.Aliases = slices.Clone(e.Aliases)
	for _, a := range m.Aliases {
		if !brignet.HostName(a) {
			c.invalid("--network-alias", a, "must have letters, digits, dots, hyphens and underscores only, at most %d", maxAlias)
		}
	}
	if n.Builtin && len(m.Aliases) > 0 {
		c.invalid("--network-alias", strings.Join(m.Aliases, ","), "containers on %s have no names for each other: only those "+
			"on a network of one's own do", n.Name)
	}
	if i := e.IPAMConfig; i != nil {
		const why = "the engine gives the addresses of its one subnet itself"
		if i.IPv4Address.IsValid() {
			c.refuse("--ip", i.IPv4Address.String(), why)
		}
		c.missing(i.IPv6Address.IsValid(), "--ip6", i.IPv6Address.String())
		c.missing(len(i.LinkLocalIPs) > 0, "--link-local-ip", "")
	}
	c.links(n, e.Links, &m)
	c.missing(len(e.DriverOpts) > 0, "--network driver-opt", "")
	c.missing(e.GwPriority != 0, "--network gw-priority", strconv.Itoa(e.GwPriority))
	c.missing(len(e.MacAddress) > 0, "--mac-address", e.MacAddress.String())
	c.operational(e)
	return m
}

// links reads target[:alias]. Containers on a network of one's own reach each other: a link there is a name, which only
// this container has. On the default network it would be a way.
func (c *collector) links(n *brignet.Network, list []string, m *brignet.Membership) {
	if len(list) > maxAliases {
		c.invalid("--link", "", "%d links are more than the %d that a container may have in a network", len(list), maxAliases)
		return
	}
	for _, l := range list {
		target, alias, _ := strings.Cut(l, ":")
		if alias == "" {
			alias = strings.TrimPrefix(target, "/")
		}
		switch {
		case n.Builtin:
			c.missing(true, "--link", l)
		case target == "" || !brignet.HostName(alias):
			c.invalid("--link", l, "is name[:alias], where alias has letters, digits, dots, hyphens and underscores only")
		default:
			m.Links = append(m.Links, brignet.Link{Target: target, Alias: alias})
		}
	}
}

// operational is what the engine fills in after start: it cannot be asked for.
func (c *collector) operational(e *network.EndpointSettings) {
	for _, f := range []struct {
		set  bool
		name string
	}{
		{e.NetworkID != "", "NetworkID"}, {e.EndpointID != "", "EndpointID"}, {e.Gateway.IsValid(), "Gateway"},
		{e.IPAddress.IsValid(), "IPAddress"}, {e.IPPrefixLen != 0, "IPPrefixLen"}, {e.IPv6Gateway.IsValid(), "IPv6Gateway"},
		{e.GlobalIPv6Address.IsValid(), "GlobalIPv6Address"}, {e.GlobalIPv6PrefixLen != 0, "GlobalIPv6PrefixLen"},
		{len(e.DNSNames) > 0, "DNSNames"},
	} {
		c.missing(f.set, "EndpointSettings."+f.name, "")
	}
}

// hostname checks --hostname and --domainname: they are written to files and shown by programs.
func (c *collector) hostname(option, s string) string {
	if len(s) > 63 {
		c.invalid(option, s, "must have at most 63 characters")
		return ""
	}
	for _, r := range s {
		ok := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '.' || r == '_'
		if !ok {
			c.invalid(option, s, "must have letters, digits, dots and hyphens only")
			return ""
		}
	}
	return s
}

// dnsValues are the options that go to resolv.conf and hosts.
func (c *collector) dnsValues(h *container.HostConfig) {
	for _, o := range []struct {
		option string
		values []string
	}{{"--dns-search", h.DNSSearch}, {"--dns-option", h.DNSOptions}, {"--add-host", h.ExtraHosts}} {
		for _, v := range o.values {
			if v == "" || strings.ContainsAny(v, " \t\n\r\x00#") {
				c.invalid(o.option, v, "must be one word")
			}
		}
	}
}
