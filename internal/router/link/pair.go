package link

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/router/firewall"
	"github.com/brig-engine/brig/internal/router/rtnl"
)

const defaultMTU = 1500

// choose fixes the subnet: that of an adopted router or of the last run, if it is still free, else the first candidate
// that no route of the host overlaps.
func (r *Router) choose(adopted bool) error {
	candidates := r.cfg.Subnets
	if candidates == nil {
		candidates = defaultSubnets()
	}
	if s := r.cfg.State; s != nil && s.Instance == r.cfg.Instance && checkSubnet(s.Subnet) == nil {
		if adopted {
			r.settle(s.Subnet)
			return nil
		}
		candidates = append([]netip.Prefix{s.Subnet}, candidates...)
	} else if adopted {
		return errors.New("the router's state is missing: its subnet is not known")
	}
	taken, err := r.hostRoutes()
	if err != nil {
		return err
	}
	for _, c := range candidates {
		if err := checkSubnet(c); err != nil {
			return err
		}
		if !slices.ContainsFunc(taken, c.Overlaps) {
			r.settle(c)
			return nil
		}
	}
	return fmt.Errorf("no subnet is free: routes of the host overlap every one of %v; name another", candidates)
}

func (r *Router) settle(subnet netip.Prefix) {
	r.plan = planFor(r.cfg.Instance, subnet)
	r.pool = newPool(subnet)
}

// hostRoutes lists the destinations of the host's IPv4 routes of every table, without default routes and our own.
func (r *Router) hostRoutes() ([]netip.Prefix, error) {
	routes, err := r.host.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{Table: unix.RT_TABLE_UNSPEC},
		netlink.RT_FILTER_TABLE)
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return nil, fmt.Errorf("list the host's routes: %w", err)
	}
	own := 0
	if l, err := r.host.LinkByName(HostLink(r.cfg.Instance)); err == nil && l.Attrs().Alias == r.alias() {
		own = l.Attrs().Index
	}
	var out []netip.Prefix
	for _, rt := range routes {
		if rt.Dst == nil || own != 0 && rt.LinkIndex == own {
			continue
		}
		bits, _ := rt.Dst.Mask.Size()
		if a, ok := netip.AddrFromSlice(rt.Dst.IP.To4()); ok && bits > 0 {
			out = append(out, netip.PrefixFrom(a, bits))
		}
	}
	return out, nil
}

func (r *Router) alias() string { return "Brig's way to its containers, engine " + r.cfg.Instance }

// pair makes the two interfaces if they are not there, down, with all settings that must precede the first packet.
func (r *Router) pair() error {
	up, err := r.router.LinkByName(firewall.Uplink)
	if err == nil {
		r.setMTU(up.Attrs().MTU)
		return inside(r.cfg.HostNetns, r.hostSysctls)
	}
	mtu, err := r.uplinkMTU()
	if err != nil {
		return err
	}
	r.setMTU(mtu)
	if err := r.clear(); err != nil {
		return err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU, attrs.HardwareAddr = r.plan.HostLink, r.mtu, hostMAC()
	veth := netlink.NewVeth(attrs)
	veth.PeerName, veth.PeerHardwareAddr, veth.PeerMTU = firewall.Uplink, routerMAC(), uint32(r.mtu)
	veth.PeerNamespace = netlink.NsFd(r.ns)
	if err := r.host.LinkAdd(veth); err != nil {
		return fmt.Errorf("make interface %s: %w", r.plan.HostLink, err)
	}
	if err := r.host.LinkSetAlias(veth, r.alias()); err != nil {
		return fmt.Errorf("set alias of %s: %w", r.plan.HostLink, err)
	}
	return inside(r.cfg.HostNetns, r.hostSysctls)
}

// clear removes what an engine that was killed left of this instance. An interface that is not Brig's is not touched.
func (r *Router) clear() error {
	l, err := r.host.LinkByName(r.plan.HostLink)
	if err != nil {
		if errors.As(err, &netlink.LinkNotFoundError{}) {
			return nil
		}
		return fmt.Errorf("look for %s: %w", r.plan.HostLink, err)
	}
	if l.Attrs().Alias != r.alias() {
		return fmt.Errorf("the host has an interface %s that is not Brig's; rename it, or run the engine with another --root",
			r.plan.HostLink)
	}
	if err := r.host.LinkDel(l); err != nil {
		return fmt.Errorf("remove the old %s: %w", r.plan.HostLink, err)
	}
	return nil
}

// setMTU fixes the MTU once: endpoints are made while a pair that was taken away is made again.
func (r *Router) setMTU(mtu int) {
	if r.mtu == 0 {
		r.mtu = mtu
	}
}

// uplinkMTU is the smallest MTU of the interfaces that have a default route.
func (r *Router) uplinkMTU() (int, error) {
	routes, err := r.host.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{Dst: nil}, netlink.RT_FILTER_DST)
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return 0, fmt.Errorf("list default routes: %w", err)
	}
	mtu := 0
	for _, rt := range routes {
		if l, err := r.host.LinkByIndex(rt.LinkIndex); err == nil && (mtu == 0 || l.Attrs().MTU < mtu) {
			mtu = l.Attrs().MTU
		}
	}
	if mtu < 576 {
		mtu = defaultMTU
	}
	return mtu, nil
}

