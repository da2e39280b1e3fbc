package policy

import (
	"fmt"
	"net/netip"
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
		c.refuse(true, "HostConfig.NetworkMode=host", mode)
		return wire.Network{}
	case mode == "container:":
		c.invalid("--network", mode, "invalid container format container:<name|id>")
		return wire.Network{}
	case r.Host.NetworkMode.IsContainer(): // join has said what is wrong with it, if it is not what is wanted
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
		return c.endpoint(in, e)
	}
	return wire.Network{}
}

// endpoint is that of a container in a network. Whether its ports can be reached is decided at each start.
func (c *collector) endpoint(in Input, e *Effective) wire.Network {
	n := wire.Network{Mode: wire.NetworkEndpoint, Name: network.NetworkBridge}
	n.Ports, e.PortsTo = split(c.ports(in.Request, in.Image.Config.Config.ExposedPorts))
	c.refuse(HasNames(e.Networks) && len(in.Request.Host.DNS) > 0, ownServers, addrs(in.Request.Host.DNS))
	return n
}

// HasNames tells whether a container has names for others: in one of the networks that people make.
func HasNames(list []brignet.Membership) bool {
	return slices.ContainsFunc(list, func(m brignet.Membership) bool { return !brignet.IsBuiltin(m.Name) })
}

// memberships finds the networks that a request names. Where there are endpoints, the container is in theirs alone, as in
// Docker: the mode then says which one of them is the first. They may be named twice, by name and by id.
func (c *collector) memberships(in Input, mode string, e *Effective) (found []brignet.Network) {
	ends := in.Request.Networking.EndpointsConfig
	refs := sortedKeys(ends)
	first, err := in.find(mode)
	if !slices.Contains(refs, mode) && (err != nil || len(refs) == 0 || mode == network.NetworkNone) {
		refs = append(refs, mode)
	}
	place := func(ref string) int {
		if n, err := in.find(ref); err == nil && n.ID == first.ID {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(refs, func(a, b string) int { return place(a) - place(b) })
	for _, ref := range refs {
		n, err := in.find(ref)
		if err != nil {
			c.invalid("--network", ref, "there is no network of this name. Next: brig network ls")
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
		c.refuse(true, "HostConfig.Links=BRIDGE", strings.Join(links, ","))
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
		if m.Links = slices.Compact(m.Links); len(m.Links) > maxAliases {
			c.invalid("--link", "", "%d links are more than the %d that a container may have in a network", len(m.Links), maxAliases)
		}
		if m.Aliases = brignet.Once(m.Aliases); len(m.Aliases) > maxAliases {
			c.invalid("--network-alias", "", "%d names are more than the %d that a container may have in a network",
				len(m.Aliases), maxAliases)
		}
	}
}

// find is Input.Networks, where there is one. Two names stand for the network called bridge.
func (in Input) find(ref string) (brignet.Network, error) {
	if ref == "" || ref == network.NetworkDefault {
		ref = network.NetworkBridge
	}
	if in.Networks != nil {
		return in.Networks(ref)
	}
	if !brignet.IsBuiltin(ref) {
		return brignet.Network{}, errdefs.ErrNotFound
	}
	return brignet.Network{Name: ref, ID: ref, Builtin: true}, nil
}

// Keys of package compat: where the endpoints are in a request, and name servers that know no names of containers.
const (
	at         = "NetworkingConfig.EndpointsConfig[]."
	ownServers = "HostConfig.Dns=OWN"
)

func addrs(list []netip.Addr) string { return strings.Trim(fmt.Sprint(list), "[]") }

// Connect decides about what `network connect` says of an endpoint.
func Connect(n brignet.Network, e *network.EndpointSettings, config *container.HostConfig) (brignet.Membership, error) {
	c := &collector{}
	m := []brignet.Membership{c.member(&n, e)}
	c.checkMemberships(m)
	c.refuse(!n.Builtin && len(config.DNS) > 0, ownServers, addrs(config.DNS))
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
		if brignet.ShortID(a) {
			c.invalid("--network-alias", a, "is what the beginning of another container's id looks like")
		}
	}
	c.refuse(n.Builtin && len(m.Aliases) > 0, at+"Aliases=BRIDGE", strings.Join(m.Aliases, ","))
	if i := e.IPAMConfig; i != nil {
		c.refuse(i.IPv4Address.IsValid(), at+"IPAMConfig.IPv4Address", i.IPv4Address.String())
		c.refuse(i.IPv6Address.IsValid(), at+"IPAMConfig.IPv6Address", i.IPv6Address.String())
		c.refuse(len(i.LinkLocalIPs) > 0, at+"IPAMConfig.LinkLocalIPs", addrs(i.LinkLocalIPs))
	}
	c.links(n, e.Links, &m)
	c.refuse(len(e.DriverOpts) > 0, at+"DriverOpts", pairs(e.DriverOpts))
	c.refuse(e.GwPriority != 0, at+"GwPriority", strconv.Itoa(e.GwPriority))
	c.refuse(len(e.MacAddress) > 0, at+"MacAddress", e.MacAddress.String())
	c.refuse(e.NetworkID != "" && e.NetworkID != n.ID, at+"NetworkID=OTHER", e.NetworkID)
	c.operational(e)
	return m
}

// links reads target[:alias]. Containers on a network of one's own reach each other: a link there is a name, which only
// this container has. On the default network it would be a way.
func (c *collector) links(n *brignet.Network, list []string, m *brignet.Membership) {
	for _, l := range list {
		target, alias, _ := strings.Cut(l, ":")
		if alias == "" {
			alias = strings.TrimPrefix(target, "/")
		}
		switch {
		case n.Builtin:
			c.refuse(true, "HostConfig.Links=BRIDGE", l)
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
		name  string
		set   bool
		value any
	}{
		{"EndpointID", e.EndpointID != "", e.EndpointID},
		{"Gateway", e.Gateway.IsValid(), e.Gateway}, {"IPAddress", e.IPAddress.IsValid(), e.IPAddress},
		{"IPPrefixLen", e.IPPrefixLen != 0, e.IPPrefixLen}, {"IPv6Gateway", e.IPv6Gateway.IsValid(), e.IPv6Gateway},
		{"GlobalIPv6Address", e.GlobalIPv6Address.IsValid(), e.GlobalIPv6Address},
		{"GlobalIPv6PrefixLen", e.GlobalIPv6PrefixLen != 0, e.GlobalIPv6PrefixLen},
		{"DNSNames", len(e.DNSNames) > 0, e.DNSNames},
	} {
		c.refuse(f.set, at+f.name, fmt.Sprint(f.value))
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