// routerSysctls sets what every later interface of the router inherits. The namespace starts with the kernel's or the
// first namespace's defaults, depending on net.core.devconf_inherit_init_net: nothing is assumed.
func routerSysctls() error {
	if err := setSysctls(true, sysctl{"ipv6/conf/all/disable_ipv6", "1"},
		sysctl{"ipv6/conf/default/disable_ipv6", "1"}, sysctl{"ipv4/icmp_ratelimit", "0"}); err != nil {
		return err
	}
	for _, conf := range []string{"ipv4/conf/all/", "ipv4/conf/default/"} {
		if err := setSysctls(false, cautious(conf)...); err != nil {
			return err
		}
	}
	return setSysctls(false, sysctl{"ipv4/conf/default/forwarding", "1"}, sysctl{"ipv4/conf/default/arp_ignore", "8"})
}

// cautious are the settings of every interface of ours. route_localnet stays 0 (CVE-2020-8558).
func cautious(conf string) []sysctl {
	return []sysctl{{conf + "rp_filter", "1"}, {conf + "route_localnet", "0"}, {conf + "accept_redirects", "0"},
		{conf + "send_redirects", "0"}, {conf + "accept_source_route", "0"}, {conf + "proxy_arp", "0"}}
}

// hostSysctls sets up the host's end, and no other interface.
func (r *Router) hostSysctls() error {
	v4, v6 := "ipv4/conf/"+r.plan.HostLink+"/", "ipv6/conf/"+r.plan.HostLink+"/"
	if err := setSysctls(true, sysctl{v6 + "disable_ipv6", "1"}, sysctl{v6 + "accept_ra", "0"},
		sysctl{v6 + "addr_gen_mode", "1"}, sysctl{v6 + "forwarding", "0"}); err != nil {
		return err
	}
	return setSysctls(false, append(cautious(v4), sysctl{v4 + "forwarding", "1"}, sysctl{v4 + "arp_ignore", "8"})...)
}

// guard attaches the second layer to both ends.
func (r *Router) guard() error {
	h, u, err := r.ends()
	if err != nil {
		return err
	}
	var host, up rtnl.Batch
	r.gate.GuardHostLink(&host, h.Attrs().Index)
	r.gate.GuardUplink(&up, u.Attrs().Index)
	if err := r.hostBatches.Do(&host); err != nil {
		return fmt.Errorf("guard %s: %w", r.plan.HostLink, err)
	}
	if err := r.batches.Do(&up); err != nil {
		return fmt.Errorf("guard %s: %w", firewall.Uplink, err)
	}
	return nil
}

func (r *Router) ends() (host, up netlink.Link, err error) {
	if host, err = r.host.LinkByName(r.plan.HostLink); err != nil {
		return nil, nil, fmt.Errorf("interface %s: %w", r.plan.HostLink, err)
	}
	if up, err = r.router.LinkByName(firewall.Uplink); err != nil {
		return nil, nil, fmt.Errorf("interface %s of the router: %w", firewall.Uplink, err)
	}
	return host, up, nil
}

// raise gives both ends addresses, neighbours and routes, brings them up, and switches forwarding on. Every step may
// find its work done.
func (r *Router) raise() error {
	h, u, err := r.ends()
	if err != nil {
		return err
	}
	sub, router := r.plan.Subnet, routerOf(r.plan.Subnet)
	if err := joinEnd(r.host, h, r.plan.Host, router, routerMAC()); err != nil {
		return fmt.Errorf("%s: %w", r.plan.HostLink, err)
	}
	if err := joinEnd(r.router, u, router, r.plan.Host, hostMAC()); err != nil {
		return fmt.Errorf("%s: %w", firewall.Uplink, err)
	}
	err = r.host.RouteReplace(&netlink.Route{LinkIndex: h.Attrs().Index, Dst: prefixNet(sub), Gw: router.AsSlice(),
		Src: r.plan.Host.AsSlice()})
	if err != nil {
		return fmt.Errorf("route %s on the host: %w", sub, err)
	}
	err = r.router.RouteReplace(&netlink.Route{LinkIndex: u.Attrs().Index, Dst: ipNet(netip.IPv4Unspecified(), 0),
		Gw: r.plan.Host.AsSlice(), Src: router.AsSlice()})
	if err != nil {
		return fmt.Errorf("default route of the router: %w", err)
	}
	if err := errors.Join(waitUp(r.hostBatches, h.Attrs().Index), waitUp(r.batches, u.Attrs().Index)); err != nil {
		return err
	}
	return r.openForwarding()
}

// joinEnd sets up one end of the pair: own address, the other's as a fixed neighbour, no ARP.
func joinEnd(h *netlink.Handle, l netlink.Link, own, other netip.Addr, mac net.HardwareAddr) error {
	if err := h.LinkSetARPOff(l); err != nil {
		return fmt.Errorf("switch ARP off: %w", err)
	}
	if err := h.AddrReplace(l, &netlink.Addr{IPNet: ipNet(own, 30)}); err != nil {
		return fmt.Errorf("add address %s: %w", own, err)
	}
	if err := h.LinkSetUp(l); err != nil {
		return fmt.Errorf("bring up: %w", err)
	}
	err := h.NeighSet(&netlink.Neigh{LinkIndex: l.Attrs().Index, State: netlink.NUD_PERMANENT, IP: other.AsSlice(),
		HardwareAddr: mac})
	if err != nil {
		return fmt.Errorf("add neighbour %s: %w", other, err)
	}
	return nil
}
